"""A picture is fetched from the public web alone: who names an address must not reach a machine of ours."""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import SplitResult, quote, urljoin, urlsplit

PORTS = {"http": 80, "https": 443}
MAX_REDIRECTS = 3
MAX_URL = 2048
BLOCK = 65_536
# Beside what Python's own tables say, which differ by version: networks of IANA's special-purpose registries,
# and where Azure tells machines about themselves, 168.63.129.16. Oracle's 192.0.0.192 is in the first.
SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "100.64.0.0/10", "168.63.129.16/32"),
            *(
                "64:ff9b:1::/48",
                "100::/64",
                "2001::/23",
                "2001:db8::/32",
                "3fff::/20",
                "5f00::/16",
                "fec0::/10",
            ),
        ),
    )
)
# IPv6 addresses with an IPv4 address in them, by which a gateway may reach the latter (RFC 6052, 2.1).
NAT64 = ipaddress.ip_network("64:ff9b::/96")
_REDIRECTS = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}

Resolve = Callable[[str, int], Iterable[str]]
"""Returns the IP addresses of a host, given with a port."""


class FetchError(ValueError):
    """The picture was not fetched; the message is a sentence for the client."""


class FileTooLarge(FetchError):
    """There is a file, and it is above the limit."""


def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, as this machine knows them."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class PublicWeb:
    """The public web is all hosts whose addresses are public, or some of these.

    A host's name is resolved once, and the connection goes to an address that was looked at, so that a name
    that means another machine the next time is of no use. A redirect is looked at as the first address is.

    Attributes:
        hosts: Those that may be asked, in small letters; `*` is any, `*.example.org` any below that name.
        max_bytes: Largest file.
        timeout_s: For all of it, redirects included.
        resolve: Finds addresses; tests replace it at this seam.
        ports: The one port of each scheme that may be asked.
    """

    hosts: frozenset[str]
    max_bytes: int
    timeout_s: float = 10.0
    resolve: Resolve = resolve
    ports: Mapping[str, int] = field(default_factory=PORTS.copy)

    def fetch(self, url: str) -> bytes:
        """Return the content of a file.

        Args:
            url: Its address, of http or https.

        Raises:
            FetchError: The address is none that may be asked, or nothing came from there in time.
            FileTooLarge: It is above `max_bytes`.
        """
        deadline = time.monotonic() + self.timeout_s
        for _ in range(MAX_REDIRECTS + 1):
            parts = self._checked(url)
            with _asked(parts, self._address(parts), self.ports[parts.scheme], deadline) as answer:
                if answer.status in _REDIRECTS:
                    url = urljoin(url, answer.getheader("Location") or "")
                    continue
                if answer.status != HTTPStatus.OK:
                    raise FetchError(f"{parts.hostname} answers {answer.status}.")
                return self._read(answer, deadline)
        raise FetchError(f"The address leads on to another one more than {MAX_REDIRECTS} times.")

    def _checked(self, url: str) -> SplitResult:
        if len(url) > MAX_URL or any(ord(letter) <= ord(" ") or letter in "\\\x7f" for letter in url):
            raise FetchError(f"The address is no URL of at most {MAX_URL} visible letters.")
        try:
            parts = urlsplit(url)
            port, host = parts.port, (parts.hostname or "").rstrip(".")
            name = host if ":" in host else host.encode("idna").decode().lower()
        except ValueError as exc:  # UnicodeError, too
            raise FetchError("The address is no URL.") from exc
        if parts.scheme not in PORTS or not name:
            raise FetchError("The address is not one of http:// or https:// with a host.")
        if parts.username is not None or parts.password is not None:
            raise FetchError("The address holds a user's name, which is not sent on.")
        if port not in {None, self.ports[parts.scheme]}:
            raise FetchError("The address names a port; only the usual ones of http and https are asked.")
        if not self._is_allowed(name):
            raise FetchError(f"{name} is none of the hosts that may be asked.")
        return parts._replace(netloc=f"[{name}]" if ":" in name else name)

    def _is_allowed(self, name: str) -> bool:
        above = {"*." + name.split(".", i)[i] for i in range(1, name.count(".") + 1)}
        return not self.hosts.isdisjoint({"*", name, *above})

    def _address(self, parts: SplitResult) -> str:
        host = parts.hostname or ""
        try:
            found = list(self.resolve(host, self.ports[parts.scheme]))
        except (OSError, UnicodeError) as exc:
            raise FetchError(f"{host} has no address.") from exc
        # One that is not public among public ones is no mistake of an honest host.
        if not found or not all(map(is_public, found)):
            raise FetchError(f"{host} is not on the public web.")
        return found[0]

    def _read(self, answer: http.client.HTTPResponse, deadline: float) -> bytes:
        told = answer.getheader("Content-Length") or ""
        size = int(told) if told.isdecimal() and len(told) < 20 else 0
        blocks: list[bytes] = []
        while size <= self.max_bytes:
            block = answer.read(BLOCK)
            if time.monotonic() > deadline:
                raise TimeoutError
            if not block:
                return b"".join(blocks)
            blocks.append(block)
            size = max(size, sum(map(len, blocks)))
        raise FileTooLarge(f"The picture has more than {self.max_bytes} bytes.")


def is_public(address: str) -> bool:
    """Say whether an IP address belongs to the public web, and to no network of its own.

    IPv6 addresses that hold one of IPv4 are judged by that one where a gateway of the network may lead there,
    and are none of the public web otherwise.
    """
    known = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(known, ipaddress.IPv6Address):
        if known in NAT64:
            known = ipaddress.IPv4Address(int(known) & (2**32 - 1))
        elif known.ipv4_mapped or known.sixtofour or known.teredo:
            return False
    is_odd = known.is_multicast or known.is_reserved or known.is_loopback or known.is_link_local
    return known.is_global and not is_odd and not any(known in network for network in SPECIAL)


@contextmanager
def _asked(
    parts: SplitResult, address: str, port: int, deadline: float
) -> Iterator[http.client.HTTPResponse]:
    """Ask one address for a file, and give up at the deadline wherever that stops."""
    host = parts.hostname or ""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise FetchError(f"{host} takes too long.")
    connection = http.client.HTTPConnection(host, port, timeout=left_s)
    try:
        connection.sock = socket.create_connection((address, port), left_s)
        with _ended_at(deadline, connection.sock):
            if parts.scheme == "https":
                connection.sock = ssl.create_default_context().wrap_socket(
                    connection.sock, server_hostname=host
                )
            path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
            query = f"?{quote(parts.query, safe='/?%:@!$&()*+,;=~-._')}" if parts.query else ""
            connection.putrequest("GET", path + query, skip_host=True, skip_accept_encoding=True)
            for name, value in (("Host", parts.netloc), ("Accept", "image/*"), ("User-Agent", "pothole")):
                connection.putheader(name, value)
            connection.putheader("Connection", "close")
            connection.endheaders()
            yield connection.getresponse()
    except FetchError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as exc:
        late = time.monotonic() > deadline
        raise FetchError(f"{host} takes too long." if late else f"Nothing came from {host}.") from exc
    finally:
        connection.close()


@contextmanager
def _ended_at(deadline: float, sock: socket.socket) -> Iterator[None]:
    """Break a connection at a time: its own limit begins anew with each byte, which a slow host could use."""
    with closing(sock.dup()) as same:  # TLS takes the socket itself away
        watch = threading.Timer(max(0.0, deadline - time.monotonic()), _shut, [same])
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)

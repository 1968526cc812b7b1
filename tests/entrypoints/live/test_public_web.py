"""No address of a machine of ours is asked, however it is written."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pothole.entrypoints.live import public_web
from pothole.entrypoints.live.public_web import FetchError, FileTooLarge, PublicWeb, is_public, resolve

ANY = frozenset({"*"})
# Names in the DNS of others that lead to 127.0.0.1 or to where clouds tell machines their secrets.
NAMES = {
    "localtest.me": ["127.0.0.1"],
    "127.0.0.1.nip.io": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "both.example.org": ["93.184.216.34", "127.0.0.1"],
    "six.example.org": ["::1"],
    "mapped.example.org": ["::ffff:169.254.169.254"],
    "azure.example.org": ["168.63.129.16"],
}
# After OWASP's cheat sheet on server-side request forgery and the lists of PayloadsAllTheThings.
LOCAL = [
    *("http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://0/", "http://0.0.0.0/"),
    *("http://2130706433/", "http://017700000001/", "http://0x7f000001/", "http://0x7f.0.0.1/"),
    *("http://0177.0.0.1/", "http://127.127.127.127/", "http://localhost/", "http://LOCALHOST/"),
    *("http://localhost./", "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/"),
    *("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/"),
    *("http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1%25lo]/"),
    *("http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://user@127.0.0.1/", "http://example.org@127.0.0.1/"),
    *("http://169.254.169.254/latest/meta-data/", "http://2852039166/", "http://0xa9fea9fe/"),
    *("http://[::ffff:a9fe:a9fe]/", "http://[fd00:ec2::254]/", "http://169.254.43518/"),
    *("http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://100.100.100.200/"),
    *("http://192.0.0.192/", "http://224.0.0.1/", "http://255.255.255.255/"),
    *(f"http://{name}/" for name in NAMES),
    *("file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "//127.0.0.1/", "http:///", "http://"),
    *("http://127.0.0.1:22/", "http://example.org:99999/", "http://example.org\\@127.0.0.1/", "http://a b/"),
    *(
        "http://example.org\t.127.0.0.1/",
        "http://[::1",
        "x" * 3000,
        "http://xn--/",
        "http://" + "a" * 70 + ".org/",
    ),
]


class Handler(BaseHTTPRequestHandler):
    """Answers what its path asks for."""

    def do_GET(self) -> None:
        counted.append(self.path)
        match self.path.split("/")[1:]:
            case ["to", *rest]:
                self.send_response(302)
                self.send_header("Location", "/".join(rest))
                self.end_headers()
            case ["slow"]:
                self.send_response(200)
                self.end_headers()
                with suppress(OSError):  # the client gives up
                    for _ in range(100):
                        self.wfile.write(b"x")
                        self.wfile.flush()
                        time.sleep(0.05)
            case ["large"]:
                self.send_response(200)
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(bytes(2000))
            case ["told"]:
                self.send_response(200)
                self.send_header("Content-Length", "9" * 12)
                self.end_headers()
            case ["none"]:
                self.send_response(404)
                self.end_headers()
            case _:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"{self.path} for {self.headers['Host']}".encode())

    def log_message(self, *_: object) -> None:
        pass


counted: list[str] = []


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
        yield listener.server_address[1]
        listener.shutdown()


@pytest.fixture
def web(port: int) -> PublicWeb:
    """Asks the listener wherever the usual port would be asked."""
    counted.clear()

    def known(host: str, _: int) -> list[str]:
        return NAMES.get(host) or resolve(host, port)

    return PublicWeb(ANY, max_bytes=1000, timeout_s=1.0, resolve=known, ports={"http": port, "https": port})


@pytest.fixture
def seen_as_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_web, "is_public", lambda address: address == "127.0.0.1")


@pytest.mark.parametrize("url", LOCAL)
def test_an_address_of_ours_is_not_asked(web: PublicWeb, url: str) -> None:
    with pytest.raises(FetchError) as refused:
        web.fetch(url)
    assert "Nothing came" not in str(refused.value)  # nobody was asked
    assert counted == []


@pytest.mark.usefixtures("seen_as_public")
@pytest.mark.parametrize(
    "url", ["http://127.0.0.2/", "//[::1]/", "file:///etc/passwd", "http://127.0.0.1:22/"]
)
def test_a_redirect_leads_nowhere_else(web: PublicWeb, url: str) -> None:
    with pytest.raises(FetchError):
        web.fetch(f"http://127.0.0.1/to/{url}")
    assert len(counted) == 1


def test_a_name_that_means_another_machine_the_next_time_is_of_no_use(
    web: PublicWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    asked: list[str] = []

    def connect(address: tuple[str, int], _: float) -> None:
        asked.append(address[0])
        raise OSError

    monkeypatch.setattr(public_web.socket, "create_connection", connect)
    rebinding = PublicWeb(ANY, 1000, resolve=lambda host, port: answers.pop(0))
    with pytest.raises(FetchError):
        rebinding.fetch("http://rebinding.example.org/")
    assert asked == ["93.184.216.34"]
    assert answers == [["127.0.0.1"]]  # resolved once


@pytest.mark.usefixtures("seen_as_public")
def test_a_public_picture_comes(web: PublicWeb) -> None:
    assert web.fetch("http://127.0.0.1/a%20b/ü.jpg?x=1#part") == b"/a%20b/%C3%BC.jpg?x=1 for 127.0.0.1"
    assert web.fetch("http://127.0.0.1/to//b.jpg") == b"/b.jpg for 127.0.0.1"


@pytest.mark.usefixtures("seen_as_public")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("slow", "takes too long"),
        ("none", "answers 404"),
        ("to/" * 5, "leads on to another one more than 3 times"),
    ],
)
def test_what_cannot_be_fetched_is_said(web: PublicWeb, path: str, message: str) -> None:
    with pytest.raises(FetchError, match=message):
        web.fetch(f"http://127.0.0.1/{path}")


@pytest.mark.usefixtures("seen_as_public")
@pytest.mark.parametrize("path", ["large", "told"])
def test_no_more_is_read_than_allowed(web: PublicWeb, path: str) -> None:
    with pytest.raises(FileTooLarge, match="more than 1000 bytes"):
        web.fetch(f"http://127.0.0.1/{path}")


@pytest.mark.usefixtures("seen_as_public")
@pytest.mark.parametrize(
    ("hosts", "is_allowed"),
    [
        ({"*"}, True),
        ({"a.example.org"}, True),
        ({"*.example.org"}, True),
        ({"*.org"}, True),
        (set(), False),
        ({"example.org"}, False),
        ({"*.a.example.org"}, False),
        ({"b.example.org"}, False),
    ],
)
def test_only_hosts_on_the_list_are_asked(web: PublicWeb, hosts: set[str], is_allowed: bool) -> None:
    listed = PublicWeb(frozenset(hosts), 1000, resolve=lambda host, port: ["127.0.0.1"], ports=web.ports)
    if is_allowed:
        assert listed.fetch("http://A.example.org./x") == b"/x for a.example.org"
    else:
        with pytest.raises(FetchError, match=r"a\.example\.org is none of the hosts"):
            listed.fetch("http://a.example.org/x")


@pytest.mark.parametrize(
    "address", ["192.0.0.192", "198.18.0.1", "100.64.0.1", "192.88.99.1", "3fff::1", "5f00::1", "2001:20::1"]
)
def test_what_a_registry_keeps_for_special_purposes_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
)
def test_the_public_web_is_public(address: str) -> None:
    assert is_public(address)

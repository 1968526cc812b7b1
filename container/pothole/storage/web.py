"""A file on the web is a source, not a place for outputs."""

import base64
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pothole.errors import (
    AccessDenied,
    RequestError,
    SourceChanged,
    SourceNotFound,
    StorageUnavailable,
    reason,
)
from pothole.files import MIB
from pothole.storage.base import Confirm, Stat, Storage, check_size

TIMEOUT_S = 30
ATTEMPTS = 5  # attempts at a download that breaks off, each from where the last one ended
SAFE = "/%:@!$&'()*+,;=?~"  # signs that stay as they are; spaces, and letters that are no ASCII, may not
UNKNOWN = 0  # size that a server does not tell


class ReadOnly(Storage):
    """A read-only storage refuses all methods but those that read.

    Attributes:
        remark: A sentence on what is missing from the source that was fetched last; "" for none.
    """

    remark = ""

    def publish(self, path: Path, key: str, content_type: str, confirm: Confirm | None = None) -> str | None:
        """See `Storage.publish`."""
        self._refuse()

    def read(self, key: str) -> tuple[bytes, Stat]:
        """See `Storage.read`."""
        self._refuse()

    def write(self, key: str, data: bytes, replaces: str | None) -> str | None:
        """See `Storage.write`."""
        self._refuse()

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        self._refuse()

    def stats(self, folder: str) -> dict[str, Stat]:
        """See `Storage.stats`."""
        self._refuse()

    def delete(self, folder: str) -> None:
        """See `Storage.delete`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RequestError(f"{self.address('')} can only be read.", hint="Name a folder for the outputs.")


class WebFile(ReadOnly):
    """A web file is one file at an `http://` or `https://` address; the key does not matter.

    Args:
        url: The address, with whatever permits to read it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        who, _, host = parts.netloc.rpartition("@")
        path, query = quote(parts.path, SAFE), quote(parts.query, SAFE)
        self._url = urlunsplit(parts._replace(netloc=host, path=path, query=query, fragment=""))
        self._headers = {"User-Agent": "pothole"}
        if who:
            self._headers["Authorization"] = f"Basic {base64.b64encode(unquote(who).encode()).decode()}"

    def stat(self, key: str) -> Stat:
        """See `Storage.stat`; asks for a byte, since addresses that are signed permit no other method."""
        with self._open({"Range": "bytes=0-0"}) as answer:
            is_part = answer.status == HTTPStatus.PARTIAL_CONTENT
            told = answer.headers.get("Content-Range" if is_part else "Content-Length") or ""
            text = told.rpartition("/")[2]
            size = int(text) if text.isdecimal() else UNKNOWN
            return Stat(size, f"{size:x}-{_tag(answer)}", 0.0)

    def fetch(self, key: str, folder: Path, max_bytes: int, version: str | None = None) -> Path:
        """See `Storage.fetch`."""
        found = self.stat(key)
        check_size(self.address(key), found.size, max_bytes)
        if version not in {None, found.version}:
            raise self._changed()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (key.rpartition("/")[2] or "source")
        path.unlink(missing_ok=True)
        for _ in range(ATTEMPTS):
            if self._download(path, found, max_bytes):
                return path
        raise StorageUnavailable(f"{self.address(key)} broke off {ATTEMPTS} times.")

    def address(self, key: str) -> str:
        """See `Storage.address`; without the query, which may hold secrets."""
        return urlunsplit(urlsplit(self._url)._replace(query=""))

    def _download(self, path: Path, found: Stat, max_bytes: int) -> bool:
        """Add what is missing to a file; return whether it is whole now."""
        start = path.stat().st_size if path.exists() else 0
        with self._open({"Range": f"bytes={start}-"} if start else {}) as answer, path.open("ab") as file:
            if start and answer.status != HTTPStatus.PARTIAL_CONTENT:  # the server sends all of it anew
                file.truncate(0)
            if not found.version.endswith(_tag(answer)):
                raise self._changed()
            try:
                while block := answer.read(MIB):
                    file.write(block)
                    check_size(self.address(""), file.tell(), max_bytes)
            except (OSError, http.client.HTTPException):
                return False
            return found.size in {UNKNOWN, file.tell()}

    @contextmanager
    def _open(self, headers: dict[str, str]) -> Iterator[Any]:
        request = urllib.request.Request(self._url, headers=self._headers | headers)  # noqa: S310
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310  # the scheme was looked at
        except urllib.error.HTTPError as exc:
            with exc:
                raise self._refused(exc.code) from exc
        except (OSError, http.client.HTTPException, ValueError) as exc:
            cause = getattr(exc, "reason", exc)
            why = reason(cause) if isinstance(cause, Exception) else cause
            raise StorageUnavailable(
                f"{self.address('')} does not answer: {why}.",
                "Check the address, and the way to it from here.",
            ) from exc
        with closing(answer):
            yield answer

    def _refused(self, status: int) -> Exception:
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return SourceNotFound(f"There is nothing at {self.address('')}.", hint="Check the address.")
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return AccessDenied(f"{self.address('')} may not be read: {status}.", hint="It may have expired.")
        return StorageUnavailable(f"{self.address('')} answers {status}.")

    def _changed(self) -> SourceChanged:
        return SourceChanged(f"{self.address('')} was replaced.", hint="Start the job again.")


def _tag(answer: Any) -> str:
    return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")

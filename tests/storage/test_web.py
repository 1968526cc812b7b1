"""Files on the web: a real server that answers, breaks off, and changes its mind."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pothole.errors import (
    AccessDenied,
    RequestError,
    SourceChanged,
    SourceNotFound,
    StorageUnavailable,
    TooLarge,
)
from pothole.storage.web import WebFile

CONTENT = bytes(range(256)) * 40_000
LIMIT = len(CONTENT)


class Web(ThreadingHTTPServer):
    """Serves one file; what it does wrong is set by tests."""

    daemon_threads = True
    takes_ranges, breaks_off_at, tag, status = True, 0, '"v1"', 200

    @property
    def url(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.server_port}/roads/clip.mp4?signature=secret"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        web = self.server
        if web.status != 200:
            self.send_error(web.status)
            return
        wanted = self.headers.get("Range") if web.takes_ranges else None
        start, _, end = (wanted or "bytes=0-").removeprefix("bytes=").partition("-")
        part = CONTENT[int(start) : int(end) + 1 if end else None]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", web.tag)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(CONTENT)}")
        self.end_headers()
        if web.breaks_off_at and len(part) > web.breaks_off_at:
            part = part[: web.breaks_off_at]
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_a_file_is_fetched_whole(web: Web, tmp_path: Path, takes_ranges: bool) -> None:
    web.takes_ranges = takes_ranges
    file = WebFile(web.url)
    stat = file.stat("clip.mp4")
    assert stat.size == len(CONTENT)
    path = file.fetch("clip.mp4", tmp_path / "new", LIMIT, stat.version)
    assert path.read_bytes() == CONTENT
    web.tag = '"v2"'
    with pytest.raises(SourceChanged):
        file.fetch("clip.mp4", tmp_path, LIMIT, stat.version)


def test_a_download_that_breaks_off_goes_on_where_it_was(web: Web, tmp_path: Path) -> None:
    web.breaks_off_at = len(CONTENT) // 3
    assert WebFile(web.url).fetch("clip.mp4", tmp_path, LIMIT).read_bytes() == CONTENT
    web.breaks_off_at = 1000
    with pytest.raises(StorageUnavailable, match="broke off 5 times"):
        WebFile(web.url).fetch("clip.mp4", tmp_path, LIMIT)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, SourceNotFound), (403, AccessDenied), (500, StorageUnavailable)]
)
def test_a_refusal_is_told_without_the_secrets_of_the_address(web: Web, status: int, kind: type) -> None:
    web.status = status
    with pytest.raises(kind) as caught:
        WebFile(web.url).stat("clip.mp4")
    assert f"http://127.0.0.1:{web.server_port}/roads/clip.mp4" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_is_too_large_is_not_fetched_and_nothing_is_written_to_the_web(web: Web, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        WebFile(web.url).fetch("clip.mp4", tmp_path, LIMIT - 1)
    assert not list(tmp_path.iterdir())
    with pytest.raises(RequestError, match="can only be read"):
        WebFile(web.url).write("a", b"b", None)
    with pytest.raises(StorageUnavailable, match="does not answer"):
        WebFile("http://127.0.0.1:9/clip.mp4").stat("clip.mp4")


def test_an_address_may_have_spaces_and_letters_of_any_language(web: Web) -> None:
    assert WebFile(web.url.replace("clip.mp4", "Straße 1.mp4")).stat("").size == len(CONTENT)

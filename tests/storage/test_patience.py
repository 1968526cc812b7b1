"""How long a store that does not answer holds a job, asked over real sockets."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

import pytest

from pothole.errors import StorageUnavailable
from pothole.settings import Settings
from pothole.storage import Storage, open_s3
from pothole.storage.s3_client import s3_client

TRY_S, RETRY_S = 1, 3
SIZE = 1000


class Store(socketserver.StreamRequestHandler):
    """Hears calls, and falls silent where `silent` says so of the method and the count of its calls."""

    calls: list[str]
    over: threading.Event

    def handle(self) -> None:
        while line := self.rfile.readline():
            method = line.split()[0].decode()
            while self.rfile.readline().strip():
                pass
            self.calls.append(method)
            if self.silent(method):
                self.over.wait()
                return
            now = formatdate(usegmt=True)
            head = (
                f'HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: "x"\r\n'
                f"Date: {now}\r\nLast-Modified: {now}\r\n\r\n"
            )
            body = b"" if method == "HEAD" else bytes(SIZE // 2)
            self.wfile.write(head.encode() + body)
            if method != "HEAD":  # silence in the middle
                self.over.wait()
                return

    def silent(self, method: str) -> bool:
        raise NotImplementedError


class AlwaysSilent(Store):
    def silent(self, method: str) -> bool:
        return True


class SilentInTheMiddle(Store):
    def silent(self, method: str) -> bool:
        return False


class EveryOtherSilent(Store):
    def silent(self, method: str) -> bool:
        return len(self.calls) % 2 == 1


@contextmanager
def asked(kind: type[Store], monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Yield a bucket of a store of that kind."""
    kind.calls, kind.over = [], threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        s3_client.cache_clear()
        try:
            yield open_s3("bucket", Settings(s3_timeout_s=TRY_S, s3_retry_s=RETRY_S))
        finally:
            s3_client.cache_clear()
            kind.over.set()
            server.shutdown()


def test_a_silent_store_is_given_up_in_time_and_the_error_names_the_setting(monkeypatch):
    with asked(AlwaysSilent, monkeypatch) as store:
        began = time.monotonic()
        with pytest.raises(StorageUnavailable, match=r"s3://bucket/clip\.mp4.*the 3 s of S3_RETRY_SECONDS"):
            store.stat("clip.mp4")
        assert time.monotonic() - began <= RETRY_S + TRY_S / 2
        assert 2 <= len(AlwaysSilent.calls) <= RETRY_S
        before, began = len(AlwaysSilent.calls), time.monotonic()
        with pytest.raises(StorageUnavailable, match="S3_RETRY_SECONDS"):
            store.read("clip.json")  # what a job asks after that is tried once
        assert time.monotonic() - began <= 2 * TRY_S
        assert len(AlwaysSilent.calls) == before + 1


@pytest.mark.parametrize("ask", ["read", "fetch"])
def test_silence_in_the_middle_of_an_object_counts_as_well(ask, monkeypatch, tmp_path):
    with asked(SilentInTheMiddle, monkeypatch) as store:
        began = time.monotonic()
        with pytest.raises(StorageUnavailable, match="S3_RETRY_SECONDS"):
            store.read("clip.mp4") if ask == "read" else store.fetch("clip.mp4", tmp_path, SIZE)
        assert time.monotonic() - began <= RETRY_S + 2 * TRY_S


def test_a_store_that_answers_in_between_is_asked_again_for_ever(monkeypatch):
    with asked(EveryOtherSilent, monkeypatch) as store:
        began = time.monotonic()
        while time.monotonic() - began < RETRY_S + 2 * TRY_S:
            assert store.stat("clip.mp4").size == SIZE

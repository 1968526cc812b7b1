"""How often S3 is asked again."""

import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pothole.settings import Settings
from pothole.storage import open_s3
from pothole.storage.s3_client import s3_client


class Flaky(BaseHTTPRequestHandler):
    """Knows an object of five bytes, and closes 30 % of the connections instead of telling."""

    protocol_version = "HTTP/1.1"
    dice = random.Random(1)

    def do_HEAD(self) -> None:
        if Flaky.dice.random() < 0.3:
            self.close_connection = True
            return
        self.send_response(200)
        for name, text in {
            "Content-Length": "5",
            "ETag": '"x"',
            "Last-Modified": self.date_time_string(),
        }.items():
            self.send_header(name, text)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def flaky() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_spell_of_failures_does_not_end_all_trying_again(
    flaky: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", flaky)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    s3_client.cache_clear()
    try:
        store = open_s3("bucket", Settings())
        for _ in range(600):
            assert store.stat("clip.mp4").size == 5
    finally:
        s3_client.cache_clear()

"""A process between a client and S3 that lets calls fail: some, or all.

python faulty_proxy.py UPSTREAM_PORT SHARE SEED    prints its port, then serves until it is killed

A fault is, in equal parts: an answer of 503; a connection that is closed before the call arrives; silence; an
answer that is lost, so that nobody learns what became of the call; an answer that breaks off in the middle.
With a share of 1 S3 is down: the first three alone, and no call arrives.
`POST /_faults?share=1` changes the share, and with `&kind=silence` there is no other fault. `GET /_faults`
tells how many of each kind there were.
"""

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Self
from urllib.parse import parse_qs, urlsplit

import requests

SILENCE_S = 10.0  # longer than the client waits
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
DOWN = ("503", "closed", "silence")
FAULTS = (*DOWN, "lost", "cut")
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "expect"}


class Proxy(BaseHTTPRequestHandler):
    """Passes one call on, or does not."""

    protocol_version = "HTTP/1.1"
    upstream = 0
    share = 0.0
    dice = random.Random()
    kinds: ClassVar[tuple[str, ...]] = ()
    counts: ClassVar[Counter[str]] = Counter()
    lock = threading.Lock()

    def _handle(self) -> None:
        if self.path.startswith("/_faults"):
            self._control()
            return
        with Proxy.lock:
            faults = Proxy.kinds or (FAULTS if Proxy.share < 1 else DOWN)
            fault = Proxy.dice.choice(faults) if Proxy.dice.random() < Proxy.share else "none"
            Proxy.counts[fault] += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "503":
            self._answer(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
        elif fault == "closed":
            self._close()
        elif fault == "silence":
            time.sleep(SILENCE_S)
            self._close()
        else:
            status, headers, answer = self._passed_on(body)
            if fault == "lost":
                self._close()
            elif fault == "cut" and len(answer) > 1:
                self._answer(status, headers, answer, len(answer) // 2)
                self._close()
            else:
                self._answer(status, headers, answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815

    def _passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", Proxy.upstream, timeout=60)
        headers = {name: text for name, text in self.headers.items() if name.lower() not in HOP_BY_HOP}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        return answer.status, dict(answer.getheaders()), data

    def _answer(self, status: int, headers: dict[str, str], body: bytes, sent: int | None = None) -> None:
        self.send_response_only(status)
        for name, text in headers.items():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, text)
        length = headers.get("content-length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def _close(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _control(self) -> None:
        if self.command == "POST":
            asked = parse_qs(urlsplit(self.path).query)
            Proxy.share, Proxy.kinds = float(asked["share"][0]), tuple(asked.get("kind", ()))
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(Proxy.counts).encode())

    def log_message(self, *_: object) -> None:
        pass


class FaultyProxy:
    """The process, for tests. A context manager.

    Args:
        upstream: Address of what it stands before.
        share: Share of the calls that fail, 0..1.
        seed: Of the dice.
    """

    def __init__(self, upstream: str, share: float, seed: int = 0) -> None:
        port = upstream.rpartition(":")[2]
        self._command = [sys.executable, __file__, port, str(share), str(seed)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, env=os.environ)
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdout
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def fail(self, share: float, kind: str = "") -> None:
        """Let another share of the calls fail, in one way alone if it is named."""
        requests.post(f"{self.url}/_faults", params={"share": share, "kind": kind}, timeout=10)

    def counts(self) -> Counter[str]:
        """Return how many calls there were of each kind."""
        return Counter(requests.get(f"{self.url}/_faults", timeout=10).json())


def main() -> None:
    port, share, seed = sys.argv[1:]
    Proxy.upstream, Proxy.share, Proxy.dice = int(port), float(share), random.Random(int(seed))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that are gone
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()

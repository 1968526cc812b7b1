"""Stands between a client and our server as SageMaker's runtime does, with its real limit of 60 seconds."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import requests

CUT_S = 60.0


class SageMakerFront:
    """Answers `POST /endpoints/<name>/invocations` by asking a server's `/invocations`. A context manager.

    Where the server takes longer than the limit, it hangs up on it and tells the client 424, as it does where
    the server answers with an error; the server may well work on.

    Args:
        server: The server's address, such as `http://127.0.0.1:8080`.
        cut_s: Seconds that one invocation may take.

    Attributes:
        url: Where it listens.
        invocations: Number of POSTs so far.
    """

    def __init__(self, server: str, cut_s: float = CUT_S) -> None:
        self._server = server
        self._cut_s = cut_s
        self.invocations = 0
        self._count_lock = threading.Lock()
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                front._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._listener.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.socket.close()

    def _answer(self, client: BaseHTTPRequestHandler) -> None:
        body = client.rfile.read(int(client.headers.get("Content-Length", 0)))
        start, endpoint, *rest = unquote(client.path).strip("/").split("/")
        if start != "endpoints" or rest != ["invocations"]:
            _send(client, 404, {"Message": f"no such path: {client.path}"}, "UnknownOperationException")
            return
        with self._count_lock:
            self.invocations += 1
        headers = {
            name: client.headers[name] for name in ("Content-Type", "Accept") if name in client.headers
        }
        try:
            answer = requests.post(f"{self._server}/invocations", body, headers=headers, timeout=self._cut_s)
        except requests.Timeout:
            _send_model_error(client, 0, f"Your invocation timed out while waiting for {endpoint} to answer.")
        except requests.ConnectionError as exc:
            _send_model_error(client, 500, f"The connection to {endpoint} broke: {exc}.")
        else:
            if answer.ok:
                _send(client, answer.status_code, answer.content, kind=answer.headers["Content-Type"])
            else:
                _send_model_error(client, answer.status_code, answer.text)


def _send_model_error(client: BaseHTTPRequestHandler, status: int, message: str) -> None:
    reason = f'Received server error ({status}) from primary with message "{message}".'
    body = {"Message": reason, "OriginalStatusCode": status, "OriginalMessage": message}
    _send(client, 424, body, "ModelError")


def _send(
    client: BaseHTTPRequestHandler,
    status: int,
    body: bytes | dict[str, Any],
    error: str | None = None,
    kind: str = "application/json",
) -> None:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    client.send_response(status)
    client.send_header("Content-Type", kind)
    client.send_header("Content-Length", str(len(payload)))
    if error:
        client.send_header("X-Amzn-ErrorType", error)
    client.end_headers()
    client.wfile.write(payload)

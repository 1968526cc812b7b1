"""A thread of its own answers `/ping`, whatever all the others wait for."""

import socket
import threading
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from pothole.entrypoints.http.launch import PING_SOCKET


class _Quiet(WSGIRequestHandler):
    """This handler logs nothing: the application logs each request already."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def answer_pings(application: Any) -> None:
    """Serve a WSGI application at `PING_SOCKET`, one request after the other, until the process ends."""
    path = Path(PING_SOCKET)
    path.unlink(missing_ok=True)  # a worker that was killed leaves it
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(PING_SOCKET)
    path.chmod(0o777)  # nginx works as nobody; the folder is private
    listening.listen(64)
    server = make_server(
        f"unix://{PING_SOCKET}", 0, application, request_handler=_Quiet, fd=listening.detach()
    )
    threading.Thread(target=server.serve_forever, name="ping", daemon=True).start()

"""This module says how gunicorn runs; `serve` starts it with this and says where to listen."""

import json
import os
import shutil
import signal
import socket
from http import HTTPStatus
from pathlib import Path
from types import FrameType

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from pothole.entrypoints.logs import logging_config
from pothole.settings import Settings

_settings = Settings.from_env(os.environ)

# Other worker classes leave /ping unanswered while a model computes; more workers would each hold a model.
worker_class = "gthread"
workers = 1
# Two more than there are invocations at a time, so that /metrics is answered when all of them are taken.
threads = _settings.max_invocations + 2
# This ends a worker whose main thread hangs, not a long request. To import TensorFlow may take it long.
timeout = 120
worker_tmp_dir = str(_settings.temp_dir)
control_socket_disable = True  # it would be written into the home folder, which may be read-only
logconfig_dict = logging_config(_settings.log_level)

# nginx bounds the first line, at 8 KB, and headers, 32 KB together, and answers in JSON; what it lets
# through, gunicorn takes.
limit_request_line = 0
limit_request_fields = 8192
limit_request_field_size = 16380

# A job needs so many seconds to end once it is interrupted, of those that gunicorn leaves to requests.
_LAST_WORDS_S = 5


def post_fork(arbiter: Arbiter, worker: Worker) -> None:
    """Delete what a worker that was killed has left in the folder that `serve` made for it and the next."""
    if Path.cwd().samefile(_settings.temp_dir):
        for left in (*Path().glob("job-*"), *Path().glob("body-*")):
            shutil.rmtree(left)


def write_error(client: socket.socket, status: int, reason: str, message: str) -> None:
    """Answer in JSON what gunicorn refuses, as all else is answered; by itself it sends a page of HTML."""
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        status, reason = HTTPStatus.BAD_REQUEST, "Bad Request"
        error = {
            "code": "bad_request",
            "message": "This is not an HTTP request that can be read.",
            "hint": None,
        }
    else:
        error = {"code": "internal_error", "message": "The server failed.", "hint": "Its log tells more."}
    body = json.dumps({"error": error})
    head = f"HTTP/1.1 {status:d} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    util.write_nonblock(client, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())


util.write_error = write_error  # there is no setting for it


def post_worker_init(worker: Worker) -> None:
    """Make SIGTERM stop the queue, too: gunicorn knows of requests, not of jobs that nobody waits for."""
    end_requests = signal.getsignal(signal.SIGTERM)
    assert callable(end_requests)

    def end(number: int, frame: FrameType | None) -> None:
        worker.wsgi.extensions["queue"].stop(max(0, worker.cfg.graceful_timeout - _LAST_WORDS_S))
        end_requests(number, frame)

    signal.signal(signal.SIGTERM, end)
    # Imported here, where the model is being loaded meanwhile, and not before that begins.
    from pothole.entrypoints.http.ping import answer_pings  # noqa: PLC0415

    answer_pings(worker.wsgi)


def worker_exit(arbiter: Arbiter, worker: Worker) -> None:
    """Wait for the jobs: once Python itself ends it starts no threads, and an upload needs some."""
    if app := getattr(worker, "wsgi", None):  # None when the application was not loaded
        app.extensions["queue"].wait()
        if samples := app.extensions["samples"]:
            samples.close()

"""The log has one JSON object a line on stdout, each with the id of the request that it belongs to."""

import logging
import re
import time
import uuid
from contextvars import ContextVar
from typing import Any

from flask import Flask, Response, g, request

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_logger = logging.getLogger("pothole.requests")


class RequestIdFilter(logging.Filter):
    """This filter adds `request_id` to each record of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id, and let every record through."""
        record.request_id = _request_id.get()
        return True


def logging_config(level: str) -> dict[str, Any]:
    """Return the settings for `logging.config.dictConfig`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestIdFilter}},
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": ["levelname", "name", "message", "request_id"],
                "rename_fields": {"levelname": "level", "name": "logger"},
                "timestamp": True,
            }
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "json",
                "filters": ["request_id"],
            }
        },
        "root": {"level": level, "handlers": ["stdout"]},
        "loggers": {
            "gunicorn.error": {"propagate": True},
            "gunicorn.access": {"propagate": False},  # `log_requests` says it with the request's id
        },
    }


def log_requests(app: Flask) -> None:
    """Give each request an id, the client's where it sent a decent one, and log each answer with it."""

    @app.before_request
    def begin() -> None:
        g.started = time.monotonic()
        given = request.headers.get("X-Request-Id", "")
        _request_id.set(given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else uuid.uuid4().hex)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = _request_id.get()
        # A health check every few seconds would bury the rest.
        level = logging.DEBUG if request.path == "/ping" and response.status_code < 400 else logging.INFO
        milliseconds = round((time.monotonic() - g.started) * 1000, 1)
        fields = {"method": request.method, "path": request.path, "status": response.status_code}
        _logger.log(level, "answered", extra={**fields, "milliseconds": milliseconds})
        return response

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        _request_id.set(None)  # threads are used again

"""The log has one JSON object a line on stdout, each with the id of the request that it belongs to."""

import logging
from contextvars import ContextVar
from typing import Any

from pothole.metrics import EMBEDDED

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that this thread works on; None outside of requests."""


class RequestIdFilter(logging.Filter):
    """This filter adds `request_id` to each record of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id, and let every record through."""
        record.request_id = request_id.get()
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
                # A field whose name begins with "_" would be left out.
                "rename_fields": {"levelname": "level", "name": "logger", EMBEDDED: "_aws"},
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

"""Each request has an id, and each answer is logged with it."""

import logging
import re
import time
import uuid
from http import HTTPStatus

from flask import Flask, Response, g, request

from pothole.entrypoints.logs import request_id

# The first that is decent counts; SageMaker passes the second on, and keeps the first to itself.
ID_HEADERS = ("X-Request-Id", "X-Amzn-SageMaker-Inference-Id")
ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"
_logger = logging.getLogger("pothole.requests")


def log_requests(app: Flask) -> None:
    """Give each request an id, the client's where it sent a decent one, and log each answer with it."""

    @app.before_request
    def begin() -> None:
        g.started = time.monotonic()
        given = (request.headers.get(name, "") for name in ID_HEADERS)
        decent = (each for each in given if re.fullmatch(r"[\w.-]{1,64}", each, re.ASCII))
        request_id.set(next(decent, uuid.uuid4().hex))

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = request_id.get()
        # A health check every few seconds would bury the rest.
        quiet = request.path in {"/ping", "/room"} and response.status_code < HTTPStatus.BAD_REQUEST
        level = logging.DEBUG if quiet else logging.INFO
        milliseconds = round((time.monotonic() - g.started) * 1000, 1)
        fields = {"method": request.method, "path": request.path, "status": response.status_code}
        if attributes := request.headers.get(ATTRIBUTES_HEADER):
            fields["custom_attributes"] = attributes[:1024]
        _logger.log(level, "answered", extra={**fields, "milliseconds": milliseconds})
        return response

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        request_id.set(None)  # the thread will serve other requests

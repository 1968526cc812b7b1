"""Every failure is answered as JSON, `{"error": {"code", "message", "hint"}}`; tracebacks stay in the log."""

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from pothole.errors import (
    AccessDenied,
    Busy,
    Cancelled,
    DiskFull,
    GivenUp,
    InvalidMedia,
    NotReady,
    PotholeError,
    RequestError,
    SourceChanged,
    SourceNotFound,
    StorageUnavailable,
    TooLarge,
    UnsupportedMedia,
)
from pothole.metrics import Metrics

RETRY_AFTER_S = 5
STATUSES: dict[type[PotholeError], HTTPStatus] = {
    RequestError: HTTPStatus.BAD_REQUEST,
    AccessDenied: HTTPStatus.FORBIDDEN,
    SourceNotFound: HTTPStatus.NOT_FOUND,
    SourceChanged: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    InvalidMedia: HTTPStatus.UNPROCESSABLE_ENTITY,
    Cancelled: HTTPStatus.CONFLICT,
    GivenUp: HTTPStatus.UNPROCESSABLE_ENTITY,
    Busy: HTTPStatus.TOO_MANY_REQUESTS,
    StorageUnavailable: HTTPStatus.BAD_GATEWAY,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
    PotholeError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""What is answered for each kind of error; a kind that is not listed is answered as its parent is."""

_PASSING = (Busy, DiskFull, NotReady)  # these pass with time alone
_logger = logging.getLogger("pothole.errors")


def status_of(kind: type[PotholeError]) -> HTTPStatus:
    """Return the HTTP status of a kind of error."""
    return next(STATUSES[parent] for parent in kind.__mro__ if parent in STATUSES)


def answer_errors_as_json(app: Flask, metrics: Metrics) -> None:
    """Register the error handlers, which count what they answer."""

    @app.errorhandler(PotholeError)
    def ours(error: PotholeError) -> Response:
        response = jsonify(error.to_json())
        response.status_code = status = status_of(type(error))
        metrics.errors.labels(error.code).inc()
        if isinstance(error, _PASSING):
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            _logger.info(error)
        elif status < HTTPStatus.INTERNAL_SERVER_ERROR:
            _logger.warning(error)
        else:
            _logger.error(error, exc_info=error)
        return response

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        response = jsonify(_body(status.name.lower(), error.description or status.phrase))
        metrics.errors.labels(status.name.lower()).inc()
        response.status_code = status
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(error.valid_methods or ())
        return response

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> tuple[Response, HTTPStatus]:
        _logger.exception("unexpected error", exc_info=error)
        metrics.errors.labels("internal_error").inc()
        body = _body("internal_error", "The server failed.", "Its log tells more under this request id.")
        return jsonify(body), HTTPStatus.INTERNAL_SERVER_ERROR


def _body(code: str, message: str, hint: str | None = None) -> dict[str, dict[str, str | None]]:
    return {"error": {"code": code, "message": message, "hint": hint}}

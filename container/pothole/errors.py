"""Every error that the package raises on purpose.

    PotholeError                      500  something of ours went wrong
    ├── RequestError (ValueError)     400  the request's JSON or a parameter is wrong
    │   └── SourceIsOutput            400  the source already is an output of ours
    ├── AccessDenied (PermissionError)403  the storage refuses us
    ├── SourceNotFound (FileNotFoundError) 404  no such bucket, object or file
    ├── SourceChanged (RuntimeError)  409  the source was replaced while it was worked on
    ├── TooLarge (ValueError)         413  above a stated limit
    ├── UnsupportedMedia (ValueError) 415  a content type that is not read here
    ├── InvalidMedia (ValueError)     422  the bytes are not a picture or video that can be read
    ├── GivenUp (RuntimeError)        422  workers died of the video, again and again
    ├── Busy (RuntimeError)           429  as much is in work and waiting as is taken
    ├── ModelError (RuntimeError)     500  the model folder cannot be loaded
    ├── StorageUnavailable (OSError)  502  the storage failed, retries included
    ├── NotReady (RuntimeError)       503  the model is still loading, or the server is stopping
    │   └── Interrupted               503  a job was stopped on the way and may be taken up again
    └── DiskFull (OSError)            507  source and output do not fit on the disk

Each carries one sentence for the client, and where it is known the way out.
The server turns `status`, `code`, the message and `hint` into its error JSON; tracebacks stay in the log.
"""

from http import HTTPStatus
from typing import ClassVar


class PotholeError(Exception):
    """Base of all errors here.

    Args:
        message: One sentence that names the field or file and what is wrong with it.
        hint: The way out, when it is known.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def name(self, source: str) -> None:
        """Put the source that the error is about in front of the message, unless it is named already."""
        if source not in self.message:
            self.message = f"{source}: {self.message}"

    def to_json(self) -> dict[str, dict[str, str | None]]:
        """Return the body that a client sees."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class RequestError(PotholeError, ValueError):
    """The request is not well-formed: JSON, a field's name, type or value."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_request"


class SourceIsOutput(RequestError):
    """The source's key is one that this project writes, so marking it would loop."""

    code = "source_is_output"


class AccessDenied(PotholeError, PermissionError):
    """The storage knows us and refuses."""

    status = HTTPStatus.FORBIDDEN
    code = "access_denied"


class SourceNotFound(PotholeError, FileNotFoundError):
    """There is no such bucket, object or file."""

    status = HTTPStatus.NOT_FOUND
    code = "source_not_found"


class SourceChanged(PotholeError, RuntimeError):
    """The source is another one than when the job began: a new job."""

    status = HTTPStatus.CONFLICT
    code = "source_changed"


class TooLarge(PotholeError, ValueError):
    """The input is above a stated limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too_large"


class UnsupportedMedia(PotholeError, ValueError):
    """The content type is none of those read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class InvalidMedia(PotholeError, ValueError):
    """The bytes are not a picture or a video that can be read."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_media"


class GivenUp(PotholeError, RuntimeError):
    """Workers died of the video, again and again, so it is left alone until it is asked for anew."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "given_up"


class Busy(PotholeError, RuntimeError):
    """As many requests are in work and waiting as this server takes."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_requests"


class ModelError(PotholeError, RuntimeError):
    """A model folder is incomplete or does not fit this code."""

    code = "model_error"


class StorageUnavailable(PotholeError, OSError):
    """The storage failed and went on failing when asked again."""

    status = HTTPStatus.BAD_GATEWAY
    code = "storage_unavailable"


class NotReady(PotholeError, RuntimeError):
    """Nobody can be served right now: loading or stopping."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "not_ready"


class Interrupted(NotReady):
    """A job was stopped before its end; nothing is wrong with it, and whoever starts it again goes on."""

    code = "interrupted"


class DiskFull(PotholeError, OSError):
    """There is not enough room for source and output."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
    code = "disk_full"

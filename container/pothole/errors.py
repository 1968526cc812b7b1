"""This is every error that the package raises on purpose.

    PotholeError                          something of ours went wrong
    ├── RequestError (ValueError)         a field of a request or a flag is wrong
    │   └── SourceIsOutput                the source already is an output of ours
    ├── ConfigError (ValueError)          a setting, a hyperparameter or a model's operation is wrong
    ├── DatasetError (ValueError)         annotated pictures cannot be used as they are
    ├── AccessDenied (PermissionError)    the storage refuses us
    ├── SourceNotFound (FileNotFoundError) no such bucket, object or file
    ├── SourceChanged (RuntimeError)      the source was replaced while it was worked on
    ├── TooLarge (ValueError)             above a stated limit
    ├── UnsupportedMedia (ValueError)     a content type that is not read here
    ├── InvalidMedia (ValueError)         the bytes are not a picture or video that can be read
    ├── Cancelled (RuntimeError)          somebody cancelled the job
    ├── GivenUp (RuntimeError)            workers died of the video, again and again
    ├── Busy (RuntimeError)               as much is in work and waiting as is taken
    ├── ModelError (RuntimeError)         the model folder cannot be loaded
    ├── StorageUnavailable (OSError)      the storage failed, retries included
    ├── NotReady (RuntimeError)           the model is still loading, or the server is stopping
    │   └── Interrupted                   a job was stopped on the way and may be taken up again
    │       └── LeaseLost                 another worker has taken the job over
    └── DiskFull (OSError)                source and output do not fit on the disk

Each carries one sentence for whoever asked, and where it is known the way out. None knows of HTTP: an entry
point decides what it answers.
"""

import json
import ssl
from collections.abc import Mapping
from typing import ClassVar, Self


class PotholeError(Exception):
    """All errors here derive from this one.

    Args:
        message: One sentence that names the field or file and what is wrong with it.
        hint: The way out, when it is known.

    Attributes:
        message: As it was given.
        hint: As it was given.
        source: The address of what was worked on, for the reader of the message; None while it is not known.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.source: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.sentence, self.hint)))

    @property
    def sentence(self) -> str:
        """Return the message, with the source in front unless the message names it."""
        named = self.source is None or self.source in self.message
        return self.message if named else f"{self.source}: {self.message}"

    def about(self, source: str) -> Self:
        """Note what was worked on, and return the error itself."""
        self.source = source
        return self

    def to_json(self) -> dict[str, dict[str, str | None]]:
        """Return the body that a client sees."""
        return {"error": {"code": self.code, "message": self.sentence, "hint": self.hint}}

    @classmethod
    def from_json(cls, error: Mapping[str, str | None]) -> "PotholeError":
        """Return the error that a body's `error` was made of; this class for a code that is not known."""
        kinds: list[type[PotholeError]] = [PotholeError]
        for kind in kinds:
            kinds += kind.__subclasses__()
        found = next((kind for kind in kinds if kind.code == error.get("code")), cls)
        return found(error.get("message") or "", error.get("hint"))


class RequestError(PotholeError, ValueError):
    """The request is not well-formed: JSON, a field's name, type or value."""

    code = "invalid_request"


class SourceIsOutput(RequestError):
    """The source's key is one that this project writes, so marking it would loop."""

    code = "source_is_output"


class ConfigError(PotholeError, ValueError):
    """A setting of the environment, a hyperparameter or a model's operation is not what it has to be."""

    code = "invalid_configuration"


class DatasetError(PotholeError, ValueError):
    """Annotated pictures cannot be used as they are."""

    code = "invalid_dataset"


class AccessDenied(PotholeError, PermissionError):
    """The storage knows us and refuses."""

    code = "access_denied"


class SourceNotFound(PotholeError, FileNotFoundError):
    """There is no such bucket, object or file."""

    code = "source_not_found"


class SourceChanged(PotholeError, RuntimeError):
    """The source is another one than when the job began: a new job."""

    code = "source_changed"


class TooLarge(PotholeError, ValueError):
    """The input is above a stated limit."""

    code = "too_large"


class UnsupportedMedia(PotholeError, ValueError):
    """The content type is none of those read here."""

    code = "unsupported_media_type"


class InvalidMedia(PotholeError, ValueError):
    """The bytes are not a picture or a video that can be read."""

    code = "invalid_media"


class Cancelled(PotholeError, RuntimeError):
    """Somebody cancelled the job; whoever asks for it anew has it done from its beginning."""

    code = "cancelled"


class GivenUp(PotholeError, RuntimeError):
    """Workers died of the video, again and again, so it is left alone until it is asked for anew."""

    code = "given_up"


class Busy(PotholeError, RuntimeError):
    """As many requests are in work and waiting as this server takes."""

    code = "too_many_requests"


class ModelError(PotholeError, RuntimeError):
    """A model folder is incomplete or does not fit this code."""

    code = "model_error"


class StorageUnavailable(PotholeError, OSError):
    """The storage failed and went on failing when asked again."""

    code = "storage_unavailable"


class NotReady(PotholeError, RuntimeError):
    """Nobody can be served right now: loading or stopping."""

    code = "not_ready"


class Interrupted(NotReady):
    """A job was stopped before its end; nothing is wrong with it, and whoever starts it again goes on."""

    code = "interrupted"


class LeaseLost(Interrupted):
    """Another worker has taken the job over, since this one sent no heartbeat for too long."""


class DiskFull(PotholeError, OSError):
    """There is not enough room for source and output."""

    code = "disk_full"


PASSING = (AccessDenied, DiskFull, Interrupted, SourceChanged, SourceNotFound, StorageUnavailable)
"""These errors say nothing against the video: whoever asks for the job again has it tried again."""

RESUMABLE = (AccessDenied, DiskFull, Interrupted, StorageUnavailable)
"""Those of `PASSING` after which the source is still the same, so that a job goes on at its checkpoint."""

WITH_TENSORFLOW = ("h5py", "keras", "pycocotools", "tensorflow")
"""These packages come with TensorFlow, in the full image alone."""


def needs_tensorflow(exc: ModuleNotFoundError) -> ConfigError:
    """Return what to tell when TensorFlow or what comes with it is missing; raise any other error again."""
    if exc.name not in WITH_TENSORFLOW:
        raise exc
    return ConfigError(
        "This needs TensorFlow, which is not installed: use the full image, or `pip install 'pothole[cpu]'`."
    )


def reason(exc: BaseException) -> str:
    """Return why something failed, as a part of a sentence, without what only programmers read in it."""
    match exc:
        case UnicodeDecodeError():
            text = "it is no text in UTF-8"
        case json.JSONDecodeError():
            text = f"it is no JSON at line {exc.lineno}, column {exc.colno}"
        case KeyError():
            text = f"{exc.args[0]!r} is missing"
        case TypeError() | AttributeError():
            text = "a value in it is of another kind than expected"
        case RecursionError():
            text = "it is nested too deeply"
        case ssl.SSLCertVerificationError():
            text = f"its certificate is not trusted, {exc.verify_message}"
        case OSError() if exc.strerror:
            text = exc.strerror[0].lower() + exc.strerror[1:]
        case _:  # libraries in C++ put where they failed into the lines before the last one
            lines = [line.strip() for line in str(exc).splitlines() if line.strip(" .")]
            text = lines[-1] if lines else type(exc).__name__
    return text.rstrip(".!")

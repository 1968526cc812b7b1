"""A storage is what a job needs of a bucket, or of a folder that stands for one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pothole.errors import SourceNotFound, TooLarge
from pothole.files import MIB


@dataclass(frozen=True)
class Stat:
    """A stat is what a storage says of an object.

    Attributes:
        size: Bytes.
        version: Another one whenever the content is another one: S3's ETag, or a file's size and time.
        age_s: Seconds since it was written, by the storage's own clock: those of workers need not agree.
    """

    size: int
    version: str
    age_s: float


MAX_IN_MEMORY = 16 * MIB
"""Bytes of the largest object that is read into memory as a whole; ours are far smaller."""

Confirm = Callable[[], None]
"""Returns while this worker may still write, and raises as soon as another one may."""


class Storage(Protocol):
    """A storage is a bucket, or a folder that stands for one; tests replace it at this seam.

    Every method raises `SourceNotFound` when bucket, folder, object or file is missing, `AccessDenied` when
    the storage refuses, `RequestError` for a name that cannot be, and `StorageUnavailable` when the storage
    failed, retries included.
    """

    def stat(self, key: str) -> Stat:
        """Look at an object without reading it."""
        ...

    def fetch(self, key: str, folder: Path, max_bytes: int, version: str | None = None) -> Path:
        """Make an object readable as a local file.

        Args:
            key: The object's key.
            folder: Where a copy is written if one is needed; is made then.
            max_bytes: Largest size that is accepted.
            version: The version that is meant; the one that is there when None.

        Raises:
            TooLarge: It is above `max_bytes`; nothing was copied.
            SourceChanged: It has another version, or was replaced on the way.
            DiskFull: The copy does not fit.
        """
        ...

    def publish(self, path: Path, key: str, content_type: str, confirm: Confirm | None = None) -> str | None:
        """Move a finished file to its place, all at once: whoever looks sees the old one or the new one.

        Args:
            path: The file; it may be gone when it is published.
            key: Its key.
            content_type: Its media type.
            confirm: Called before and during the work; what it raises goes on, with nothing published. Once
                it returns for another worker, nobody for whom it returned earlier can write any more,
                however long that one was stopped. None writes over whatever is there.

        Returns:
            The new version; None, and the file still there, when somebody wrote the object at the same time.
        """
        ...

    def read(self, key: str) -> tuple[bytes, Stat]:
        """Read a small object into memory."""
        ...

    def write(self, key: str, data: bytes, replaces: str | None) -> str | None:
        """Write a small JSON object, unless somebody else has written it meanwhile.

        Args:
            key: The object's key.
            data: Its content.
            replaces: The version that it replaces; None for an object that is not there yet.

        Returns:
            The new version; None when another one, or none, is there in place of `replaces`.
        """
        ...

    def list(self, folder: str) -> list[str]:
        """Return the keys below a folder, in order; none when there is no such folder."""
        ...

    def stats(self, folder: str) -> dict[str, Stat]:
        """Look at all that is below a folder, by key; the same as `stat` for each, at once."""
        ...

    def delete(self, folder: str) -> None:
        """Delete all that is below a folder."""
        ...

    def address(self, key: str) -> str:
        """Return the name of an object for people: `s3://bucket/key`, or a path."""
        ...


Publish = Callable[[Storage, Path, str, str], None]
"""Publishes a file in a storage, under a key, with a content type."""


@contextmanager
def publishing_at_once() -> Iterator[Publish]:
    """Return a function that publishes a file in place of whatever is there."""

    def publish(store: Storage, path: Path, key: str, content_type: str) -> None:
        store.publish(path, key, content_type)

    yield publish


def version_at(store: Storage, key: str) -> str | None:
    """Return the version of an object; None when there is none."""
    try:
        return store.stat(key).version
    except SourceNotFound:
        return None


def check_size(address: str, size: int, max_bytes: int) -> None:
    """Raise `TooLarge` for more than `max_bytes`."""
    if size > max_bytes:
        raise TooLarge(
            f"{address} has {size} bytes, above the limit of {max_bytes}.",
            hint="Cut the video, or raise MAX_VIDEO_BYTES.",
        )

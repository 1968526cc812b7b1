"""This module has the small tasks with files that more than one room needs."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

NPZ_DAMAGE = OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error
"""What numpy raises at an `.npz` that is not there, not whole or none."""

MIB = 2**20
"""Bytes of a mebibyte; files are read and sent in blocks of this size."""

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"),
    *(".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"),
)
"""How the names of videos end, in small letters. The Lambda has the same list."""

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".avif"),
    *(".heic", ".heif", ".hif"),
)
"""How the names of pictures end, in small letters."""


def split_key(key: str) -> tuple[str, str]:
    """Return a key's folder with the slash behind it, and its last part without one."""
    # Not a Path: S3's keys are plain strings, and a Path would tidy them into other ones.
    folder, slash, name = key.removesuffix("/").rpartition("/")
    return folder + slash, name


def is_output(key: str) -> bool:
    """Say whether a key's last part is `<stem>_output.<extension>`."""
    stem, dot, _ = split_key(key)[1].rpartition(".")
    return bool(dot) and stem.endswith("_output")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Return a digest of the names and contents of all files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    contents = json.dumps([(str(path.relative_to(folder)), file_digest(path)) for path in files])
    return hashlib.sha256(contents.encode()).hexdigest()[:32]


def readable(path: Path) -> str:
    r"""Return a path as text for every program, with `\xdf` and the like for bytes that are no UTF-8."""
    return readable_text(str(path))


def readable_text(text: str) -> str:
    """Return what Python made of bytes as text for every program, see `readable`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file, its stem, with a number where another has the same."""
    names: dict[str, None] = {}
    numbers = Counter[str]()
    for path in paths:
        name = path.stem
        while name in names:
            numbers[path.stem] += 1
            name = f"{path.stem}-{numbers[path.stem] + 1}"
        names[name] = None
    return list(names)


@contextmanager
def private_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a temporary folder; those that killed processes have left beside it are removed.

    A folder in use is locked, and the system unlocks it when its process ends, in whatever way.

    Args:
        parent: Where it is made.
        prefix: How its name begins, and those of the folders to look at: no name that others might use.

    Raises:
        OSError: It cannot be made.
    """
    for left in parent.glob(f"{prefix}*"):
        with suppress(OSError), _locked(left):  # it is in use, or another user's
            shutil.rmtree(left)
    folder, lock = _new_locked(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path for a new file or folder, which takes its place at once when the body succeeds.

    Whoever reads `path` meanwhile finds it as it was, and so does whoever comes after a failure or a kill.

    Args:
        path: Where it goes; its folder is made when it is missing. A folder may be there only if it is empty.

    Raises:
        OSError: It cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside it, since a rename is at once only within one file system.
    with private_folder(path.parent, ".pothole-") as aside:
        whole = aside / path.name
        yield whole
        whole.replace(path)


def _new_locked(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except FileNotFoundError:
            continue  # another process took it for one that was left
        if folder.exists():
            return folder, lock
        os.close(lock)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; raise OSError where another process does."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)

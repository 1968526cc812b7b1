"""These small things are done with files in more than one room."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"),
    *(".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"),
)
"""How the names of videos end, in small letters. The Lambda has the same list."""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def readable(path: Path) -> str:
    r"""Return a path as text for every program, with `\xdf` and the like for bytes that are no UTF-8."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file, its stem, with a number where another has the same."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 1
        while name in names:
            number += 1
            name = f"{path.stem}-{number}"
        names.append(name)
    return names

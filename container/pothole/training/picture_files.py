"""The pictures of a data set are found by the names that an annotation file gives them."""

import os
import unicodedata
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from pothole.errors import DatasetError, SourceNotFound
from pothole.files import PICTURE_SUFFIXES
from pothole.training.coco import file_names


class PictureFiles:
    """These are the files of a data set's folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Path:
        """Return the file of a picture.

        It lies in the folder or in `images/` under the name that the annotations say. Where there is none, it
        may lie in a folder below, with other small and capital letters, as Windows does not tell them apart.

        Raises:
            SourceNotFound: There is none.
            DatasetError: There are several.
        """
        said = [path for path in map(Path, file_names(name)) if path.name and ".." not in path.parts]
        names = [picture for path in said for picture in _pictures(path)]
        places = [
            folder / path
            for path in names
            if not path.is_absolute()
            for folder in (self._folder, self._folder / "images")
        ]
        for path in places:
            if os.path.isfile(path):  # noqa: PTH113  # Path's raises for names that are too long
                return path
        for path in names:
            if found := self._like(path):
                return found
        expected = f"Expected it at {' or '.join(map(str, places[:2]))}." if places else None
        raise SourceNotFound(f"{name}, which the annotations in {self._folder} name, is missing.", expected)

    def _like(self, path: Path) -> Path | None:
        """Return the file of that name that has most of the path's folders in common."""
        candidates = self._below.get(_folded(path.name), [])
        if not candidates:
            return None
        shared = [_shared(path, candidate) for candidate in candidates]
        best = [
            candidate for candidate, count in zip(candidates, shared, strict=True) if count == max(shared)
        ]
        if len(best) > 1:
            raise DatasetError(f"{path} may be {best[0]} or {best[1]}.", "Name it with its folder.")
        return best[0]

    @cached_property
    def _below(self) -> dict[str, list[Path]]:
        """Return all files in the folder and below it, by their names."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self._folder.rglob("*")):
            if path.is_file():
                found.setdefault(_folded(path.name), []).append(path)
        return found


def _pictures(path: Path) -> list[Path]:
    """Return the names that a picture may have; labelme can name its own file in place of the picture."""
    is_annotation = path.suffix.lower() in {".json", ".xml"}
    return [path.with_suffix(suffix) for suffix in PICTURE_SUFFIXES] if is_annotation else [path]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _shared(one: Path, other: Path) -> int:
    """Return how many parts from the end on are the same."""
    pairs = zip(reversed(one.parts), reversed(other.parts), strict=False)
    return len(list(takewhile(lambda pair: _folded(pair[0]) == _folded(pair[1]), pairs)))

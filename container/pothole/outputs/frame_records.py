"""Outputs in JSON with a record for each frame are written part by part, all in one way."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from pothole.geo.located import Located
from pothole.media import Video
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.sink import Summary
from pothole.tracking.tracks import Track

BETWEEN = ",\n"
UNLISTED = "null\n"  # the line of a frame that has no record

Record = dict[str, Any] | None


class Strict(BaseModel):
    """A strict model takes the declared fields alone, of the declared types."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class FrameRecordSink(ABC):
    """A frame record sink writes part by part, so that memory does not grow with the video. See `Sink`.

    A part holds the JSON of its frames, one a line.

    Args:
        path: The output; is overwritten.
        opening: What stands in front of the first record.
    """

    part_suffix = ".jsonl"
    kind: ClassVar[type[Strict]]
    """What a record has to be."""

    def __init__(self, path: Path, opening: str) -> None:
        self._path = path
        self._is_empty = True
        self._finished = False
        self._file = path.open("w", encoding="utf-8")
        self._file.write(opening)

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def record(self, marked: MarkedFrame) -> Record:
        """Return the record of a frame; None for one that is left out."""

    @abstractmethod
    def closing(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None
    ) -> str:
        """Return what stands behind the last record."""

    @contextmanager
    def open_part(self, path: Path) -> Iterator["_Part"]:
        """See `Sink.open_part`."""
        try:
            with path.open("w", encoding="utf-8") as file:
                yield _Part(file, self.record)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def check_part(self, path: Path, frames: int) -> None:
        """See `Sink.check_part`."""
        count = 0
        with path.open(encoding="utf-8") as lines:
            for count, line in enumerate(lines, start=1):
                try:
                    if line != UNLISTED:
                        self.kind.model_validate_json(line)
                except ValidationError as exc:
                    raise ValueError(f"line {count} of {path.name} is no record of a frame") from exc
        if count != frames:
            raise ValueError(f"{path.name} has the records of {count} frames, expected {frames}")

    def append(self, part: Path) -> None:
        """See `Sink.append`."""
        with part.open(encoding="utf-8") as lines:
            for line in lines:
                if line != UNLISTED:
                    self._file.write(("\n" if self._is_empty else BETWEEN) + line.removesuffix("\n"))
                    self._is_empty = False

    def finish(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None = None
    ) -> None:
        """See `Sink.finish`."""
        self._file.write(self.closing(summary, tracks, video, located))
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except BaseException:
            self._finished = False
            raise
        finally:
            if error is not None or not self._finished:
                self._path.unlink(missing_ok=True)


class _Part:
    def __init__(self, file: TextIO, record: Callable[[MarkedFrame], Record]) -> None:
        self._file, self._record = file, record

    def write(self, marked: MarkedFrame) -> None:
        self._file.write(to_json(self._record(marked)) + "\n")


def to_json(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

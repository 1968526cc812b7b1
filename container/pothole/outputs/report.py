"""The JSON report, `<stem>_output.json`, says what was found, frame by frame and track by track.

An example with all fields, and what they mean, stands in `docs/reference/outputs.md`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pothole.media import Video
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracks import Track

SCHEMA = 1
BETWEEN = ",\n"


class ReportSink:
    """The report is written part by part, so that memory does not grow with the video. See `Sink`.

    A part holds the JSON of its frames, one a line.

    Args:
        path: The output; is overwritten.
        source: What the report says of where it comes from.
    """

    part_suffix = ".jsonl"

    def __init__(self, path: Path, source: Source) -> None:
        self._path = path
        self._class_names = source.class_names
        self._pictures = source.pictures
        self._is_empty = True
        self._finished = False
        head = {
            "schema": SCHEMA,
            "source": source.address,
            "output": source.output,
            "model": {"name": source.model, "min_confidence": source.min_confidence},
            "settings": source.settings,
        }
        opening = _json(head).removesuffix("}")
        self._file = path.open("w", encoding="utf-8")
        self._file.write(f'{opening},\n"frames":[')

    def __enter__(self) -> Self:
        return self

    @contextmanager
    def open_part(self, path: Path) -> Iterator["_ReportPart"]:
        """See `Sink.open_part`."""
        try:
            with path.open("w", encoding="utf-8") as file:
                yield _ReportPart(file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def check_part(self, path: Path, frames: int) -> None:
        """See `Sink.check_part`."""
        count = 0
        with path.open(encoding="utf-8") as lines:
            for count, line in enumerate(lines, start=1):
                try:
                    _FrameRecord.model_validate_json(line)
                except ValidationError as exc:
                    raise ValueError(f"line {count} of {path.name} is no record of a frame") from exc
        if count != frames:
            raise ValueError(f"{path.name} has the records of {count} frames, expected {frames}")

    def append(self, part: Path) -> None:
        """See `Sink.append`."""
        with part.open(encoding="utf-8") as lines:
            for line in lines:
                self._file.write(("\n" if self._is_empty else BETWEEN) + line.removesuffix("\n"))
                self._is_empty = False

    def finish(self, summary: Summary, tracks: Sequence[Track], video: Video) -> None:
        """See `Sink.finish`."""
        info = video.info
        about_video = {
            "width": info.width,
            "height": info.height,
            "fps": f"{info.rate.numerator}/{info.rate.denominator}",
            "fps_float": round(float(info.rate), 6),
            "duration_s": info.duration_s,
            "frames_declared": info.frame_count,
            "frames_written": summary.frames,
            "missing_frames": video.missing_frames,
            "warning": video.decode_warning,
        }
        records = BETWEEN.join(_json(self._record(track)) for track in tracks)
        self._file.write("\n],")
        if self._pictures:
            about = BETWEEN.join(_json(taken.to_json()) for taken in self._pictures[: summary.frames])
            self._file.write(f'\n"pictures":[\n{about}\n],')
        self._file.write(f'\n"tracks":[\n{records}\n],\n"video":{_json(about_video)},\n')
        self._file.write(f'"summary":{_json(asdict(summary))}}}\n')
        self._finished = True

    def _record(self, track: Track) -> dict[str, Any]:
        names = self._class_names
        return track.to_json() | ({"label": names[track.class_id]} if len(names) > 1 else {})

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


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _MarkRecord(_Strict):
    label: str
    score: float = Field(ge=0, le=1)
    box: tuple[float, float, float, float]
    area: int = Field(ge=0)
    track_id: int | None = Field(ge=1)
    polygons: list[list[int]]


class _FrameRecord(_Strict):
    index: int = Field(ge=0)
    time_s: float
    potholes: list[_MarkRecord]


class _ReportPart:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, marked: MarkedFrame) -> None:
        record = {
            "index": marked.index,
            "time_s": round(float(marked.time), 6),
            "potholes": marked.detections.to_json(),
        }
        self._file.write(_json(record) + "\n")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

"""The JSON report, `<stem>_output.json`, says what was found, frame by frame and track by track.

    {
      "schema": 1,
      "source": "s3://bucket/road/clip.mp4",
      "output": "s3://bucket/road/clip_output.mp4",
      "model": {"name": "mask-rcnn", "min_confidence": 0.5},
      "settings": {"frame_interval": null},
      "frames": [
        {"index": 0, "time_s": 0.0, "potholes": [
          {"label": "pothole", "score": 0.98, "box": [410.2, 300.0, 480.5, 331.1], "area": 1512,
           "track_id": 12, "polygons": [[412, 310, 440, 301, 478, 322]]}]}
      ],
      "tracks": [
        {"id": 12, "first_frame": 31, "last_frame": 74, "first_time_s": 1.034367, "last_time_s": 2.469133,
         "hits": 40, "max_score": 0.98, "best_frame": 66, "best_box": [410.2, 300.0, 480.5, 331.1]}
      ],
      "video": {"width": 1280, "height": 720, "fps": "30000/1001", "fps_float": 29.97003,
                "duration_s": 12.5125, "frames_declared": 375, "frames_written": 375,
                "missing_frames": 0, "warning": null},
      "summary": {"potholes": 7, "detections": 212, "frames": 375, "frames_with_potholes": 201,
                  "seen_once": 3}
    }

- `output` is where the marked video is, null when none was asked for. `settings` are the caller's.
- `frames` has every frame of the output. Times are seconds of the output, as a player shows them:
  the first frame is at 0, or later where the sound begins before the pictures.
- `box` is xyxy, `polygons` are x, y, x, y …, in pixels of the upright picture; `area` is the mask's.
- `label` is the class; `tracks` tell it, too, where the model has more than one.
- `track_id` is that of a record of `tracks`: what is marked is what counts. `tracks` has one record per
  confirmed pothole; its frames, `hits` and `best_box` are those in which the detector saw it.
- `fps`, `duration_s` and `frames_declared` are of the source's pictures; the last is null when unknown.
  `missing_frames` and `warning` tell what of the source could not be read; the former is null when it is cut
  short and does not say by how much.
- Of a folder of pictures there is a list `pictures` before `tracks`: of each frame its `file`, and the `time`
  and the camera's `lat` and `lon` as its EXIF has them, else null.
- `detections` counts the entries of all `potholes` lists; `seen_once` are objects that were detected, and too
  seldom to count.
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

"""The data beside a marked video: `<stem>_output.json`.

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
      "summary": {"potholes": 7, "detections": 212, "frames": 375, "frames_with_potholes": 201}
    }

- `settings` are the caller's.
- `frames` has every frame of the output. Times are seconds since the first frame, as a player shows them.
- `box` is xyxy, `polygons` are x, y, x, y …, in pixels of the upright picture; `area` is the mask's.
- `track_id` is that of a record of `tracks`: what is marked is what counts. `tracks` has one record per
  confirmed pothole; its frames, `hits` and `best_box` are those in which the detector saw it.
- `fps`, `duration_s` and `frames_declared` are the source's; the latter two are null when it does not say.
  `missing_frames` and `warning` tell what of a damaged source could not be read.
- `detections` counts the entries of all `potholes` lists.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pothole.detections import Detections
from pothole.media import Frame, Video
from pothole.tracking.tracks import Track

SCHEMA = 1


@dataclass(frozen=True)
class Summary:
    """What a video holds.

    Attributes:
        potholes: Confirmed potholes, each counted once.
        detections: Marks drawn, over all frames.
        frames: Frames written.
        frames_with_potholes: Frames with one mark or more.
    """

    potholes: int
    detections: int
    frames: int
    frames_with_potholes: int


@dataclass
class ReportPart:
    """What a report says of some frames, one after the other.

    Attributes:
        records: JSON, one of each frame.
        detections: Marks drawn, over all of them.
        frames_with_potholes: Frames with one mark or more.
    """

    records: list[str] = field(default_factory=list)
    detections: int = 0
    frames_with_potholes: int = 0

    def add(self, frame: Frame, detections: Detections) -> None:
        """Take one frame's potholes."""
        record = {
            "index": frame.index,
            "time_s": round(float(frame.time), 6),
            "potholes": detections.to_json(),
        }
        self.records.append(_json(record))
        self.detections += len(detections)
        self.frames_with_potholes += bool(len(detections))


class ReportWriter:
    """Writes the data part by part, so that memory does not grow with the video. A context manager.

    When the body fails, or ends without `finish`, the file is removed.

    Args:
        path: The output; is overwritten.
        source: Where the video is.
        output: Where the marked video goes.
        model: The detector's name.
        min_confidence: Lowest score that counted.
        settings: The caller's, whatever JSON can say.
    """

    def __init__(
        self,
        path: Path,
        source: str,
        output: str,
        model: str,
        min_confidence: float,
        settings: Mapping[str, Any],
    ) -> None:
        self._path = path
        self._detections = self._frames = self._frames_with_potholes = 0
        self._finished = False
        head = {
            "schema": SCHEMA,
            "source": source,
            "output": output,
            "model": {"name": model, "min_confidence": min_confidence},
            "settings": dict(settings),
        }
        opening = _json(head).removesuffix("}")
        self._file = path.open("w", encoding="utf-8")
        self._file.write(f'{opening},\n"frames":[')

    def __enter__(self) -> Self:
        return self

    def append(self, part: ReportPart) -> None:
        """Write what is said of the next frames."""
        for record in part.records:
            self._file.write((",\n" if self._frames else "\n") + record)
            self._frames += 1
        self._detections += part.detections
        self._frames_with_potholes += part.frames_with_potholes

    def finish(self, tracks: Sequence[Track], video: Video) -> Summary:
        """Write what is known only after the last frame.

        Args:
            tracks: The confirmed potholes.
            video: The source, after its last frame.
        """
        info = video.info
        summary = Summary(len(tracks), self._detections, self._frames, self._frames_with_potholes)
        about_video = {
            "width": info.width,
            "height": info.height,
            "fps": f"{info.rate.numerator}/{info.rate.denominator}",
            "fps_float": round(float(info.rate), 6),
            "duration_s": info.duration_s,
            "frames_declared": info.frame_count,
            "frames_written": self._frames,
            "missing_frames": video.missing_frames,
            "warning": video.decode_warning,
        }
        records = ",\n".join(_json(track.to_json()) for track in tracks)
        self._file.write(f'\n],\n"tracks":[\n{records}\n],\n"video":{_json(about_video)},\n')
        self._file.write(f'"summary":{_json(asdict(summary))}}}\n')
        self._finished = True
        return summary

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


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

"""The JSON report, `<stem>_output.json`, says what was found, frame by frame and track by track.

An example with all fields, and what they mean, stands in `docs/reference/outputs.md`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from pothole.geo.located import Located
from pothole.media import Video
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.frame_records import BETWEEN, FrameRecordSink, Record, Strict, to_json
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracks import Track

SCHEMA = 1


class _MarkRecord(Strict):
    label: str
    score: float = Field(ge=0, le=1)
    box: tuple[float, float, float, float]
    area: int = Field(ge=0)
    track_id: int | None = Field(ge=1)
    polygons: list[list[int]]


class _FrameRecord(Strict):
    index: int = Field(ge=0)
    time_s: float
    potholes: list[_MarkRecord]


class ReportSink(FrameRecordSink):
    """A report sink writes the report. See `Sink`.

    Args:
        path: The output; is overwritten.
        source: What the report says of where it comes from.
    """

    kind = _FrameRecord

    def __init__(self, path: Path, source: Source) -> None:
        head = {
            "schema": SCHEMA,
            "source": source.address,
            "output": source.output,
            "model": {"name": source.model, "min_confidence": source.min_confidence},
            "settings": source.settings,
        }
        super().__init__(path, to_json(head).removesuffix("}") + ',\n"frames":[')
        self._class_names = source.class_names
        self._pictures = source.pictures
        self._coded_whole = source.rendering.coded_whole

    def record(self, marked: MarkedFrame) -> Record:
        """See `FrameRecordSink.record`."""
        return {
            "index": marked.index,
            "time_s": round(float(marked.time), 6),
            "potholes": marked.detections.to_json(),
        }

    def closing(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None
    ) -> str:
        """See `FrameRecordSink.closing`."""
        info = video.info
        about_video = {
            "width": info.width,
            "height": info.height,
            "fps": f"{info.rate.numerator}/{info.rate.denominator}",
            "fps_float": round(float(info.rate), 6),
            "duration_s": info.duration_s,
            "frames_declared": info.frame_count,
            "frames_written": summary.frames,
            "copied_frames": summary.copied_frames,
            "coded_whole": self._coded_whole,
            "missing_frames": video.missing_frames,
            "warning": video.decode_warning,
        }
        pictures = ""
        if self._pictures:
            about = BETWEEN.join(to_json(taken.to_json()) for taken in self._pictures[: summary.frames])
            pictures = f'\n"pictures":[\n{about}\n],'
        records = BETWEEN.join(to_json(self._track_record(track, located)) for track in tracks)
        drive = f'"drive":{to_json(located.to_json())},\n' if located else ""
        return (
            f'\n],{pictures}\n"tracks":[\n{records}\n],\n"video":{to_json(about_video)},\n{drive}'
            f'"summary":{to_json(_counts(summary))}}}\n'
        )

    def _track_record(self, track: Track, located: Located | None) -> dict[str, Any]:
        names = self._class_names
        record = track.to_json() | ({"label": names[track.class_id]} if len(names) > 1 else {})
        return record | (located.record(track.id) if located else {})


def _counts(summary: Summary) -> dict[str, int]:
    """Return a summary as it stands in the report, which tells of the rendering beside the frames."""
    return {name: count for name, count in asdict(summary).items() if name != "copied_frames"}

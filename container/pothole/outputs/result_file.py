"""The result file, `<step>/<stem>.json`, is what the next step of a pipeline of detectors reads.

It lists boxes by category, for the frames that were looked at. An example stands in
`docs/reference/outputs.md`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from pothole.detections import Detections
from pothole.geo.located import Located
from pothole.media import Video
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.frame_records import FrameRecordSink, Record, Strict, to_json
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracks import Track


class _Objects(Strict):
    classes: list[str]
    boxes: list[tuple[float, float, float, float]]
    scores: list[Annotated[float, Field(ge=0, le=1)]]


class _FrameRecord(Strict):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Objects] = Field(init=False)

    frame_index: int = Field(ge=1)
    frame_timestamp: float


class ResultFileSink(FrameRecordSink):
    """A result file sink writes the result file. See `Sink`.

    Args:
        path: The output; is overwritten.
        source: Of the video; its settings say which frames are looked at.
    """

    kind = _FrameRecord

    def __init__(self, path: Path, source: Source) -> None:
        code = int.from_bytes(source.info.codec_tag.encode("latin-1"), "little")  # as OpenCV's FOURCC
        head = {"fps": round(float(source.info.rate), 6), "codec_code": code}
        super().__init__(path, to_json(head).removesuffix("}") + ',"frames":[')
        self._class_names = source.class_names
        self._interval = source.settings["frame_interval"] or 1

    def record(self, marked: MarkedFrame) -> Record:
        """See `FrameRecordSink.record`."""
        if marked.index % self._interval:
            return None
        timestamp = round(float(marked.time) * 1000, 3)
        return {
            "frame_index": marked.index + 1,
            "frame_timestamp": timestamp,
            **_categories(marked.detections, self._class_names),
        }

    def closing(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None
    ) -> str:
        """See `FrameRecordSink.closing`."""
        return "\n]}\n"


def _categories(found: Detections, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the objects of each class that the detector knows, as classes, boxes yxyx and scores."""
    return {
        name.capitalize(): {
            "classes": [name] * len(objects),
            "boxes": [[round(v, 2) for v in (y0, x0, y1, x1)] for x0, y0, x1, y1 in objects.boxes.tolist()],
            "scores": [min(1.0, round(score, 4)) for score in objects.scores.tolist()],
        }
        for number, name in enumerate(class_names)
        for objects in [found[found.class_ids == number]]
    }

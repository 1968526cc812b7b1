"""The sightings are an output that no one sees: what is recorded on the way to place and measure potholes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self, TextIO

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pothole.geo.flow import Flow
from pothole.geo.locate import Sighting
from pothole.geo.located import Located, find_places
from pothole.geo.plane import Camera
from pothole.media import Video
from pothole.media.telemetry import GpsTrack
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.sink import Summary
from pothole.tracking.tracks import Track
from pothole.types import Mask

RATE = 10  # sightings of a pothole a second, at most
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _FlowLine(_Line):
    flow: float
    gap: float = Field(gt=0)
    points: list[Pair]
    moved: list[Pair]


class _SightingLine(_Line):
    id: int = Field(ge=1)
    time: float
    outline: Annotated[list[Pair], Field(min_length=1)]


class _EndLine(_Line):
    frames: int = Field(ge=0)


class SightingsSink:
    """The sightings are collected part by part. See `Sink`.

    A part holds a line of JSON for each flow and each sighting, and one for the number of its frames.

    Args:
        rate: Frames a second of the video.
        track: Where the camera was; None when that is not known.
        camera: What the user knows of the camera.
        corrects_lag: See `find_places`.

    Attributes:
        flows: How the road moved, of all parts so far.
        sightings: Which potholes were seen, and where.
    """

    part_suffix = ".jsonl"

    def __init__(self, rate: Fraction, track: GpsTrack | None, camera: Camera, corrects_lag: bool) -> None:
        self._track, self._camera, self._corrects_lag = track, camera, corrects_lag
        self._stride = max(1, round(rate / RATE))
        self.flows: list[Flow] = []
        self.sightings: list[Sighting] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing of it lies on the disk but its parts."""

    @contextmanager
    def open_part(self, path: Path) -> Iterator["_SightingsPart"]:
        """See `Sink.open_part`."""
        try:
            with path.open("w", encoding="utf-8") as file:
                part = _SightingsPart(file, self._stride)
                yield part
                file.write(_EndLine(frames=part.frames).model_dump_json() + "\n")
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def check_part(self, path: Path, frames: int) -> None:
        """See `Sink.check_part`."""
        _, _, count = _read(path)
        if count != frames:
            raise ValueError(f"{path.name} has the sightings of {count} frames, expected {frames}")

    def append(self, part: Path) -> None:
        """See `Sink.append`."""
        flows, sightings, _ = _read(part)
        self.flows += flows
        self.sightings += sightings

    def finish(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None
    ) -> None:
        """See `Sink.finish`; other sinks tell what was made of it."""

    def located(self, video: Video) -> Located:
        """Return the places of what was seen, see `find_places`."""
        size = video.info.height, video.info.width
        return find_places(self.flows, self.sightings, self._track, self._camera, size, self._corrects_lag)


class _SightingsPart:
    def __init__(self, file: TextIO, stride: int) -> None:
        self._file, self._stride = file, stride
        self._seen: set[int] = set()
        self.frames = 0

    def write(self, marked: MarkedFrame) -> None:
        self.frames += 1
        if marked.flow is not None:
            flow = marked.flow
            points, moved = (np.round(p, 2).tolist() for p in (flow.points, flow.moved))
            line = _FlowLine(flow=flow.time, gap=flow.gap, points=points, moved=moved)
            self._file.write(line.model_dump_json() + "\n")
        found = marked.detections
        if not len(found):
            return
        ids = found.track_ids.tolist()
        due = marked.index % self._stride == 0
        for track_id, mask, box in zip(ids, found.masks, found.mask_boxes.tolist(), strict=True):
            if track_id and (due or track_id not in self._seen):
                self._seen.add(track_id)
                self._write_sighting(track_id, marked.time, mask, box)

    def _write_sighting(self, track_id: int, time: Fraction, mask: Mask, box: list[int]) -> None:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        largest = max(contours, key=cv2.contourArea, default=None)
        if largest is None:
            return
        outline = (largest[:, 0, :] + (box[0], box[1])).astype(float).tolist()
        line = {"id": track_id, "time": float(time), "outline": outline}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


def _read(path: Path) -> tuple[list[Flow], list[Sighting], int]:
    """Read a part, as an earlier attempt may have stored it.

    Raises:
        ValueError: It is none.
    """
    flows: list[Flow] = []
    sightings: list[Sighting] = []
    frames = 0
    with path.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, start=1):
            try:
                if text.startswith('{"flow"'):
                    flow = _FlowLine.model_validate_json(text)
                    points, moved = (np.array(p, float).reshape(-1, 2) for p in (flow.points, flow.moved))
                    if points.shape != moved.shape:
                        raise ValueError("as many points before as after")
                    flows.append(Flow(flow.flow, flow.gap, points, moved))
                elif text.startswith('{"id"'):
                    seen = _SightingLine.model_validate_json(text)
                    sightings.append(Sighting(seen.id, seen.time, np.array(seen.outline, float)))
                else:
                    frames = _EndLine.model_validate_json(text).frames
            except (ValidationError, ValueError) as exc:
                raise ValueError(f"line {number} of {path.name} is no sighting") from exc
    return flows, sightings, frames

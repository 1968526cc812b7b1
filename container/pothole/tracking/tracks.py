"""A `Track` is what the report says of an object; a `TrackState` is what is known of it in one frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from pothole.detections import Detections, pixel_boxes
from pothole.tracking.optical_flow import Motion
from pothole.types import Box, Mask, Size

MIN_SIMILARITY = 0.4  # an object that looks less alike is shown only where it is detected, as after a cut


@dataclass(frozen=True)
class Track:
    """A track is one object of a video.

    Attributes:
        id: Number from 1, unique within the job, in the order of confirmation.
        first_frame: Index of the frame in which it was first detected.
        last_frame: Index of the frame in which it was last detected.
        first_time: Seconds from the first frame to its first detection.
        last_time: Seconds from the first frame to its last detection.
        hits: Number of detections.
        max_score: Highest score.
        best_frame: Index of the frame with the highest score.
        best_box: `(4,)` xyxy in that frame, in pixels.
        class_id: Number of its class.
    """

    id: int
    first_frame: int
    last_frame: int
    first_time: Fraction
    last_time: Fraction
    hits: int
    max_score: float
    best_frame: int
    best_box: tuple[float, float, float, float]
    class_id: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the record of a report."""
        return {
            "id": self.id,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "first_time_s": round(float(self.first_time), 6),
            "last_time_s": round(float(self.last_time), 6),
            "hits": self.hits,
            "max_score": round(self.max_score, 4),
            "best_frame": self.best_frame,
            "best_box": [round(v, 1) for v in self.best_box],
        }


@dataclass(frozen=True)
class TrackState:
    """A track state is an object in a frame, and what is known of it; its id is 0 until it is confirmed.

    Attributes:
        key: Number that tells the track from all others, confirmed or not.
        track: Its record so far.
        score: Of the last detection.
        box: `(4,)` xyxy in the current frame; may reach out of the picture.
        mask: Of the last detection.
        origin: Top left pixel of `mask`, in the frame of the last detection.
        motion: From the last detection to the current frame.
        misses: Number of times that the detector ran and did not find it.
    """

    key: int
    track: Track
    score: float
    box: Box
    mask: Mask
    origin: tuple[int, int]
    motion: Motion
    misses: int

    @classmethod
    def of(
        cls,
        key: int,
        detections: Detections,
        i: int,
        index: int,
        time: Fraction,
        known: "TrackState | None",
    ) -> "TrackState":
        """Take detection i of the frame with that index and time for a new object, or for a known one."""
        score, box = float(detections.scores[i]), detections.boxes[i]
        corners = tuple(box.tolist())
        class_id = int(detections.class_ids[i])
        new = Track(0, index, index, time, time, 0, score, index, corners, class_id)
        track = known.track if known else new
        track = replace(track, last_frame=index, last_time=time, hits=track.hits + 1)
        if score > track.max_score:
            track = replace(track, max_score=score, best_frame=index, best_box=corners)
        left, top, _, _ = detections.mask_boxes[i].tolist()
        misses = 0 if known is None else known.misses
        return cls(key, track, score, box, detections.masks[i], (left, top), Motion(), misses)

    def move(self, motion: Motion) -> "TrackState":
        """Return the object after a motion of the picture."""
        return replace(self, box=motion.move_box(self.box), motion=self.motion.then(motion))

    def fit(self, box: Box) -> "TrackState":
        """Return the object stretched and moved to a box."""
        return self.move(Motion.between(self.box, box))

    def miss(self) -> "TrackState":
        """Return the object after the detector ran and did not find it."""
        return replace(self, misses=self.misses + 1)

    def confirm(self, track_id: int) -> "TrackState":
        """Return the object as one that counts, with the id of its track."""
        return replace(self, track=replace(self.track, id=track_id))

    @property
    def is_followed(self) -> bool:
        """Say whether the picture still looks as it did where the object was last detected."""
        return self.motion.similarity >= MIN_SIMILARITY


def as_detections(tracks: Sequence[TrackState], size: Size, class_names: tuple[str, ...]) -> Detections:
    """Return the tracks of a picture `(height, width)` as its detections, with their ids."""
    boxes = np.array([t.box for t in tracks], np.float32).reshape(-1, 4)
    boxes = np.clip(boxes, 0, [size[1], size[0], size[1], size[0]]).astype(np.float32)
    areas = pixel_boxes(boxes, size).tolist()
    return Detections(
        image_size=size,
        boxes=boxes,
        scores=np.array([t.score for t in tracks], np.float32),
        masks=tuple(t.motion.move_mask(t.mask, t.origin, a) for t, a in zip(tracks, areas, strict=True)),
        track_ids=np.array([t.track.id for t in tracks], np.int32),
        class_ids=np.array([t.track.class_id for t in tracks], np.int32),
        class_names=class_names,
    )

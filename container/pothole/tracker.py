"""Which detection is which pothole: ids that last through a video, and potholes followed between detections.

Tracking by detection as in SORT (Bewley et al., 2016), with optical flow in place of its motion model, as it
is the camera that moves. Boxes are matched by their buffered IoU as in C-BIoU (Yang et al., 2023).

What counts as a pothole of the road:

- One that was detected a few more times than it was missed since it was first seen. A real one is found again
  in most frames, a shadow or a crack that the detector takes for one comes and goes.
- What the first frame shows, at once: it may be the only one.
- No part of a pothole that counts, nor a box that holds one.

A pothole that is missed for up to a second keeps its id.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pothole.detections import Detections, Mask, pixel_boxes
from pothole.motion import Box, Motion, MotionEstimator
from pothole.video import Frame

# Detections above misses that make a pothole. Fewer when there are few: one is in sight for a second or two.
CONFIRM_HITS = 4
CONFIRM_HITS_SLOW = 2
SLOW_S = Fraction(1, 16)  # from this time between detections on
DRAWN_S = Fraction(2, 5)  # that a pothole is shown on after it was last detected
KEPT_S = Fraction(1)  # that it is remembered
# Potholes are flat far away, and small: their boxes are matched with a margin, in parts of their size and of
# the picture's height.
BUFFER = 0.3
BUFFER_PIXELS = 0.005
MIN_IOU = 0.1
MIN_LIKENESS = 0.4  # below it a pothole is shown only where it is detected: nothing floats on after a cut
MIN_VISIBLE = 0.2  # part of a box within the picture
SAME_POTHOLE = 0.6  # part of the smaller of two boxes that lies in the other


@dataclass(frozen=True)
class Track:
    """One pothole of a video.

    Attributes:
        id: From 1, unique within the job, in the order of confirmation.
        first_frame: Index of the frame in which it was first detected.
        last_frame: Index of the frame in which it was last detected.
        first_time: Seconds since the first frame.
        last_time: Seconds since the first frame.
        hits: Number of detections.
        max_score: Highest score.
        best_frame: Index of the frame with it.
        best_box: `(4,)` xyxy in that frame, in pixels.
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
class _Pothole:
    """Where a pothole is now, and what is known of it. Its track has the id 0 until it is confirmed.

    Attributes:
        track: Its record so far.
        score: Of the last detection.
        box: `(4,)` xyxy in the current frame; may reach out of the picture.
        mask: Of the last detection.
        origin: Top left pixel of `mask`, in the frame of the last detection.
        motion: From the last detection to the current frame.
        misses: Number of times that the detector ran and did not find it.
    """

    track: Track
    score: float
    box: Box
    mask: Mask
    origin: tuple[int, int]
    motion: Motion
    misses: int

    @classmethod
    def of(cls, detections: Detections, i: int, frame: Frame, known: "_Pothole | None") -> "_Pothole":
        """Take detection i for a new pothole, or for a known one."""
        score, box = float(detections.scores[i]), detections.boxes[i]
        corners = tuple(box.tolist())
        if known is None:
            track = Track(0, frame.index, frame.index, frame.time, frame.time, 0, score, frame.index, corners)
        else:
            track = known.track
        track = replace(track, last_frame=frame.index, last_time=frame.time, hits=track.hits + 1)
        if score > track.max_score:
            track = replace(track, max_score=score, best_frame=frame.index, best_box=corners)
        left, top, _, _ = detections.mask_boxes[i].tolist()
        misses = 0 if known is None else known.misses
        return cls(track, score, box, detections.masks[i], (left, top), Motion(), misses)

    def move(self, motion: Motion) -> "_Pothole":
        return replace(self, box=motion.move_box(self.box), motion=self.motion.then(motion))

    def miss(self) -> "_Pothole":
        return replace(self, misses=self.misses + 1)

    def confirm(self, track_id: int) -> "_Pothole":
        return replace(self, track=replace(self.track, id=track_id))


class Tracker:
    """Gives detections the ids of potholes; one per job. Takes every frame of a video, in order."""

    def __init__(self) -> None:
        self._motion = MotionEstimator()
        self._potholes: list[_Pothole] = []
        self._gone: list[Track] = []
        self._confirmed = 0
        self._updates = 0
        self._updated: Fraction | None = None

    def update(self, detections: Detections, frame: Frame) -> Detections:
        """Take a frame on which the detector ran.

        Returns:
            The detections with the ids of their potholes, 0 where that is not confirmed, and after them the
            potholes that the detector misses for a moment, where the picture's motion takes them.
        """
        self._advance(frame)
        needed = self._needed_hits(frame)
        missed = dict(enumerate(self._potholes))
        found = []
        for i, k in enumerate(_match(self._potholes, detections)):
            known = None if k is None else missed.pop(k)
            found.append(_Pothole.of(detections, i, frame, known))
        self._potholes = [*found, *(p.miss() for p in missed.values())]
        for i, pothole in enumerate(found):
            confirmed = [p for p in self._potholes if p.track.id]
            sure = pothole.track.hits - pothole.misses >= needed
            if sure and not pothole.track.id and not _overlaps(pothole, confirmed):
                self._confirmed += 1
                self._potholes[i] = pothole.confirm(self._confirmed)
        return self._shown(frame)

    def propagate(self, frame: Frame) -> Detections:
        """Take a frame on which the detector did not run.

        Returns:
            The potholes of the last `update`, where the picture's motion takes them.
        """
        self._advance(frame)
        return self._shown(frame)

    @property
    def count(self) -> int:
        """Number of confirmed potholes so far; cheap enough for every frame, which `tracks` is not."""
        return self._confirmed

    def tracks(self) -> list[Track]:
        """Return the confirmed potholes of the job so far, by id."""
        tracks = [*self._gone, *(p.track for p in self._potholes)]
        return sorted((t for t in tracks if t.id), key=lambda t: t.id)

    def _advance(self, frame: Frame) -> None:
        motions = self._motion.advance(frame.image, [p.box for p in self._potholes])
        size = frame.image.shape[0], frame.image.shape[1]
        potholes, self._potholes = self._potholes, []
        for pothole, motion in zip(potholes, motions, strict=True):
            moved = pothole.move(motion)
            if frame.time - moved.track.last_time <= KEPT_S and _visible(moved.box, size) >= MIN_VISIBLE:
                self._potholes.append(moved)
            elif moved.track.id:
                self._gone.append(moved.track)

    def _needed_hits(self, frame: Frame) -> int:
        """As SORT does, count at once what is there when the video starts: it may have one frame only."""
        slow = self._updated is not None and frame.time - self._updated >= SLOW_S
        self._updates, self._updated = self._updates + 1, frame.time
        return min(self._updates, CONFIRM_HITS_SLOW if slow else CONFIRM_HITS)

    def _shown(self, frame: Frame) -> Detections:
        size = frame.image.shape[0], frame.image.shape[1]
        shown = [p for p in self._potholes if self._is_shown(p, frame)]
        boxes = np.array([p.box for p in shown], np.float32).reshape(-1, 4)
        boxes = np.clip(boxes, 0, [size[1], size[0], size[1], size[0]]).astype(np.float32)
        areas = pixel_boxes(boxes, size).tolist()
        return Detections(
            image_size=size,
            boxes=boxes,
            scores=np.array([p.score for p in shown], np.float32),
            masks=tuple(p.motion.move_mask(p.mask, p.origin, a) for p, a in zip(shown, areas, strict=True)),
            track_ids=np.array([p.track.id for p in shown], np.int32),
        )

    def _is_shown(self, pothole: _Pothole, frame: Frame) -> bool:
        if pothole.motion.likeness < MIN_LIKENESS:
            return False
        if pothole.track.last_time == self._updated:
            return True
        seen = [p for p in self._potholes if p.track.last_time == self._updated]
        recent = frame.time - pothole.track.last_time <= DRAWN_S
        return pothole.track.id > 0 and recent and not _overlaps(pothole, seen)


def _overlaps(pothole: _Pothole, others: list[_Pothole]) -> bool:
    """Say whether it is one of the others again: the detector sometimes finds a whole and a part of it."""
    if not others:
        return False
    boxes = np.array([p.box for p in others])
    smaller = np.minimum(_areas(boxes), _areas(pothole.box[None]))
    return bool((_shared_areas(pothole.box[None], boxes) > SAME_POTHOLE * smaller).any())


def _match(potholes: list[_Pothole], detections: Detections) -> list[int | None]:
    """Return for each detection the index of its pothole: the pair that overlaps most first, each once."""
    matches: list[int | None] = [None] * len(detections)
    if not potholes or not len(detections):
        return matches
    margin = BUFFER_PIXELS * detections.image_size[0]
    ours = _grow(np.array([p.box for p in potholes]), margin)
    theirs = _grow(detections.boxes, margin)
    shared = _shared_areas(ours, theirs)
    iou = shared / (_areas(ours)[:, None] + _areas(theirs) - shared)
    for flat in np.argsort(-iou, axis=None):
        k, i = np.unravel_index(flat, iou.shape)
        if iou[k, i] < MIN_IOU:
            break
        if matches[i] is None and k not in matches:
            matches[i] = int(k)
    return matches


def _grow(boxes: NDArray[np.float32], margin: float) -> NDArray[np.float32]:
    sizes = boxes[:, 2:] - boxes[:, :2]
    by = BUFFER * sizes + margin
    return np.concatenate([boxes[:, :2] - by, boxes[:, 2:] + by], axis=1)


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sizes.prod(axis=1), np.float32)


def _shared_areas(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `(N, M)`, the area that box i of `(N, 4)` shares with box j of `(M, 4)`."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.maximum(high - low, 0).prod(axis=2), np.float32)


def _visible(box: Box, image_size: tuple[int, int]) -> float:
    """Return the part of a box that lies in the picture."""
    picture = np.array([[0, 0, image_size[1], image_size[0]]], np.float32)
    return float(_shared_areas(box[None], picture)[0, 0] / max(_areas(box[None])[0], 1e-6))

"""Which detection is which pothole: ids that last through a video, and where each is between key frames.

Tracking by detection as in SORT (Bewley et al., 2016), with optical flow in place of its motion model, as it
is the camera that moves. Boxes are matched by their buffered IoU as in C-BIoU (Yang et al., 2023).

What counts as a pothole of the road:

- One that was detected for a while longer than it was missed since it was first seen. A real one is found
  again in most frames, a shadow or a crack that the detector takes for one comes and goes.
- What the first frame shows, at once: it may be the only one.
- No part of a pothole that counts, nor a box that holds one.

A pothole that is missed for up to a second keeps its id.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pothole.detections import Detections
from pothole.media import Frame
from pothole.tracking.interpolation import Place, fill
from pothole.tracking.optical_flow import Step
from pothole.tracking.state import TrackerState
from pothole.tracking.tracks import Pothole, Track, as_detections
from pothole.types import Box

# A pothole is what is seen for longer than this net of misses, however often the detector looks, ...
CONFIRM_S = Fraction(2, 15)
CONFIRM_HITS = 2  # ... and so many times
DRAWN_S = Fraction(2, 5)  # that a pothole is shown on after it was last detected
KEPT_S = Fraction(1)  # that it is remembered
HELD_S = Fraction(1, 2)  # that a frame waits to know whether what it shows counts
# Potholes are flat far away, and small: their boxes are matched with a margin, in parts of their size and of
# the picture's height.
BUFFER = 0.3
BUFFER_PIXELS = 0.005
MIN_IOU = 0.1
MIN_VISIBLE = 0.2  # part of a box within the picture
SAME_POTHOLE = 0.6  # part of the smaller of two boxes that lies in the other
MOST_FRAMES = 5000  # from one checkpoint to the next, however fast they follow one another


@dataclass(frozen=True)
class Sighting:
    """A frame on its way from the detector to the tracker.

    Attributes:
        frame: The frame.
        step: How the picture moved since the frame before; None for the first one.
        found: What the detector found in it; None where it did not look.
    """

    frame: Frame
    step: Step | None
    found: Detections | None


@dataclass(frozen=True)
class Followed:
    """A frame on its way from the tracker to the output.

    Attributes:
        frame: The frame.
        potholes: Those in it that count, with their ids.
        state: Of the tracker after this frame, at a checkpoint: all later frames follow from it.
    """

    frame: Frame
    potholes: Detections
    state: TrackerState | None = None


class Tracker:
    """Gives detections the ids of potholes; one per job. Takes every frame of a video, in order."""

    def __init__(
        self, most_held: int = 64, segment_s: int | None = None, state: TrackerState | None = None
    ) -> None:
        """Start with nothing known, or go on from a checkpoint.

        Args:
            most_held: Frames that may wait until their potholes are known to count.
            segment_s: Seconds of video from one checkpoint to the next; None for none.
            state: Of a checkpoint.
        """
        state = state or TrackerState()
        self._most_held = most_held
        self._segment_s = segment_s
        self._segment_start: tuple[int, Fraction] | None = None  # index and time of its first frame
        self._known = state
        self._looked = state.looked
        self._potholes = list(state.potholes)
        self._shown = list(state.shown)
        self._gone = list(state.gone)
        self._held: deque[tuple[Frame, Sequence[Pothole]]] = deque()
        self._ids = dict(state.ids)  # of the confirmed potholes, by key
        self._keys = state.keys
        self._updates = state.updates
        self._updated = state.updated

    def follow(self, sightings: Iterable[Sighting]) -> Iterator[Followed]:
        """Follow the potholes through the frames.

        Frames wait until the detector has looked at a later one, so that each lies between two, and for up to
        `HELD_S` until it is known whether what they show counts. So a pothole is marked from its first
        detection on, and what flashes up once is not.

        Args:
            sightings: Frames in order; the detector has to have looked at the last. From a checkpoint on,
                those that its state holds come first, to take their places again.

        Yields:
            Each frame, and the potholes in it that count, with their ids.
        """
        waiting: list[Sighting] = []
        for sighting in sightings:
            if sighting.frame.index <= self._known.looked:
                self._hold_again(sighting.frame)
                continue
            waiting.append(sighting)
            if sighting.found is not None:
                self._look(waiting, sighting.found)
                waiting = []
                released = list(self._released(sighting.frame.time - HELD_S))
                if released:
                    released[-1] = replace(released[-1], state=self._checkpoint(released[-1].frame))
                yield from released
        yield from self._released(None)

    def _hold_again(self, frame: Frame) -> None:
        place = frame.index - self._known.released
        if place >= 0:
            self._held.append((frame, self._known.held[place]))

    def _released(self, until: Fraction | None) -> Iterator[Followed]:
        """Let go of the frames up to a time, of what is too many, and of those whose potholes are decided."""
        undecided = {p.key for p in self._potholes if not p.track.id}
        while self._held:
            frame, potholes = self._held[0]
            waits = until is not None and frame.time > until and len(self._held) <= self._most_held
            if waits and any(p.key in undecided for p in potholes):
                return
            self._held.popleft()
            self._segment_start = self._segment_start or (frame.index, frame.time)
            counted = [p.confirm(self._ids[p.key]) for p in potholes if p.key in self._ids]
            yield Followed(frame, as_detections(counted, frame.size))

    def _checkpoint(self, last: Frame) -> TrackerState | None:
        """Return the state after the last frame released when it is time for a checkpoint.

        Where they are depends on the video alone, so that a job that is taken up has them in the same places.
        """
        assert self._segment_start is not None
        index, time = self._segment_start
        if self._segment_s is None or (
            last.time - time < self._segment_s and last.index - index < MOST_FRAMES
        ):
            return None
        self._segment_start = None
        return TrackerState(
            looked=self._looked,
            held=tuple(tuple(potholes) for _, potholes in self._held),
            potholes=tuple(self._potholes),
            shown=tuple(self._shown),
            gone=tuple(self._gone),
            ids=dict(self._ids),
            keys=self._keys,
            updates=self._updates,
            updated=self._updated,
        )

    def _look(self, sightings: list[Sighting], found: Detections) -> None:
        """Take the frames after the last that was looked at, up to the next such."""
        before = self._shown
        places = [self._advance(sighting) for sighting in sightings]
        frame = sightings[-1].frame
        self._update(found, frame)
        self._shown = [p for p in self._potholes if self._is_shown(p, frame)]
        self._looked = frame.index
        steps = [sighting.step for sighting in sightings]
        between = fill(before, places, self._shown, steps, frame.size)
        frames = [sighting.frame for sighting in sightings]
        self._held.extend(zip(frames, [*between, self._shown], strict=True))

    def _update(self, detections: Detections, frame: Frame) -> None:
        needed = self._needed_hits(frame)
        missed = dict(enumerate(self._potholes))
        found = []
        for i, k in enumerate(_match(self._potholes, detections)):
            known = None if k is None else missed.pop(k)
            self._keys += known is None
            found.append(Pothole.of(known.key if known else self._keys, detections, i, frame, known))
        self._potholes = [*found, *(p.miss() for p in missed.values())]
        for i, pothole in enumerate(found):
            confirmed = [p for p in self._potholes if p.track.id]
            sure = pothole.track.hits - pothole.misses >= needed
            if sure and not pothole.track.id and not _overlaps(pothole, confirmed):
                self._ids[pothole.key] = len(self._ids) + 1
                self._potholes[i] = pothole.confirm(self._ids[pothole.key])

    @property
    def count(self) -> int:
        """Number of confirmed potholes so far; cheap enough for every frame, which `tracks` is not."""
        return len(self._ids)

    def tracks(self) -> list[Track]:
        """Return the confirmed potholes of the job so far, by id."""
        tracks = [*self._gone, *(p.track for p in self._potholes)]
        return sorted((t for t in tracks if t.id), key=lambda t: t.id)

    def _advance(self, sighting: Sighting) -> dict[int, Place]:
        """Move the potholes on by a frame; return those that are still in it."""
        frame, step = sighting.frame, sighting.step
        potholes, self._potholes = self._potholes, []
        if step is None:
            return {}
        places = {}
        for pothole, motion in zip(potholes, step.forth([p.box for p in potholes]), strict=True):
            moved = pothole.move(motion)
            if (
                frame.time - moved.track.last_time <= KEPT_S
                and _visible(moved.box, frame.size) >= MIN_VISIBLE
            ):
                self._potholes.append(moved)
                places[moved.key] = Place(moved, motion)
            elif moved.track.id:
                self._gone.append(moved.track)
        return places

    def _needed_hits(self, frame: Frame) -> int:
        """As SORT does, count at once what is there when the video starts: it may have one frame only."""
        gap = CONFIRM_S if self._updated is None else frame.time - self._updated
        self._updates, self._updated = self._updates + 1, frame.time
        return min(self._updates, max(CONFIRM_HITS, math.floor(CONFIRM_S / gap) + 1))

    def _is_shown(self, pothole: Pothole, frame: Frame) -> bool:
        if not pothole.is_followed:
            return False
        if pothole.track.last_time == self._updated:
            return True
        seen = [p for p in self._potholes if p.track.id and p.track.last_time == self._updated]
        recent = frame.time - pothole.track.last_time <= DRAWN_S
        return recent and not _overlaps(pothole, seen)


def _overlaps(pothole: Pothole, others: list[Pothole]) -> bool:
    """Say whether it is one of the others again: the detector sometimes finds a whole and a part of it."""
    if not others:
        return False
    boxes = np.array([p.box for p in others])
    smaller = np.minimum(_areas(boxes), _areas(pothole.box[None]))
    return bool((_shared_areas(pothole.box[None], boxes) > SAME_POTHOLE * smaller).any())


def _match(potholes: list[Pothole], detections: Detections) -> list[int | None]:
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

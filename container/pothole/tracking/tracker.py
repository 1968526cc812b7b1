"""The tracker decides which detection is which object, and where each object is between two key frames.

It tracks by detection as SORT does (Bewley et al., 2016), with optical flow in place of its motion model,
since it is the camera that moves.

What counts as an object of the road:

- One that was detected for a while longer than it was missed since it was first seen. A real one is found
  again in most frames; a shadow or a crack that the detector takes for one comes and goes.
- What the first frame shows, at once: it may be the only one.
- What one frame alone shows, where frames are so far apart that nothing can be followed to the next one, as
  those of survey cameras are: if its score is high, and no object of the next frame can be the same.
- No part of an object that counts, nor a box that holds one.

An object that is missed for up to a second keeps its id.
"""

import math
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from pothole.detections import Detections
from pothole.tracking.association import is_part_of_any, known_tracks, visible_share
from pothole.tracking.interpolation import FollowedTrack, interpolate
from pothole.tracking.observation import EarlierFrame, Observation, TrackedFrame, is_sparse
from pothole.tracking.optical_flow import Motion, Step, View
from pothole.tracking.places import Places
from pothole.tracking.state import TrackerState
from pothole.tracking.tracks import MIN_SIMILARITY, Track, TrackState, as_detections
from pothole.types import Box, Size

CONFIRM_S = Fraction(2, 15)  # seconds, net of misses, for which an object that counts is detected
CONFIRM_HITS = 2  # detections that an object needs to count
SURE = 0.2  # a score this part of the way from the threshold to 1 is enough where one frame shows an object
MIN_CONSISTENCY = 0.1  # least `Step.consistency` of an object that is followed over a long gap
MAX_SHOWN_S = Fraction(2, 5)  # seconds for which an object is shown after its last detection
MAX_MISSED_S = Fraction(1)  # seconds for which an object is remembered after its last detection
MAX_WAIT_S = Fraction(1, 2)  # seconds for which a frame waits until it is known what in it counts
MIN_VISIBLE = 0.2  # part of an object's box that lies in the picture while the object is followed


@dataclass(frozen=True)
class _WaitingFrame:
    """A waiting frame is one of which it is not yet decided what counts."""

    index: int
    time: Fraction
    size: Size
    tracks: Sequence[TrackState]


class Tracker:
    """The tracker gives detections the ids of their objects; one per job. It takes every frame, in order."""

    def __init__(
        self,
        max_waiting: int = 64,
        segment_s: int | None = None,
        state: TrackerState | None = None,
        min_confidence: float = 0.0,
        begins: Container[int] | None = None,
    ) -> None:
        """Start with nothing known, or go on from a checkpoint.

        Args:
            max_waiting: Frames that may wait until their objects are known to count.
            segment_s: Seconds of video from one checkpoint to the next; None for none.
            state: Of a checkpoint.
            min_confidence: Score threshold of the detections.
            begins: Indices of the frames with which the part after a checkpoint should begin; None for any.
        """
        state = state or TrackerState()
        self._max_waiting = max_waiting
        self._places = Places(segment_s, begins)
        self._start = state
        self._sure_score = min_confidence + SURE * (1 - min_confidence)
        self._last_key_frame = state.last_key_frame
        self._tracks = list(state.tracks)
        self._shown = list(state.shown)
        self._ended = list(state.ended)
        self._waiting: deque[_WaitingFrame] = deque()
        self._last_view: View | None = None
        self._ids = dict(state.ids)
        self._keys = state.keys
        self._updates = state.updates
        self._updated = state.updated
        self._is_lost = state.is_lost
        self._parts = set(state.parts)  # keys of the tracks that are a part of a confirmed one
        self._astray: list[tuple[TrackState, TrackState]] = []  # see `known_tracks`
        self._class_names = state.class_names

    def track(self, observations: Iterable[Observation | EarlierFrame]) -> Iterator[TrackedFrame]:
        """Follow the objects through the frames.

        Frames wait until a later one is a key frame, so that each lies between two, and for up to
        `MAX_WAIT_S` until it is known whether what they show counts. So an object is marked from its first
        detection on, and what flashes up once is not.

        Args:
            observations: Frames in order; the last has to be a key frame. From a checkpoint on, those that
                its state holds come first, to take their places again.

        Yields:
            Each frame's index, and the objects in it that count, with their ids.
        """
        between: list[tuple[Observation, Step | None]] = []
        for frame in observations:
            step = Step(self._last_view, frame.view) if self._last_view else None
            self._last_view = frame.view
            if isinstance(frame, EarlierFrame):
                self._wait_again(frame)
                continue
            between.append((frame, step))
            if frame.detections is not None:
                self._update_to(between, frame.detections)
                between = []
                yield from self._with_checkpoint(list(self._decided(frame.time - MAX_WAIT_S)))
        if self._is_lost:
            self._end(self._tracks, self._tracks)
            self._tracks = []
        yield from (tracked for _, tracked in self._decided(None))

    @property
    def count(self) -> int:
        """Return the number of confirmed objects so far; unlike `tracks` this is cheap for every frame."""
        return len(self._ids)

    @property
    def uncounted(self) -> int:
        """Return how many objects so far were detected and do not count, parts of others left out."""
        return self._keys - len(self._ids) - len(self._parts)

    def tracks(self) -> list[Track]:
        """Return the confirmed tracks of the job so far, by id."""
        tracks = [*self._ended, *(t.track for t in self._tracks)]
        return sorted((t for t in tracks if t.id), key=lambda t: t.id)

    def _wait_again(self, frame: EarlierFrame) -> None:
        place = frame.index - self._start.released
        if place >= 0:
            tracks = self._start.waiting[place]
            self._waiting.append(_WaitingFrame(frame.index, frame.time, frame.size, tracks))

    def _decided(self, until: Fraction | None) -> Iterator[tuple[_WaitingFrame, TrackedFrame]]:
        """Release frames up to a time, frames that are too many, and frames whose tracks are decided."""
        undecided = {t.key for t in self._tracks if not t.track.id}
        while self._waiting:
            frame = self._waiting[0]
            waits = until is not None and frame.time > until and len(self._waiting) <= self._max_waiting
            if waits and any(t.key in undecided for t in frame.tracks):
                return
            self._waiting.popleft()
            self._places.release(frame.index, frame.time)
            confirmed = [t.confirm(self._ids[t.key]) for t in frame.tracks if t.key in self._ids]
            yield frame, TrackedFrame(frame.index, as_detections(confirmed, frame.size, self._class_names))

    def _with_checkpoint(
        self, decided: Sequence[tuple[_WaitingFrame, TrackedFrame]]
    ) -> Iterator[TrackedFrame]:
        """Yield what is said of frames that are decided, one of them with the state after it when it is time.

        In that state the frames behind wait again, with those tracks alone that are to be shown.
        """
        begin = self._places.next_begin([(frame.index, frame.time) for frame, _ in decided])
        for frame, tracked in decided:
            if begin != frame.index + 1:
                yield tracked
            else:
                yield replace(tracked, state=self._state([f for f, _ in decided if f.index >= begin]))

    def _state(self, behind: Sequence[_WaitingFrame]) -> TrackerState:
        shown = [tuple(t for t in frame.tracks if t.key in self._ids) for frame in behind]
        return TrackerState(
            last_key_frame=self._last_key_frame,
            waiting=(*shown, *(tuple(frame.tracks) for frame in self._waiting)),
            tracks=tuple(self._tracks),
            shown=tuple(self._shown),
            ended=tuple(self._ended),
            ids=dict(self._ids),
            parts=tuple(sorted(self._parts)),
            keys=self._keys,
            updates=self._updates,
            updated=self._updated,
            is_lost=self._is_lost,
            class_names=self._class_names,
        )

    def _update_to(self, between: list[tuple[Observation, Step | None]], detections: Detections) -> None:
        """Take the frames from the last key frame on, up to the next one, which has the detections."""
        before = self._shown
        followed = [self._advance(frame, step) for frame, step in between]
        key_frame, _ = between[-1]
        self._update(detections, *between[-1])
        self._shown = [t for t in self._tracks if self._is_shown(t, key_frame)]
        self._last_key_frame = key_frame.index
        steps = [step for _, step in between]
        shown = [*interpolate(before, followed, self._shown, steps, key_frame.size), self._shown]
        for (frame, _), tracks in zip(between, shown, strict=True):
            self._waiting.append(_WaitingFrame(frame.index, frame.time, frame.size, tracks))

    def _advance(self, frame: Observation, step: Step | None) -> dict[int, FollowedTrack]:
        """Follow all tracks into a frame; those that have left the picture or are missed too long end."""
        tracks, self._tracks = self._tracks, []
        if step is None:  # the first frame, before which nothing is known
            return {}
        followed: dict[int, FollowedTrack] = {}
        boxes = [track.box for track in tracks]
        motions = step.forward(boxes)
        is_followed = self._follow(frame, step, boxes, motions)
        for track, motion, follows in zip(tracks, motions, is_followed, strict=True):
            moved = track.move(motion)
            if not follows:
                self._astray.append((track, moved))
            elif (
                frame.time - moved.track.last_time <= MAX_MISSED_S
                and visible_share(moved.box, frame.size) >= MIN_VISIBLE
            ):
                self._tracks.append(moved)
                followed[moved.key] = FollowedTrack(moved, motion)
            elif moved.track.id:
                self._ended.append(moved.track)
        return followed

    def _follow(
        self, frame: Observation, step: Step, boxes: Sequence[Box], motions: Sequence[Motion]
    ) -> list[bool]:
        """Say which boxes are found again in a frame; where frames are not far apart, all of them are."""
        is_next = frame.index == self._last_key_frame + 1
        if not is_next or self._updated is None or not is_sparse(frame.time - self._updated):
            self._is_lost = False
            return [True] * len(boxes)
        found = [
            consistency >= MIN_CONSISTENCY and motion.similarity >= MIN_SIMILARITY
            for consistency, motion in zip(step.consistency(boxes), motions, strict=True)
        ]
        self._is_lost = not any(found)
        return found

    def _end(self, tracks: Sequence[TrackState], of: Sequence[TrackState]) -> None:
        """End some of a frame's tracks; where all are lost, those count that were surely detected once."""
        for track in sorted(tracks, key=lambda track: -track.score):
            is_sure = self._is_lost and not track.misses and track.score >= self._sure_score
            if track.track.id:
                self._ended.append(track.track)
            elif is_sure and is_part_of_any(track, [t for t in of if t.key in self._ids]):
                self._parts.add(track.key)
            elif is_sure:
                self._ended.append(self._confirm(track).track)

    def _update(self, detections: Detections, frame: Observation, step: Step | None) -> None:
        """Give each detection to its track or to a new one, and confirm those that count from now on."""
        needed = self._needed_hits(frame)
        self._class_names = detections.class_names
        known = known_tracks(self._tracks, self._astray, detections, step)
        found = []
        for i, track in enumerate(known):
            self._keys += track is None
            key = track.key if track else self._keys
            found.append(TrackState.of(key, detections, i, frame.index, frame.time, track))
        keys = {track.key for track in found}
        astray = [track for track, _ in self._astray]
        self._end([t for t in astray if t.key not in keys], astray)
        self._tracks = [*found, *(t.miss() for t in self._tracks if t.key not in keys)]
        self._astray = []
        for i, track in enumerate(found):
            if track.track.id:
                continue
            self._parts.discard(track.key)
            if is_part_of_any(track, [t for t in self._tracks if t.track.id]):
                self._parts.add(track.key)
            elif track.track.hits - track.misses >= needed:
                self._tracks[i] = self._confirm(track)

    def _confirm(self, track: TrackState) -> TrackState:
        self._ids[track.key] = len(self._ids) + 1
        return track.confirm(self._ids[track.key])

    def _needed_hits(self, frame: Observation) -> int:
        """Return how many detections an object needs to count.

        As in SORT, one is enough when the video starts: it may have one frame only.
        """
        gap = CONFIRM_S if self._updated is None else frame.time - self._updated
        self._updates, self._updated = self._updates + 1, frame.time
        return min(self._updates, max(CONFIRM_HITS, math.floor(CONFIRM_S / gap) + 1))

    def _is_shown(self, track: TrackState, frame: Observation) -> bool:
        if not track.is_followed:
            return False
        if track.track.last_time == self._updated:
            return True
        seen = [t for t in self._tracks if t.track.id and t.track.last_time == self._updated]
        recent = frame.time - track.track.last_time <= MAX_SHOWN_S
        return recent and not is_part_of_any(track, seen)

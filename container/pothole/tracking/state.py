"""`TrackerState` is all that a tracker knows at a checkpoint, as a value and as JSON.

The JSON lies in a bucket that others may write to, so it is data and nothing more, and is checked when it is
read. Fractions are "n/d", masks are bits in base64, and floats come back bit for bit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pothole.detections import DEFAULT_CLASS_NAMES
from pothole.tracking.optical_flow import Motion
from pothole.tracking.tracks import Track, TrackState
from pothole.types import Mask


@dataclass(frozen=True)
class TrackerState:
    """A tracker state is all that a tracker knows after some frames; by default, before the first one.

    Attributes:
        last_key_frame: Index of the last key frame; -1 before the first.
        waiting: For each frame that waits, up to the last key frame, the tracks to be shown in it.
        tracks: The tracks that are followed, where they are in the last key frame.
        shown: The tracks among them that the last key frame shows.
        ended: Confirmed tracks that are out of sight.
        ids: Ids of all confirmed tracks, by key.
        parts: Keys of the tracks that are a part of a confirmed one.
        keys: Number of keys given so far.
        updates: Number of key frames so far.
        updated: Time of the last key frame.
        is_lost: Whether nothing of the key frame before it was found again in the last one.
        class_names: What the detector can tell apart.
    """

    last_key_frame: int = -1
    waiting: tuple[tuple[TrackState, ...], ...] = ()
    tracks: tuple[TrackState, ...] = ()
    shown: tuple[TrackState, ...] = ()
    ended: tuple[Track, ...] = ()
    ids: dict[int, int] = field(default_factory=dict)
    parts: tuple[int, ...] = ()
    keys: int = 0
    updates: int = 0
    updated: Fraction | None = None
    is_lost: bool = False
    class_names: tuple[str, ...] = DEFAULT_CLASS_NAMES

    @property
    def released(self) -> int:
        """Return how many frames the tracker has released, which is the index of the next one."""
        return self.last_key_frame + 1 - len(self.waiting)

    @property
    def first(self) -> int:
        """Return the index of the first frame needed to go on: motion needs one also where no frame waits."""
        return max(0, min(self.released, self.last_key_frame))


STRICT = ConfigDict(
    strict=True,
    extra="forbid",
    frozen=True,
    ser_json_inf_nan="constants",
    ser_json_bytes="base64",
    val_json_bytes="base64",
)


class _Strict(BaseModel):
    model_config = STRICT


class _MaskRecord(_Strict):
    height: int = Field(ge=0)
    width: int = Field(ge=0)
    bits: bytes

    @classmethod
    def of(cls, mask: Mask) -> Self:
        return cls(height=mask.shape[0], width=mask.shape[1], bits=np.packbits(mask).tobytes())

    def mask(self) -> Mask:
        count = self.height * self.width
        if len(self.bits) != -(-count // 8):
            raise ValueError(f"expected a mask of {self.height}x{self.width}, got {len(self.bits)} bytes")
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count)
        return bits.reshape(self.height, self.width).astype(bool)


class _TrackRecord(_Strict):
    key: int
    track: Track
    score: float
    box: tuple[float, float, float, float]
    mask: int = Field(ge=0)  # number of the mask in `TrackerRecord.masks`
    origin: tuple[int, int]
    motion: Motion
    misses: int

    def track_state(self, masks: list[Mask]) -> TrackState:
        return TrackState(
            key=self.key,
            track=self.track,
            score=self.score,
            box=np.array(self.box, np.float32),
            mask=masks[self.mask],
            origin=self.origin,
            motion=self.motion,
            misses=self.misses,
        )


class _Masks:
    """This list stores each mask once: a track has the same one in all frames until it is detected again."""

    def __init__(self) -> None:
        self._all: dict[int, tuple[int, Mask]] = {}

    def records(self) -> tuple[_MaskRecord, ...]:
        return tuple(_MaskRecord.of(mask) for _, mask in self._all.values())

    def numbered(self, tracks: Iterable[TrackState]) -> tuple[_TrackRecord, ...]:
        return tuple(
            _TrackRecord(
                key=t.key,
                track=t.track,
                score=t.score,
                box=tuple(t.box.tolist()),
                mask=self._all.setdefault(id(t.mask), (len(self._all), t.mask))[0],
                origin=t.origin,
                motion=t.motion,
                misses=t.misses,
            )
            for t in tracks
        )


class TrackerRecord(_Strict):
    """A tracker record is a `TrackerState` as it is stored."""

    last_key_frame: int = Field(ge=-1)
    waiting: tuple[tuple[_TrackRecord, ...], ...]
    tracks: tuple[_TrackRecord, ...]
    shown: tuple[_TrackRecord, ...]
    masks: tuple[_MaskRecord, ...]
    ended: tuple[Track, ...]
    ids: dict[int, int]
    parts: tuple[int, ...]
    keys: int
    updates: int
    updated: Fraction | None
    is_lost: bool
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, state: TrackerState) -> Self:
        """Return the record of a state."""
        masks = _Masks()
        return cls(
            last_key_frame=state.last_key_frame,
            waiting=tuple(masks.numbered(tracks) for tracks in state.waiting),
            tracks=masks.numbered(state.tracks),
            shown=masks.numbered(state.shown),
            masks=masks.records(),
            ended=state.ended,
            ids=state.ids,
            parts=state.parts,
            keys=state.keys,
            updates=state.updates,
            updated=state.updated,
            is_lost=state.is_lost,
            class_names=state.class_names,
        )

    def state(self) -> TrackerState:
        """Return the state that the record holds.

        Raises:
            ValueError: The record cannot be that of a state.
        """
        masks = [record.mask() for record in self.masks]

        def decoded(records: Iterable[_TrackRecord]) -> tuple[TrackState, ...]:
            if any(record.mask >= len(masks) for record in records):
                raise ValueError("a track without its mask")
            return tuple(record.track_state(masks) for record in records)

        if len(self.waiting) > self.last_key_frame + 1:
            raise ValueError(
                f"expected at most {self.last_key_frame + 1} frames that wait, got {len(self.waiting)}"
            )
        return TrackerState(
            last_key_frame=self.last_key_frame,
            waiting=tuple(decoded(tracks) for tracks in self.waiting),
            tracks=decoded(self.tracks),
            shown=decoded(self.shown),
            ended=self.ended,
            ids=self.ids,
            parts=self.parts,
            keys=self.keys,
            updates=self.updates,
            updated=self.updated,
            is_lost=self.is_lost,
            class_names=self.class_names,
        )

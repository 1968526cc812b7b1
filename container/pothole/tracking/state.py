"""`TrackerState`: all that a tracker knows at a checkpoint, as a value and as JSON.

The JSON lies in a bucket that others may write to, so it is data and nothing more, and is checked when it is
read. Fractions are "n/d", masks are bits in base64, and floats come back bit for bit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pothole.tracking.optical_flow import Motion
from pothole.tracking.tracks import Pothole, Track
from pothole.types import Mask


@dataclass(frozen=True)
class TrackerState:
    """What a tracker knows after it has let go of some frames; by default, before the first one.

    Attributes:
        looked: Index of the last frame that the detector looked at.
        held: For each frame that waits, the last of which is that one, what is to be shown in it.
        potholes: Those followed, where they are in that frame.
        shown: Those of them that it shows.
        gone: Tracks of confirmed potholes that are out of sight.
        ids: Of all confirmed potholes, by key.
        keys: Number of keys given.
        updates: Number of frames that the detector looked at.
        updated: Time of the last of them.
    """

    looked: int = -1
    held: tuple[tuple[Pothole, ...], ...] = ()
    potholes: tuple[Pothole, ...] = ()
    shown: tuple[Pothole, ...] = ()
    gone: tuple[Track, ...] = ()
    ids: dict[int, int] = field(default_factory=dict)
    keys: int = 0
    updates: int = 0
    updated: Fraction | None = None

    @property
    def released(self) -> int:
        """Number of frames that it has let go of, and so index of the next one."""
        return self.looked + 1 - len(self.held)

    @property
    def first(self) -> int:
        """Index of the first frame that is needed to go on, also where none waits: motion starts from one."""
        return max(0, min(self.released, self.looked))


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


class _PotholeRecord(_Strict):
    key: int
    track: Track
    score: float
    box: tuple[float, float, float, float]
    mask: int = Field(ge=0)  # number of it in the list of all
    origin: tuple[int, int]
    motion: Motion
    misses: int

    def pothole(self, masks: list[Mask]) -> Pothole:
        return Pothole(
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
    """Numbers masks: a pothole has the same one in all frames until it is detected again."""

    def __init__(self) -> None:
        self._all: dict[int, tuple[int, Mask]] = {}

    def records(self) -> tuple[_MaskRecord, ...]:
        return tuple(_MaskRecord.of(mask) for _, mask in self._all.values())

    def numbered(self, potholes: Iterable[Pothole]) -> tuple[_PotholeRecord, ...]:
        return tuple(
            _PotholeRecord(
                key=p.key,
                track=p.track,
                score=p.score,
                box=tuple(p.box.tolist()),
                mask=self._all.setdefault(id(p.mask), (len(self._all), p.mask))[0],
                origin=p.origin,
                motion=p.motion,
                misses=p.misses,
            )
            for p in potholes
        )


class TrackerRecord(_Strict):
    """A `TrackerState` as it is stored."""

    looked: int = Field(ge=-1)
    held: tuple[tuple[_PotholeRecord, ...], ...]
    potholes: tuple[_PotholeRecord, ...]
    shown: tuple[_PotholeRecord, ...]
    masks: tuple[_MaskRecord, ...]
    gone: tuple[Track, ...]
    ids: dict[int, int]
    keys: int
    updates: int
    updated: Fraction | None

    @classmethod
    def of(cls, state: TrackerState) -> Self:
        """Describe a state."""
        masks = _Masks()
        return cls(
            looked=state.looked,
            held=tuple(masks.numbered(potholes) for potholes in state.held),
            potholes=masks.numbered(state.potholes),
            shown=masks.numbered(state.shown),
            masks=masks.records(),
            gone=state.gone,
            ids=state.ids,
            keys=state.keys,
            updates=state.updates,
            updated=state.updated,
        )

    def state(self) -> TrackerState:
        """Return the state that is described.

        Raises:
            ValueError: It cannot be one.
        """
        masks = [record.mask() for record in self.masks]

        def decoded(records: Iterable[_PotholeRecord]) -> tuple[Pothole, ...]:
            if any(record.mask >= len(masks) for record in records):
                raise ValueError("a pothole without its mask")
            return tuple(record.pothole(masks) for record in records)

        if len(self.held) > self.looked + 1:
            raise ValueError(f"expected at most {self.looked + 1} frames that wait, got {len(self.held)}")
        return TrackerState(
            looked=self.looked,
            held=tuple(decoded(potholes) for potholes in self.held),
            potholes=decoded(self.potholes),
            shown=decoded(self.shown),
            gone=self.gone,
            ids=self.ids,
            keys=self.keys,
            updates=self.updates,
            updated=self.updated,
        )

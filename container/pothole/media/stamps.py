"""This module searches the time stamps of one stream for jumps and for nonsense."""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

MAX_PAUSE_S = 10  # seconds for which all streams may pause; more is a jump, as for FFmpeg
BACK_S = Fraction(1, 10)  # seconds by which stamps may go back
BACK_UNORDERED_S = 1  # the same where only times of showing are known, and packets are in the order of coding
MAX_WILD = 5  # packets in a row that may be out of line
MAX_REORDERED = 16  # pictures between the order of coding and that of showing
MAX_GAP_S = Fraction(1, 40)  # seconds of gaps in sound that players still play on time

# An hour has hundreds of thousands of packets: their numbers lie in arrays, without an object for each.
UNKNOWN = -(2**63)  # in place of a stamp that is not there, as in FFmpeg
FARTHEST = 2**61  # units at most of a stamp that is added up, so that sums stay in 64 bits

StreamKind = Literal["pictures", "sound", "data"]


class Span(NamedTuple):
    """A span says when the first and the last of some packets begin, and when all have ended, in seconds."""

    begin: Fraction
    last: Fraction
    end: Fraction


@dataclass
class Stamps:
    """These are the time stamps that the packets of one stream carry, in file order.

    Attributes:
        kind: What the stream is.
        time_base: Seconds per unit.
        step: Units of one packet, where it does not say.
        by_decoding: Packets have one stamp, as in AVI: pictures take them in the order of showing.
        places: Number of each packet among all of the file.
        decoded: When each is to be decoded, `UNKNOWN` where it does not say.
        shown: When it is to be shown, or `UNKNOWN`.
        lengths: For how many units.
        hidden: Packets that are not to be shown.
        breaks: After `find_breaks`, the packets at which time jumps.
        wild: After `find_breaks`, the packets whose stamps are nonsense.
        pieces: `(packet, piece)`: to which piece of the timeline packets belong from this one on.
    """

    kind: StreamKind
    time_base: Fraction
    step: int
    by_decoding: bool = False
    places: array[int] = field(default_factory=lambda: array("q"))
    decoded: array[int] = field(default_factory=lambda: array("q"))
    shown: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("q"))
    hidden: set[int] = field(default_factory=set)
    breaks: set[int] = field(default_factory=set)
    wild: set[int] = field(default_factory=set)
    pieces: list[tuple[int, int]] = field(default_factory=list)

    def add(self, place: int, packet: Packet[Any]) -> None:
        """Note a packet."""
        if packet.is_discard:
            self.hidden.add(len(self.places))
        self.places.append(place)
        self.decoded.append(UNKNOWN if packet.dts is None else packet.dts)
        self.shown.append(UNKNOWN if self.by_decoding or packet.pts is None else packet.pts)
        self.lengths.append(packet.duration or self.step)

    def distrust_shown(self) -> None:
        """Take the stamps as those of decoding alone: pictures are reordered, and no stamp says so."""
        self.by_decoding, self.shown = True, array("q", [UNKNOWN]) * len(self.shown)

    @cached_property
    def ordered(self) -> bool:
        """Say whether the packets say when they are to be decoded, which is the order of the file."""
        return 2 * self.decoded.count(UNKNOWN) <= len(self.decoded)

    @cached_property
    def clock(self) -> array[int]:
        """Return a stamp for each packet, all of the same kind, in units; they grow where all is well."""
        stamps = self.decoded if self.ordered else self.shown
        known = next((i for i, stamp in enumerate(stamps) if stamp != UNKNOWN), None)
        last = -self.step if known is None else stamps[known] - (known + 1) * self.step
        clock = array("q")
        for stamp in stamps:
            last = last + self.step if stamp == UNKNOWN else stamp
            clock.append(min(max(last, -FARTHEST), FARTHEST))
        return clock

    @cached_property
    def _usual(self) -> int:
        steps = np.abs(np.diff(np.array(self.clock)))
        middle = (len(steps) - 1) // 2
        return max(1, int(np.partition(steps, middle)[middle])) if len(steps) else self.step

    @cached_property
    def _sorted(self) -> array[int]:
        return array("q", np.sort(np.array(self.clock)).tobytes())

    def _between(self, begin: Fraction, end: Fraction) -> int:
        """Return how many packets there are between two times in seconds."""
        first, last = (bisect(self._sorted, int(time / self.time_base)) for time in (begin, end))
        return last - first

    @cached_property
    def _back(self) -> int:
        """Return how many units the clock may go back."""
        back = BACK_S if self.ordered and not self.by_decoding else BACK_UNORDERED_S
        return max(2 * self._usual, int(back / self.time_base))

    def find_breaks(self, others: Sequence[Stamps], holds: bool) -> None:
        """Find the packets whose stamps are nonsense, and those at which time jumps.

        Args:
            others: The other streams: where one goes on, this one pauses.
            holds: Each packet says for how long it is shown, as in MP4, so that a stream alone pauses too.
        """
        ahead = max(int(MAX_PAUSE_S / self.time_base), 10 * self._usual)
        number, last = 1, self.clock[0]
        while number < len(self.clock):
            stamp = self.clock[number]
            if not -self._back <= stamp - last <= ahead:
                wild = self._wild(number, last)
                self.wild |= wild
                if number in wild:
                    number = max(wild) + 1
                    continue
                if not wild and (stamp < last or self._jumps(last, stamp, others, holds)):
                    self.breaks.add(number)
            last, number = stamp, number + 1

    def _wild(self, number: int, last: int) -> set[int]:
        """Return the packets out of line at a step in time: without them there would be no step."""
        clock, near = self.clock, (MAX_WILD + 2) * max(self._usual, self.step) + self._back
        if number == 1 and len(clock) > MAX_WILD:
            return {0}
        for count in range(1, MAX_WILD + 1):
            if number + count < len(clock) and 0 < clock[number + count] - last <= near:
                return set(range(number, number + count))
            before = number - count - 1
            if before >= 0 and 0 < clock[number] - clock[before] <= near < clock[before + 1] - clock[before]:
                return set(range(before + 1, number))
        return set()

    def _jumps(self, last: int, stamp: int, others: Sequence[Stamps], holds: bool) -> bool:
        if holds and all(other.kind == "data" for other in others):
            return False
        begin, end = last * self.time_base + 1, stamp * self.time_base - 1
        return all(other._between(begin, end) <= MAX_WILD for other in others)

    @cached_property
    def wild_shown(self) -> frozenset[int]:
        """Return the pictures whose time of showing puts them far from their place in the file's order."""
        if self.kind != "pictures" or self.by_decoding:
            return frozenset()
        shown, wild = np.array(self.shown), set[int]()
        usable = self._without(self.wild) & (shown != UNKNOWN)
        for first, after in self._bounds():
            known = first + np.flatnonzero(usable[first:after])
            ranked = known[np.argsort(shown[known], kind="stable")]
            wild.update(ranked[np.abs(ranked - known) > MAX_REORDERED].tolist())
        return frozenset(wild)

    def _without(self, packets: Collection[int]) -> NDArray[np.bool_]:
        """Say of each packet whether it is none of these."""
        usable = np.ones(len(self.places), np.bool_)
        usable[np.fromiter(packets, np.int64, len(packets))] = False
        return usable

    def _bounds(self) -> list[tuple[int, int]]:
        firsts = [first for first, _ in self.pieces] or [0]
        return list(pairwise([*firsts, len(self.clock)]))

    def spans(self) -> dict[int, Span]:
        """Return the span of each piece as its stamps tell it."""
        shown, spans = np.array(self.shown), {}
        trusted = self._without(self.hidden | self.wild | self.wild_shown)
        begins = np.where(shown == UNKNOWN, np.array(self.clock), shown).clip(-FARTHEST, FARTHEST)
        ends = begins + self._lengths()
        for (first, after), (_, piece) in zip(self._bounds(), self.pieces, strict=True):
            of = first + np.flatnonzero(trusted[first:after])
            if len(of):
                marks = begins[of].min(), begins[of].max(), ends[of].max()
                spans[piece] = Span(*(int(mark) * self.time_base for mark in marks))
        return spans

    def _lengths(self) -> NDArray[np.int64]:
        """Return how many units packets last: before a jump the usual number, whatever an MP4 says."""
        lengths = np.array(self.lengths).clip(-FARTHEST, FARTHEST)
        lengths[[number - 1 for number in self.breaks]] = self._usual
        return lengths

    @cached_property
    def steady(self) -> bool:
        """Say whether each packet begins when the one before ends, up to gaps that nobody hears."""
        off, limit = 0, int(MAX_GAP_S / self.time_base)
        for (begin, after), length in zip(pairwise(self.clock), self.lengths, strict=False):
            gap = after - begin - length
            if 2 * abs(gap) > length:  # a smaller gap is rounding
                off += gap
            if abs(off) > limit:
                return False
        return not self.wild

"""A timeline says when each packet of a file is due in the output, pictures and sound alike.

Time stamps of real files begin anywhere, jump where recordings were joined, and now and then one is nonsense.
So a file is looked through once before it is read. What the stamps of all its streams say together makes
pieces: within one, time runs on. Each piece is moved to where the one before ends, all its streams alike.

    stamps of pictures  100 101 102 103 |  7   8   9 999  11        999 is wild
    stamps of sound     100 101 102 103 |  7   8   9  10  11
    due at              100 101 102 103 | 104 105 106 107 108
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.packet import Packet

from pothole.media.stamps import MAX_PAUSE_S, Span, Stamps

# Sound may be longer by so much: a coder needs some before it begins, and its last packet is filled up.
RUN_IN_S = Fraction(1, 10)


@dataclass(frozen=True)
class StreamTimes:
    """Stream times say when the packets of one stream are due.

    Attributes:
        shifts: `(packet, units)`: from this packet on, so many units are added to the stamps.
        wild: Packets whose stamps are nonsense.
        wild_shown: Packets of which only the time of showing is.
        by_decoding: See `Stamps`.
        packets: How many there are.
        begin: Seconds of the timeline at which the first packet is due.
        last: Seconds at which the last one is.
        end: Seconds at which it ends.
        steady: Whether each packet begins where the one before ends, as far as one hears.
    """

    shifts: tuple[tuple[int, int], ...]
    wild: frozenset[int]
    wild_shown: frozenset[int]
    by_decoding: bool
    packets: int
    begin: Fraction
    last: Fraction
    end: Fraction
    steady: bool

    def mend(self, packet: Packet[Any], number: int) -> None:
        """Give the packet of this number the stamps at which it is due, None where it has none."""
        shift = next(units for first, units in reversed(self.shifts) if number >= first)
        shown, decoded = packet.pts, packet.dts
        if number in self.wild:
            shown = decoded = None
        elif number in self.wild_shown or self.by_decoding:
            shown = None
        packet.pts = None if shown is None else shown + shift
        packet.dts = None if decoded is None else decoded + shift


@dataclass(frozen=True)
class Timeline:
    """A timeline says when each packet of a file is due.

    Attributes:
        tracks: Those streams that have packets, by their index.
        pieces: How many were joined, 1 in an ordinary file.
    """

    tracks: Mapping[int, StreamTimes]
    pieces: int

    @classmethod
    def of(cls, streams: Mapping[int, Stamps], holds: bool = False) -> Timeline:
        """Make the timeline from the stamps of all streams, by their index.

        Args:
            streams: Those without packets are left out.
            holds: See `Stamps.find_breaks`.
        """
        found = {index: stamps for index, stamps in streams.items() if stamps.places}
        every = list(found.values())
        for stamps in every:
            stamps.find_breaks([other for other in every if other is not stamps], holds)
        pieces = _assign(every)
        shifts = _shifts(every, pieces)
        return cls({index: _track(stamps, shifts) for index, stamps in found.items()}, pieces)

    @property
    def mended(self) -> bool:
        """Say whether any stamp had to be changed."""
        return self.pieces > 1 or any(track.wild or track.wild_shown for track in self.tracks.values())

    def mend(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Give packets, in file order from the first on, the stamps at which they are due."""
        seen: Counter[int] = Counter()
        for packet in packets:
            if track := self.tracks.get(packet.stream_index):
                track.mend(packet, seen[packet.stream_index])
            seen[packet.stream_index] += 1
            yield packet


def _assign(streams: Sequence[Stamps]) -> int:
    """Decide for each stream which packets belong to which piece, and return how many pieces there are."""
    if not any(stamps.breaks for stamps in streams):
        for stamps in streams:
            stamps.pieces = [(0, 0)]
        return 1
    order = heapq.merge(*(_places(s, stamps) for s, stamps in enumerate(streams)))
    spans: list[tuple[Fraction, Fraction]] = []  # first and last time of each piece, as its stamps say
    for _, s, number in order:
        stamps = streams[s]
        if number in stamps.wild:
            continue
        time = stamps.clock[number] * stamps.time_base
        if not stamps.pieces:
            stamps.pieces.append((0, _fitting(spans, time)))
        elif number in stamps.breaks:
            newest = len(spans) - 1
            joins = stamps.pieces[-1][1] < newest and _near(spans[newest], time)
            stamps.pieces.append((number, newest if joins else newest + 1))
        piece = stamps.pieces[-1][1]
        if piece == len(spans):
            spans.append((time, time))
        spans[piece] = min(spans[piece][0], time), max(spans[piece][1], time)
    for stamps in streams:
        stamps.pieces = stamps.pieces or [(0, 0)]
    return len(spans)


def _places(stream: int, stamps: Stamps) -> Iterator[tuple[int, int, int]]:
    """Yield a stream's packets in file order: the place of each in the file, the stream, and its number."""
    for number, place in enumerate(stamps.places):
        yield place, stream, number


def _fitting(spans: Sequence[tuple[Fraction, Fraction]], time: Fraction) -> int:
    """Return the piece in which a stream begins."""
    fitting = [piece for piece, span in enumerate(spans) if _near(span, time)]
    return fitting[-1] if fitting else max(0, len(spans) - 1)


def _near(span: tuple[Fraction, Fraction], time: Fraction) -> bool:
    return span[0] - MAX_PAUSE_S <= time <= span[1] + MAX_PAUSE_S


def _shifts(streams: Sequence[Stamps], pieces: int) -> list[Fraction]:
    """Return how many seconds each piece is moved so that its pictures follow at once and no sound is cut."""
    spans = [(stamps.kind, stamps.spans()) for stamps in streams]
    shifts: list[Fraction] = []
    ends: dict[int, Fraction] = {}  # where each stream ends so far
    for piece in range(pieces):
        due: dict[str, list[Fraction]] = {"pictures": [], "sound": [], "data": []}
        for s, (kind, of) in enumerate(spans):
            if s in ends and piece in of:
                due[kind].append(ends[s] - of[piece].begin)
        pictures, sound = max(due["pictures"], default=None), max(due["sound"], default=None)
        if pictures is None or (sound is not None and sound - pictures > RUN_IN_S):
            pictures = sound
        shifts.append(pictures if pictures is not None else shifts[-1] if shifts else Fraction(0))
        ends |= {s: of[piece].end + shifts[piece] for s, (_, of) in enumerate(spans) if piece in of}
    return shifts


def _track(stamps: Stamps, shifts: Sequence[Fraction]) -> StreamTimes:
    spans = [Span(*(time + shifts[piece] for time in span)) for piece, span in stamps.spans().items()]
    return StreamTimes(
        shifts=tuple((first, round(shifts[piece] / stamps.time_base)) for first, piece in stamps.pieces),
        wild=frozenset(stamps.wild),
        wild_shown=stamps.wild_shown,
        by_decoding=stamps.by_decoding,
        packets=len(stamps.places),
        begin=min((span.begin for span in spans), default=Fraction(0)),
        last=max((span.last for span in spans), default=Fraction(0)),
        end=max((span.end for span in spans), default=Fraction(0)),
        steady=stamps.steady and len(stamps.pieces) == 1,
    )

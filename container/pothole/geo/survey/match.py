"""Which pothole of one drive is which of another.

Receivers drift: potholes that follow each other on a drive lie off in about the same direction, and by the
more alike the nearer they are. So a drive is matched as a whole, by the likeliest sequence of matches
(Viterbi, 1967). Each pothole is one of the list within reach or a new one; an offset costs by its own
size, or by how much it differs from that of the match before. A pothole of a drive is at most one of the
list, and each of the list at most one of a drive. The place of one of the list is the mean of all that are
matched with it, so that no chain of them wanders off.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pothole.geo.flow import Numbers
from pothole.geo.locate import RADIUS_90
from pothole.geo.survey.drives import Drive, Seen
from pothole.media.telemetry.fixes import metres_per_degree

MAX_TURN = 60.0  # degrees between the directions of two drives in the same lane
MAX_OFFSET = 20.0  # metres that a pothole of a drive may lie off one of the list
MEMORY = 200.0  # metres of a drive along which an offset stays about the same
SPREAD = 0.8  # metres along each axis by which a place is off by itself, besides its receiver's drift
NEW = 6.0  # cost of a pothole that is new
REACH = 6  # potholes of a drive from one match to the next, at most, whose offsets are compared


@dataclass
class Spot:
    """A spot is one pothole of the list while it is made.

    Attributes:
        seen: It, as the drives saw it, one each at most.
    """

    seen: list[Seen] = field(default_factory=list)

    @property
    def place(self) -> tuple[float, float]:
        """Return latitude and longitude, the mean of those seen; the surer weigh more."""
        weights = [1 / each.accuracy_m**2 for each in self.seen]
        first = self.seen[0].lon
        turns = [(each.lon - first + 180) % 360 - 180 for each in self.seen]
        lat = float(np.average([each.lat for each in self.seen], weights=weights))
        return lat, float((first + np.average(turns, weights=weights) + 180) % 360 - 180)

    @property
    def heading(self) -> float | None:
        """Return the direction of travel of the first drive that knows one."""
        return next((each.heading for each in self.seen if each.heading is not None), None)


@dataclass
class _Match:
    """A match is a pothole of a drive that may be one of the list.

    Attributes:
        number: Of the pothole in the drive's order.
        spot: Number of that of the list.
        offset: `(2,)` metres between them.
        cost: Of the best sequence that ends with it.
        before: The match before it in that sequence.
    """

    number: int
    spot: int
    offset: Numbers
    cost: float = np.inf
    before: "_Match | None" = None

    def is_used(self, spot: int) -> bool:
        """Say whether the last matches of the sequence that ends here have one of the list."""
        match: _Match | None = self
        for _ in range(2 * REACH):
            if match is None:
                break
            if match.spot == spot:
                return True
            match = match.before
        return False


def match_drives(drives: Sequence[Drive]) -> list[Spot]:
    """Return the list of potholes of drives, in the order of their first drives."""
    spots: list[Spot] = []
    for drive in drives:
        seen = sorted(drive.seen, key=lambda each: (each.distance_m, each.track_id))
        found = _match(seen, spots)
        for number, each in enumerate(seen):
            spot = found.get(number)
            if spot is None:
                spots.append(Spot([each]))
            else:
                spots[spot].seen.append(each)
    return spots


def _match(seen: Sequence[Seen], spots: Sequence[Spot]) -> dict[int, int]:
    """Return which of the list potholes of a drive are, by their numbers; new ones are left out."""
    columns: list[list[_Match]] = []
    best: tuple[float, _Match | None] = (NEW * len(seen), None)
    for number, matches in enumerate(_candidates(seen, spots)):
        for match in matches:
            _extend(match, columns, seen)
        columns.append(matches)
        for match in matches:
            whole = match.cost + NEW * (len(seen) - 1 - number)
            if whole < best[0]:
                best = whole, match
    found = {}
    last = best[1]
    while last is not None:
        found[last.number] = last.spot
        last = last.before
    return found


def _extend(match: _Match, columns: Sequence[Sequence[_Match]], seen: Sequence[Seen]) -> None:
    """Find the best sequence that ends with a match."""
    here = seen[match.number]
    sigma = 2 * (here.accuracy_m / RADIUS_90) ** 2 + SPREAD**2  # of both, squared
    alone = float(match.offset @ match.offset) / (2 * sigma)
    match.cost = NEW * match.number + alone + float(np.log(1 + sigma))
    for number in range(max(0, match.number - REACH), match.number):
        skipped = NEW * (match.number - number - 1)
        driven = abs(here.distance_m - seen[number].distance_m)
        drift = 2 * SPREAD**2 + 2 * sigma * (1 - float(np.exp(-driven / MEMORY)))
        for before in columns[number]:
            change = match.offset - before.offset
            cost = before.cost + skipped + float(change @ change) / (2 * drift) + float(np.log(1 + drift))
            if cost < match.cost and not before.is_used(match.spot):
                match.cost, match.before = cost, before


def _candidates(seen: Sequence[Seen], spots: Sequence[Spot]) -> list[list[_Match]]:
    """Return for each pothole of a drive those of the list within reach."""
    places = np.array([spot.place for spot in spots], float).reshape(-1, 2)
    order = np.argsort(places[:, 0], kind="stable")
    lats = places[order, 0]
    found: list[list[_Match]] = []
    for number, each in enumerate(seen):
        north, east = metres_per_degree(each.lat)
        reach = MAX_OFFSET / north
        low, high = np.searchsorted(lats, [each.lat - reach, each.lat + reach])
        near = order[low:high]
        turns = (places[near, 1] - each.lon + 180) % 360 - 180
        offsets = np.stack([turns * east, (places[near, 0] - each.lat) * north], axis=1)
        inside = np.linalg.norm(offsets, axis=1) <= MAX_OFFSET
        found.append(
            [
                _Match(number, int(spot), offset)
                for spot, offset in zip(near[inside], offsets[inside], strict=True)
                if _same_way(each.heading, spots[spot].heading)
            ]
        )
    return found


def _same_way(a: float | None, b: float | None) -> bool:
    return a is None or b is None or abs((a - b + 180) % 360 - 180) <= MAX_TURN

"""A road is reported by sections: how many potholes each has, and how much of it the drives saw.

A point of a road counts as seen where a drive came by within `ASIDE` in a direction like the road's. Where
two positions of a drive lie far apart, nobody knows which way it took between them: such points count as
without positions, and all others as not driven.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pothole.geo.export.geojson import write_features
from pothole.geo.export.row import Row, Value
from pothole.geo.flow import Numbers
from pothole.geo.survey.pieces import Pieces, turn
from pothole.geo.survey.records import Pothole
from pothole.geo.survey.roads import MAX_TURN, Network, OnRoad, Road
from pothole.types import Json

STEP = 5.0  # metres between two points of a road that are looked at
ASIDE = 15.0  # metres between a road's line and a drive on that road
MAX_GAP = 100.0  # metres between two positions of a drive above which its way is not known
SEEN, WITHOUT_POSITIONS, NOT_DRIVEN = 2, 1, 0


@dataclass(frozen=True)
class Section:
    """A section is a piece of a road.

    Attributes:
        road: The road.
        begin: Metres along it where the section begins.
        end: Where it ends.
        line: `(n, 2)` latitude and longitude along it.
        potholes: Number of those there now; such as later drives did not see are left out.
        area_m2: Of those whose size is known, together.
        unsized: Number of those whose size is not known.
        seen_m: Metres that a drive saw.
        without_positions_m: Metres that a drive may have seen, which had no positions there.
        not_driven_m: All other metres.
    """

    road: Road
    begin: float
    end: float
    line: Numbers
    potholes: int
    area_m2: float
    unsized: int
    seen_m: float
    without_positions_m: float
    not_driven_m: float

    @property
    def per_100_m(self) -> float | None:
        """Return the potholes in 100 m of what was seen; None where nothing was."""
        return 100 * self.potholes / self.seen_m if self.seen_m >= STEP else None

    @property
    def id(self) -> str:
        """Return what names it in all lists of the same network."""
        return f"{self.road.id}-{self.begin:.0f}"

    def row(self) -> Row:
        """Return it as a row of a list, which lies in its middle."""
        lat, lon = _at(self.road, np.array([(self.begin + self.end) / 2]))[0]
        name = f"{self.road.name} {self.begin:.0f} to {self.end:.0f} m"
        return Row(self.id, name, float(lat), float(lon), values=self.properties())

    def properties(self) -> dict[str, Value]:
        """Return what a list says of it, by name."""
        rate = self.per_100_m
        return {
            "road": self.road.name,
            "road_id": self.road.id,
            "begin_m": round(self.begin, 1),
            "end_m": round(self.end, 1),
            "potholes": self.potholes,
            "per_100_m": None if rate is None else round(rate, 2),
            "area_m2": round(self.area_m2, 2),
            "potholes_without_size": self.unsized,
            "seen_m": round(self.seen_m, 1),
            "without_positions_m": round(self.without_positions_m, 1),
            "not_driven_m": round(self.not_driven_m, 1),
        }


def divide(
    network: Network,
    length: float,
    potholes: Sequence[Pothole],
    places: Mapping[str, OnRoad],
    driven: Pieces,
) -> list[Section]:
    """Divide the roads of a network into sections.

    Args:
        network: The roads.
        length: Metres of a section; the last one of a road may be up to half longer or shorter.
        potholes: The list.
        places: Where on the network each of them lies, by id.
        driven: The ways of all drives.
    """
    here: dict[int, list[tuple[float, Pothole]]] = defaultdict(list)
    for pothole in potholes:
        place = places.get(pothole.id)
        if place is not None and not pothole.is_gone:
            here[id(place.road)].append((place.chainage, pothole))
    return [section for road in network.roads for section in _divided(road, length, here[id(road)], driven)]


def _divided(
    road: Road, length: float, potholes: Sequence[tuple[float, Pothole]], driven: Pieces
) -> list[Section]:
    first, last = float(road.chainages[0]), float(road.chainages[-1])
    count = max(1, round((last - first) / length))
    borders = np.append(first + length * np.arange(count), last)
    points = max(2, round((last - first) / STEP) + 1)
    looked = np.linspace(first, last, points)
    looked = (looked[:-1] + looked[1:]) / 2
    states = _states(_at(road, looked), road, looked, driven)
    metres = (last - first) / len(looked)
    numbers = np.clip(np.searchsorted(borders, looked, side="right") - 1, 0, count - 1)
    sections = []
    for number in range(count):
        begin, end = float(borders[number]), float(borders[number + 1])
        is_last = number == count - 1
        found = [p for at, p in potholes if begin <= at < end or (is_last and at >= end)]
        shares = np.bincount(states[numbers == number], minlength=3) * metres
        sized = [float(p.size["area_m2"]) for p in found if p.size]
        sections.append(
            Section(
                road,
                begin,
                end,
                _line(road, begin, end),
                len(found),
                sum(sized),
                len(found) - len(sized),
                *(float(shares[state]) for state in (SEEN, WITHOUT_POSITIONS, NOT_DRIVEN)),
            )
        )
    return sections


def _at(road: Road, chainages: Numbers) -> Numbers:
    """Return latitude and longitude at some chainages."""
    lat, lon = (np.interp(chainages, road.chainages, road.line[:, axis]) for axis in (0, 1))
    return np.stack([lat, lon], axis=1)


def _line(road: Road, begin: float, end: float) -> Numbers:
    inside = road.chainages[(road.chainages > begin) & (road.chainages < end)]
    return _at(road, np.array([begin, *inside, end]))


def _states(points: Numbers, road: Road, chainages: Numbers, driven: Pieces) -> Numbers:
    """Return for each point of a road whether it was seen."""
    pieces = np.clip(np.searchsorted(road.chainages, chainages, side="right") - 1, 0, len(road.line) - 2)
    leads = Pieces.of(road.line).beside(*road.line[0]).bearing[pieces]
    states = np.zeros(len(points), int)
    near = _near(points, driven)
    if not len(near.begins):
        return states
    for number, (lat, lon) in enumerate(points):
        beside = near.beside(lat, lon)
        turned = turn(beside.bearing, float(leads[number]))
        fits = (beside.distance <= ASIDE) & (np.minimum(turned, 180 - turned) <= MAX_TURN)
        if fits.any():
            states[number] = SEEN if beside.length[fits].min() <= MAX_GAP else WITHOUT_POSITIONS
    return states


def _near(points: Numbers, driven: Pieces) -> Pieces:
    """Return the pieces of drives that come near a road at all, by their boxes."""
    margin = 0.001  # degrees; more than `ASIDE` wherever there are roads
    low, high = points.min(0) - margin, points.max(0) + margin
    inside = (np.maximum(driven.begins, driven.ends) >= low) & (
        np.minimum(driven.begins, driven.ends) <= high
    )
    kept = inside.all(1)
    return Pieces(driven.begins[kept], driven.ends[kept])


def write_sections(path: Path, sections: Sequence[Section]) -> None:
    """Write sections as a GeoJSON of lines."""
    write_features(path, ((each.id, _geometry(each.line), each.properties()) for each in sections))


def _geometry(line: Numbers) -> Json:
    places = [[round(float(lon), 7), round(float(lat), 7)] for lat, lon in line]
    return {"type": "LineString", "coordinates": places}

"""The roads of a network, and where along them a place lies.

A road is read from a line of a GeoJSON file (RFC 7946). Chainage is the distance along its line, in metres,
from where the line begins; a number that the line states as `chainage` is where it begins.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pothole.errors import RequestError, reason
from pothole.files import MIB
from pothole.geo.export.row import Value
from pothole.geo.flow import Numbers
from pothole.geo.survey.pieces import Pieces, turn
from pothole.media.telemetry.fixes import MAX_LATITUDE, MAX_LONGITUDE, distance

MAX_ASIDE = 25.0  # metres between a road's line and a place on that road
MAX_TURN = 45.0  # degrees between the direction of a road and that of who drives on it
CROSSING = 15.0  # metres by which a road that leads elsewhere has to be nearer
MAX_BYTES = 512 * MIB
# Properties that may hold a road's name, in small letters, without signs; the first that is there counts.
NAMES = (
    *("name", "roadname", "rdname", "streetname", "stname", "strname", "fullname", "street", "road"),
    *("ref", "routeid", "id"),
)
EXPECTED = "Give a GeoJSON of lines in WGS 84, longitude first, as RFC 7946 has it."


@dataclass(frozen=True)
class Road:
    """A road is one line of a network.

    Attributes:
        id: The feature's id; its number in the file where it has none.
        name: What people call it.
        line: `(n, 2)` latitude and longitude along it.
        chainages: `(n,)` metres along it at each point.
    """

    id: str
    name: str
    line: Numbers
    chainages: Numbers


class OnRoad(NamedTuple):
    """Where on a network a place lies.

    Attributes:
        road: The road.
        chainage: Metres along it.
        aside: Metres from its line.
        direction: `with` the line or `against` it; None where the direction of travel is not known.
    """

    road: Road
    chainage: float
    aside: float
    direction: str | None


class Network:
    """A network is the roads of an authority.

    Args:
        roads: At least one.
    """

    def __init__(self, roads: Sequence[Road]) -> None:
        self.roads = tuple(roads)
        self._pieces = Pieces.joined([Pieces.of(road.line) for road in roads])
        self._road = np.repeat(np.arange(len(roads)), [len(road.line) - 1 for road in roads])
        self._from = np.concatenate([road.chainages[:-1] for road in roads])
        self._length = np.concatenate([np.diff(road.chainages) for road in roads])

    def about(self, place: OnRoad | None) -> dict[str, Value]:
        """Return what a list says of where on the network a pothole lies, by name."""
        return {
            "road": place.road.name if place else None,
            "road_id": place.road.id if place else None,
            "chainage_m": round(place.chainage, 1) if place else None,
            "direction": place.direction if place else None,
        }

    def find(self, lat: float, lon: float, heading: float | None) -> OnRoad | None:
        """Return where on the network a place lies; None where no road is near.

        Args:
            lat: Degrees north.
            lon: Degrees east.
            heading: Direction of travel there; a road that leads elsewhere has to be much nearer.
        """
        beside = self._pieces.beside(lat, lon)
        turned = None if heading is None else turn(beside.bearing, heading)
        cost = beside.distance
        if turned is not None:
            cost = cost + np.where(np.minimum(turned, 180 - turned) > MAX_TURN, CROSSING, 0.0)
        best = int(np.argmin(np.where(beside.distance <= MAX_ASIDE, cost, np.inf)))
        if beside.distance[best] > MAX_ASIDE:
            return None
        chainage = float(self._from[best] + beside.share[best] * self._length[best])
        direction = None if turned is None else "with" if turned[best] <= 90 else "against"
        return OnRoad(self.roads[self._road[best]], chainage, float(beside.distance[best]), direction)


def read_roads(path: Path) -> Network:
    """Read a network.

    Raises:
        RequestError: It is no GeoJSON of lines in WGS 84; names the file and the feature.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RequestError(f"{path} is above {MAX_BYTES // MIB} MiB.", "Cut out the roads that matter.")
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise RequestError(f"{path} cannot be read: {reason(exc)}.") from exc
    except (ValueError, RecursionError) as exc:
        raise RequestError(f"{path} is no GeoJSON.", EXPECTED) from exc
    features = data.get("features") if isinstance(data, dict) else None
    if not isinstance(features, list):
        raise RequestError(f"{path} has no list of features.", EXPECTED)
    roads = [road for number, feature in enumerate(features) for road in _roads(path, number, feature)]
    if not roads:
        raise RequestError(f"{path} has no line.", EXPECTED)
    return Network(roads)


def _roads(path: Path, number: int, feature: Any) -> Iterator[Road]:
    """Yield the roads of a feature, one for each line; points and areas are passed over."""
    try:
        geometry = feature["geometry"] or {}
        about = feature.get("properties") or {}
        kind = geometry.get("type")
        if kind not in ("LineString", "MultiLineString"):
            return
        lines = [geometry["coordinates"]] if kind == "LineString" else geometry["coordinates"]
        name, start = _name(about, number), float(about.get("chainage") or 0)
        for line in lines:
            points = np.array([point[:2] for point in line], float)[:, ::-1]
            if (np.abs(points) > (MAX_LATITUDE, MAX_LONGITUDE)).any():
                raise RequestError(f"Feature {number} of {path} is not in WGS 84.", EXPECTED)
            chainages = start + np.cumsum([0.0, *map(distance, points[:-1], points[1:])])
            if len(points) < 2 or not np.isfinite(chainages).all():
                raise ValueError("line")
            yield Road(str(feature.get("id", number)), name, points, chainages)
            start = float(chainages[-1])
    except RequestError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
        raise RequestError(f"Feature {number} of {path} is no line.", EXPECTED) from exc


def _name(about: Mapping[str, Any], number: int) -> str:
    plain = {"".join(c for c in str(key).lower() if c.isalnum()): value for key, value in about.items()}
    found = (str(plain[name]).strip() for name in NAMES if plain.get(name) not in (None, ""))
    return next(found, f"road {number}")

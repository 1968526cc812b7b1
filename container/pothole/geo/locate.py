"""Where each pothole is: the place of the camera when it was seen, and from there so far ahead and aside."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pothole.geo.flow import Numbers
from pothole.geo.plane import GroundPlane
from pothole.media.telemetry.fixes import metres_per_degree
from pothole.media.telemetry.track import GpsTrack, Position

RADIUS_90 = 2.146  # standard deviations along each of two axes within which 90 % lie
NEAREST, FARTHEST = 2.5, 25.0  # metres ahead between which a sighting tells a place
MIDDLE = 0.5  # metres to either side of the way that count as on it
# Where the road's plane is not known: what is seen last of a pothole lies so far ahead, give or take.
USUAL_AHEAD, AHEAD_SIGMA = 6.0, 3.0
ASIDE_SIGMA = 1.5
UNKNOWN_HEADING = 8.0  # metres, where it is not known which way the camera looks


def utc_text(time: datetime) -> str:
    """Return a time of UTC in ISO 8601."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Sighting:
    """A sighting is one frame that shows a pothole.

    Attributes:
        track_id: Of the pothole.
        time: Seconds of the video.
        outline: `(n, 2)` x and y around it, in pixels.
    """

    track_id: int
    time: float
    outline: Numbers


@dataclass(frozen=True)
class Place:
    """A place says where on earth a pothole is, WGS 84.

    Attributes:
        lat: Degrees north.
        lon: Degrees east.
        accuracy_m: Metres around it within which the pothole lies with a probability of 90 %.
        heading: Direction of travel, in degrees clockwise from north; None when it is not known.
        time_utc: When it was seen there, None when not known.
        distance_m: Metres along the drive.
        side: `left`, `middle` or `right` of the camera's way; None when it is not known.
    """

    lat: float
    lon: float
    accuracy_m: float
    heading: float | None
    time_utc: datetime | None
    distance_m: float
    side: str | None

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of it."""
        utc = self.time_utc
        return {
            "lat": round(self.lat, 7),
            "lon": round(self.lon, 7),
            "accuracy_m": round(self.accuracy_m, 1),
            "heading": None if self.heading is None else round(self.heading, 1) % 360,
            "time_utc": None if utc is None else utc_text(utc),
            "distance_m": round(self.distance_m, 1),
            "side": self.side,
        }


def locate(sightings: Iterable[Sighting], track: GpsTrack, plane: GroundPlane | None) -> dict[int, Place]:
    """Return the place of each pothole that was seen where the camera's own place is known, by its id."""
    seen: Mapping[int, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        seen[sighting.track_id].append(sighting)
    places = {track_id: _place(each, track, plane) for track_id, each in seen.items()}
    return {track_id: place for track_id, place in places.items() if place is not None}


@dataclass(frozen=True)
class _Spot:
    """A spot is where one sighting puts a pothole, in metres from the camera."""

    at: Position
    time: float
    aside: float
    ahead: float
    aside_sigma: float
    ahead_sigma: float


def _place(sightings: Sequence[Sighting], track: GpsTrack, plane: GroundPlane | None) -> Place | None:
    spots = [spot for s in sightings if (spot := _spot(s, track, plane)) is not None] if plane else []
    if not spots:
        spots = [spot for s in reversed(sightings) if (spot := _unmeasured(s, track)) is not None][:1]
    if not spots:
        return None
    nearest = min(spots, key=lambda spot: spot.ahead)
    origin = nearest.at
    moves = np.array([_move(spot, origin) for spot in spots])
    weights = np.array([1 / (spot.ahead_sigma**2 + spot.aside_sigma**2) for spot in spots])
    east, north = np.average(moves, axis=0, weights=weights)
    metres_north, metres_east = metres_per_degree(origin.lat)
    driven = float(np.average([s.at.distance + s.ahead for s in spots], weights=weights))
    aside = float(np.average([s.aside for s in spots], weights=weights))
    return Place(
        lat=origin.lat + float(north) / metres_north,
        lon=(origin.lon + float(east) / metres_east + 180) % 360 - 180,
        accuracy_m=_accuracy(spots, nearest),
        heading=origin.heading,
        time_utc=None if origin.utc is None else datetime.fromtimestamp(origin.utc, UTC),
        distance_m=driven,
        side=_side(aside) if plane and nearest.aside_sigma < ASIDE_SIGMA else None,
    )


def _accuracy(spots: Sequence[_Spot], nearest: _Spot) -> float:
    """Return the radius that holds 90 %; what is off alike in all sightings does not shrink with them."""
    gps = float(np.mean([spot.at.sigma**2 for spot in spots]))
    if nearest.at.heading is None:
        return RADIUS_90 * float(np.hypot(np.sqrt(gps), UNKNOWN_HEADING))
    turned = (np.radians(nearest.at.heading_sigma) * nearest.ahead) ** 2
    along = gps + nearest.ahead_sigma**2
    across = gps + turned + nearest.aside_sigma**2
    return RADIUS_90 * float(np.sqrt((along + across) / 2))


def _spot(sighting: Sighting, track: GpsTrack, plane: GroundPlane | None) -> _Spot | None:
    """Return where the road's plane puts a sighting."""
    at = track.at(sighting.time)
    if at is None or plane is None:
        return None
    ground = plane.to_ground(sighting.outline)
    if not np.isfinite(ground).all():
        return None
    aside, ahead = ((ground.min(0) + ground.max(0)) / 2).tolist()
    if not NEAREST <= ahead <= FARTHEST:
        return None
    part = plane.sigma_at(float(sighting.outline[:, 1].mean()))
    return _Spot(
        at, sighting.time, aside, ahead, max(0.2, abs(aside) * plane.across_sigma), max(0.2, part * ahead)
    )


def _unmeasured(sighting: Sighting, track: GpsTrack) -> _Spot | None:
    """Return where a pothole usually is when it is seen last."""
    at = track.at(sighting.time)
    return None if at is None else _Spot(at, sighting.time, 0.0, USUAL_AHEAD, ASIDE_SIGMA, AHEAD_SIGMA)


def _move(spot: _Spot, origin: Position) -> tuple[float, float]:
    """Return the metres east and north of the origin at which a spot lies."""
    north, east = metres_per_degree(origin.lat)
    turn = (spot.at.lon - origin.lon + 180) % 360 - 180
    to_east, to_north = turn * east, (spot.at.lat - origin.lat) * north
    if spot.at.heading is not None:
        sine, cosine = np.sin(np.radians(spot.at.heading)), np.cos(np.radians(spot.at.heading))
        to_east += spot.ahead * sine + spot.aside * cosine
        to_north += spot.ahead * cosine - spot.aside * sine
    return to_east, to_north


def _side(aside: float) -> str:
    if abs(aside) <= MIDDLE:
        return "middle"
    return "right" if aside > 0 else "left"

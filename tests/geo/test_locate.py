"""Potholes are where the camera was, so far ahead and aside, and as sure as what that is made of."""

from collections.abc import Sequence

import numpy as np
import pytest

from pothole.geo.locate import Place, Sighting, locate
from pothole.geo.plane import GroundPlane
from pothole.media.telemetry import GpsTrack
from pothole.media.telemetry.fixes import Fix, distance, metres_per_degree
from support.flows import CAMERA, SIZE, outline_of
from support.telemetry import LAT, LON, START, Point, drive

PLANE = GroundPlane(
    CAMERA.focal, CAMERA.height, CAMERA.horizon, (SIZE[1] - 1) / 2, 0.03, 0.05, 1.0, "test", SIZE
)


def track(points: Sequence[Point], **known: float) -> GpsTrack:
    fixes = [(t, Fix(t, START.timestamp() + t, lat, lon, **known)) for t, lat, lon in points]  # type: ignore[arg-type]
    return GpsTrack.of(fixes, "test", "test")


def sightings(aside: float, along: float, speed: float = 10.0, times: Sequence[float] = ()) -> list[Sighting]:
    """A pothole that lies so far along a drive, as a camera sees it that comes nearer."""
    times = times or [t for t in np.arange(0, 10, 0.1) if 4 < along - speed * t < 20]
    return [Sighting(1, float(t), outline_of(CAMERA, aside, along - speed * t)) for t in times]


def place(points: Sequence[Point], seen: Sequence[Sighting], plane: GroundPlane | None = PLANE) -> Place:
    return locate(seen, track(points), plane)[1]


def truth(aside: float, along: float, east: bool = True) -> tuple[float, float]:
    north, to_east = metres_per_degree(LAT)
    if east:
        return LAT - aside / north, LON + along / to_east
    return LAT + along / north, LON + aside / to_east


@pytest.mark.parametrize("east", [True, False])
@pytest.mark.parametrize(("aside", "side"), [(-1.8, "left"), (0.2, "middle"), (1.8, "right")])
def test_a_pothole_is_ahead_and_aside_of_the_camera(east: bool, aside: float, side: str) -> None:
    found = place(drive(10, heading_east=east), sightings(aside, 50.0))
    assert distance((found.lat, found.lon), truth(aside, 50.0, east)) < 0.25
    assert found.side == side
    assert found.heading == pytest.approx(90.0 if east else 0.0, abs=0.1)
    assert found.distance_m == pytest.approx(50.0, abs=0.3)
    assert found.time_utc is not None
    assert 4 < 50 - 10 * (found.time_utc - START).total_seconds() < 5.2, "when it was nearest"
    json = found.to_json()
    assert json["time_utc"].startswith("2026-05-04T12:00:04")
    assert json["time_utc"].endswith("Z")


def test_without_a_ground_plane_the_place_is_less_sure_and_has_no_side() -> None:
    seen = sightings(1.8, 50.0)
    with_plane, without = place(drive(10), seen), place(drive(10), seen, None)
    assert without.accuracy_m > with_plane.accuracy_m
    assert without.side is None
    assert distance((without.lat, without.lon), truth(1.8, 50.0)) < without.accuracy_m


def test_where_the_camera_is_not_known_a_pothole_has_no_place() -> None:
    gap = [p for p in drive(40) if not 3 < p[0] < 25]
    assert locate(sightings(0.0, 50.0, times=[10.0]), track(gap), PLANE) == {}


def test_a_vehicle_that_stands_has_no_direction_and_says_so_by_its_accuracy() -> None:
    standing = [(t, LAT, LON) for t, _, _ in drive(10)]
    found = place(standing, [Sighting(1, 5.0, outline_of(CAMERA, 0.0, 8.0))])
    assert found.heading is None
    assert found.accuracy_m > 15
    assert distance((found.lat, found.lon), (LAT, LON)) < 0.1


def test_nine_of_ten_potholes_lie_within_the_stated_accuracy() -> None:
    """Receivers drift: the error is that of all fixes of some seconds."""
    rng = np.random.default_rng(5)
    north, east = metres_per_degree(LAT)
    inside = []
    for _ in range(400):
        error = rng.normal(0, 3.0, 2)
        points = [(t, lat + error[1] / north, lon + error[0] / east) for t, lat, lon in drive(10)]
        aside = float(rng.uniform(-2, 2))
        found = place(points, sightings(aside, 50.0, times=[4.0, 4.2, 4.4]))
        inside.append(distance((found.lat, found.lon), truth(aside, 50.0)) <= found.accuracy_m)
    assert 0.85 < np.mean(inside) < 0.95

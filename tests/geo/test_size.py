"""How big potholes are: what is measured, how sure it is, and why something is not measured."""

import numpy as np
import pytest

from pothole.geo.locate import Sighting
from pothole.geo.plane import GroundPlane
from pothole.geo.severity import severity
from pothole.geo.size import TOO_FAR, TURNING, UNSURE, Extent, measure
from pothole.media.telemetry import GpsTrack
from pothole.media.telemetry.fixes import Fix
from support.flows import CAMERA, SIZE, outline_of

PLANE = GroundPlane(
    CAMERA.focal, CAMERA.height, CAMERA.horizon, (SIZE[1] - 1) / 2, 0.03, 0.05, 1.0, "test", SIZE
)


def seen(aheads: list[float], radius: float = 0.3, aside: float = 1.0) -> list[Sighting]:
    return [Sighting(1, float(i), outline_of(CAMERA, aside, z, radius)) for i, z in enumerate(aheads)]


def size_of(
    sightings: list[Sighting], plane: GroundPlane = PLANE, track: GpsTrack | None = None
) -> Extent | str:
    return measure(sightings, plane, track, SIZE)[1]


def track(turn: float) -> GpsTrack:
    fixes = [
        (float(t), Fix(t, None, 48 + t * 1e-4, 11.5, speed=11.0, heading=(350 + turn * t) % 360))
        for t in range(10)
    ]
    return GpsTrack.of(fixes, "test", "test")


def test_width_length_and_area_are_those_on_the_road() -> None:
    size = size_of(seen([20.0, 11.0, 8.0, 6.0, 2.0]))
    assert isinstance(size, Extent)
    assert size.width.value == pytest.approx(0.6, rel=0.01)
    assert size.length.value == pytest.approx(0.6, rel=0.01)
    assert size.area.value == pytest.approx(np.pi * 0.09, rel=0.02)
    json = size.to_json()
    low, high = json["interval_90"]["diameter_m"]
    assert low < 0.6 < high
    assert json["diameter_m"] == pytest.approx(0.6, abs=0.01)
    assert json["severity"]["astm_d6433"]["diameter_class_mm"] == "450-750"
    for name in ("width_m", "length_m", "diameter_m"):  # in millimetres, as the value itself
        for metres in (json[name], *json["interval_90"][name]):
            assert metres == round(metres, 3)
    for area in (json["area_m2"], *json["interval_90"]["area_m2"]):
        assert area == round(area, 4)


def test_an_unsure_plane_gives_a_wide_interval_and_a_very_unsure_one_none() -> None:
    aheads = [11.0, 8.0, 6.0]
    sure, unsure = size_of(seen(aheads)), size_of(seen(aheads), plane_of(0.06, 0.2))
    assert isinstance(sure, Extent)
    assert isinstance(unsure, Extent)
    assert unsure.width.high - unsure.width.low > 1.5 * (sure.width.high - sure.width.low)
    assert size_of(seen(aheads), plane_of(0.06, 0.5)) == UNSURE


def plane_of(along: float, across: float) -> GroundPlane:
    return GroundPlane(CAMERA.focal, CAMERA.height, CAMERA.horizon, 639.5, along, across, 1.0, "test", SIZE)


def test_why_a_size_is_not_known_is_said() -> None:
    assert size_of(seen([20.0, 14.0])) == TOO_FAR
    assert size_of(seen([6.0], aside=3.7)) == TOO_FAR, "the edge of the picture cuts it"
    assert size_of(seen([11.0, 8.0, 6.0, 5.0]), track=track(turn=15.0)) == TURNING
    assert isinstance(size_of(seen([11.0, 8.0, 6.0, 5.0]), track=track(turn=2.0)), Extent)


@pytest.mark.parametrize(
    ("diameter", "name", "severities"),
    [
        (0.08, None, []),
        (0.15, "100-200", ["L", "M"]),
        (0.3, "200-450", ["L", "M"]),
        (0.6, "450-750", ["M", "H"]),
        (0.9, "over 750", []),
    ],
)
def test_classes_of_astm_d6433_by_diameter(diameter: float, name: str | None, severities: list[str]) -> None:
    found = severity(diameter, diameter, diameter, np.pi * diameter**2 / 4, diameter)["astm_d6433"]
    assert (found["diameter_class_mm"], found["severities"]) == (name, severities)


def test_an_interval_over_the_end_of_a_class_allows_both() -> None:
    assert severity(0.4, 0.3, 0.5, 0.12, 0.4)["astm_d6433"]["severities"] == ["L", "M", "H"]


def test_large_ones_count_as_holes_of_half_a_square_metre_and_small_ones_not_by_ltpp() -> None:
    assert severity(1.2, 1.2, 1.2, 1.1, 1.0)["astm_d6433"]["holes"] == 2
    assert severity(0.14, 0.14, 0.14, 0.02, 0.14)["ltpp"]["severities"] == []
    assert severity(0.3, 0.3, 0.3, 0.07, 0.2)["ltpp"]["severities"] == ["low", "moderate", "high"]

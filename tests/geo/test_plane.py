"""The horizon, the scale and the ground plane of a camera that is known."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from pothole.errors import RequestError
from pothole.geo.calibrate import Horizon, find_horizon
from pothole.geo.flow import Flow, FlowMeter
from pothole.geo.lag import find_lag
from pothole.geo.plane import Camera, GroundPlane, ground_plane
from pothole.media.telemetry import GpsTrack
from pothole.media.telemetry.fixes import Fix
from support.flows import CAMERA, SIZE, flow_of, pixels
from support.moving_road import CAMERA_HEIGHT, MovingRoad
from support.telemetry import drive

GROUND = np.array([(0.0, 4.0), (-2.0, 7.0), (1.5, 12.0), (3.0, 24.0)])


def track(seconds: int = 20, speed: float = 10.0) -> GpsTrack:
    return GpsTrack.of([(t, Fix(t, None, lat, lon)) for t, lat, lon in drive(seconds, speed)], "test", "test")


def flows(speed: float = 10.0, count: int = 15) -> list[Flow]:
    return [flow_of(CAMERA, float(i), speed / 30) for i in range(count)]


def test_pixels_lead_to_the_metres_that_they_show() -> None:
    plane = GroundPlane(
        CAMERA.focal, CAMERA.height, CAMERA.horizon, (SIZE[1] - 1) / 2, 0.0, 0.0, 0.0, "test", SIZE
    )
    assert plane.tilt == pytest.approx(CAMERA.pitch)
    assert plane.to_ground(pixels(CAMERA, GROUND)) == pytest.approx(GROUND, abs=1e-6)
    above = plane.to_ground(np.array([[640.0, CAMERA.horizon - 5]]))
    assert np.isnan(above).all()


def test_the_horizon_is_where_the_flow_says() -> None:
    horizon = find_horizon(flows(), SIZE)
    assert horizon is not None
    assert horizon.row == pytest.approx(CAMERA.horizon, abs=4)
    assert horizon.column == pytest.approx((SIZE[1] - 1) / 2, abs=6)
    rate = np.cos(CAMERA.pitch) ** 2 * 10 / (CAMERA.focal * CAMERA.height)
    assert horizon.rates == pytest.approx(rate, rel=0.06)


def test_what_stands_or_goes_its_own_way_does_not_move_the_horizon() -> None:
    """A bonnet at the bottom, and a car in front."""
    disturbed = []
    for flow in flows():
        still = np.column_stack([np.linspace(300, 900, 10), np.full(10, 690.0)])
        car = np.column_stack([np.linspace(560, 700, 10), np.full(10, 330.0)])
        points = np.vstack([flow.points, still, car])
        disturbed.append(Flow(flow.time, flow.gap, points, np.vstack([flow.moved, still, car - [0, 1]])))
    horizon = find_horizon(disturbed, SIZE)
    assert horizon is not None
    assert horizon.row == pytest.approx(CAMERA.horizon, abs=6)


def test_without_motion_there_is_no_horizon() -> None:
    assert find_horizon(flows(speed=0.0), SIZE) is None
    assert find_horizon(flows()[:2], SIZE) is None


def test_real_pictures_give_the_horizon_and_the_rate() -> None:
    road = MovingRoad([], speed=8.0)
    meter, found = FlowMeter(Fraction(30)), []
    for second in range(6):
        for index in (30 * second, 30 * second + 1):
            frame, _ = road.picture(index)
            flow = meter.look(index, Fraction(index, 30), frame.planes[0])
            found += [flow] if flow else []
    assert len(found) == 6
    horizon = find_horizon(found, road.size)
    assert horizon is not None
    assert horizon.row == pytest.approx(0.3 * 360, abs=4)
    assert np.median(horizon.rates) == pytest.approx(8 / (0.8 * 640 * CAMERA_HEIGHT), rel=0.05)


def test_a_meter_forgets_the_first_frame_of_a_pair_at_a_checkpoint() -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (180, 320), np.uint8), (0, 0), 2)
    meter = FlowMeter(Fraction(30))
    assert meter.look(0, Fraction(0), picture) is None
    meter.reset()
    assert meter.look(1, Fraction(1, 30), picture) is None
    meter.look(30, Fraction(1), picture)
    assert meter.look(31, Fraction(31, 30), picture) is not None


def test_the_speed_gives_the_scale_and_a_usual_lens_the_rest() -> None:
    plane, reason = ground_plane(find_horizon(flows(), SIZE), track(), Camera(), SIZE)
    assert plane is not None, reason
    assert plane.source == "speed"
    ahead = plane.to_ground(pixels(CAMERA, GROUND))[:, 1]
    assert ahead == pytest.approx(GROUND[:, 1], rel=0.05), "distances ahead need no lens"
    assert plane.across_sigma > 2 * plane.along_sigma


def test_a_camera_that_is_known_gives_the_scale_without_a_track() -> None:
    camera = Camera.of({"height_m": 1.5, "focal_px": 1100.0})
    plane, _ = ground_plane(find_horizon(flows(), SIZE), None, camera, SIZE)
    assert plane is not None
    assert plane.source == "camera"
    assert plane.to_ground(pixels(CAMERA, GROUND)) == pytest.approx(GROUND, rel=0.05, abs=0.05)


def test_height_and_speed_together_give_the_lens() -> None:
    plane, _ = ground_plane(find_horizon(flows(), SIZE), track(), Camera.of({"height_m": 1.5}), SIZE)
    assert plane is not None
    assert plane.focal == pytest.approx(1100, rel=0.06)


def test_why_there_is_no_plane_is_said() -> None:
    horizon = find_horizon(flows(), SIZE)
    assert ground_plane(None, track(), Camera(), SIZE)[1].startswith("The horizon was not found")
    assert ground_plane(horizon, None, Camera(), SIZE)[1].startswith("There is no scale")
    plane, reason = ground_plane(horizon, track(speed=80.0), Camera(), SIZE)
    assert plane is None
    assert "m above the road" in reason


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"height_m": 12.0}, "camera.height_m is 12, expected 0.4"),
        ({"lens": 3.0}, "camera.lens is not known"),
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_name(given: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Camera.of(given)


def test_the_angle_of_view_gives_the_focal_length() -> None:
    assert Camera(fov_deg=90.0).focal(1000) == pytest.approx(500)


def changing(lag: float, amplitude: float = 0.3) -> tuple[Horizon, GpsTrack]:
    """A drive that goes faster and slower, and its track, which is late."""

    def speed(times: np.ndarray) -> np.ndarray:
        return 10 * (1 + amplitude * np.sin(2 * np.pi * times / 9))

    seconds = np.arange(40.0)
    rng = np.random.default_rng(1)
    horizon = Horizon(200.0, 1.0, 640.0, seconds, speed(seconds) * 6e-4 * rng.normal(1, 0.02, 40))
    fixes = [
        (t, Fix(t, None, 48 + t * 1e-4, 11.0, speed=float(speed(np.array(t - lag))) + rng.normal(0, 0.15)))
        for t in np.arange(-5.0, 46.0)
    ]
    return horizon, GpsTrack.of(fixes, "test", "test")


@pytest.mark.parametrize("late", [0.8, -1.4, 0.0])
def test_a_track_that_comes_late_is_found_by_the_speed_of_the_road(late: float) -> None:
    lag = find_lag(*changing(late))
    assert lag is not None
    assert lag.seconds == pytest.approx(late, abs=0.15)
    assert lag.confidence > 0.9


def test_an_even_speed_tells_no_lag() -> None:
    assert find_lag(*changing(0.8, amplitude=0.0)) is None

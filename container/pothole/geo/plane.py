"""The ground plane leads from a pixel of the road to metres ahead of the camera and beside its way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from pothole.errors import RequestError
from pothole.geo.calibrate import Horizon
from pothole.geo.flow import Numbers
from pothole.media.telemetry.track import GpsTrack
from pothole.types import Size

# Cameras behind windscreens: widths of 0.7 to 1.15 focal lengths are usual. The middle, and its spread.
USUAL_FOCAL, FOCAL_SIGMA = 0.9, 0.14
GIVEN_SIGMA = 0.02  # part by which what a person measured may be off, as a standard deviation
MIN_SPEED = 2.0  # metres a second from which the flow tells a scale
MIN_RATES = 3
HEIGHTS = (0.4, 4.5)  # metres above the road between which a camera on a vehicle is
MIN_BELOW = 0.02  # part of the picture's height below the horizon from which a pixel is taken for road


@dataclass(frozen=True)
class Camera:
    """A camera is what the user knows of theirs.

    Attributes:
        height_m: Metres above the road.
        focal_px: Focal length in pixels of the video.
        fov_deg: Angle of view across the picture, in place of the focal length.
        horizon_px: Row of the horizon in pixels from the top, where it is not to be found by itself.
    """

    height_m: float | None = None
    focal_px: float | None = None
    fov_deg: float | None = None
    horizon_px: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, float]) -> "Camera":
        """Check what was given.

        Raises:
            RequestError: A number cannot be; names it.
        """
        limits = {
            "height_m": HEIGHTS,
            "focal_px": (50, 50000),
            "fov_deg": (10, 140),
            "horizon_px": (-5e3, 1e4),
        }
        for name, value in given.items():
            low, high = limits.get(name, (0.0, -1.0))
            if low > high:
                raise RequestError(f"camera.{name} is not known.", hint=f"Known are {', '.join(limits)}.")
            if not low <= value <= high:
                raise RequestError(f"camera.{name} is {value:g}, expected {low:g} to {high:g}.")
        return cls(**given)

    @property
    def given(self) -> dict[str, float]:
        """Return what is known, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def focal(self, width: int) -> float | None:
        """Return the focal length in pixels, None when it is not known."""
        if self.focal_px is None and self.fov_deg is not None:
            return float(width / 2 / np.tan(np.radians(self.fov_deg) / 2))
        return self.focal_px


@dataclass(frozen=True)
class GroundPlane:
    """A ground plane says how the road lies in the picture. It is that of a flat road and a steady camera.

    Attributes:
        focal: Focal length in pixels.
        height: Metres of the camera above the road.
        row: Row of the horizon, in pixels.
        column: Column towards which the camera drives.
        along_sigma: Part by which distances ahead may be off, besides what the horizon's row does.
        across_sigma: The same for distances aside.
        row_sigma: Pixels by which the row may be off, as a standard deviation.
        source: What it was taken from, for people.
        size: Picture `(height, width)`.
    """

    focal: float
    height: float
    row: float
    column: float
    along_sigma: float
    across_sigma: float
    row_sigma: float
    source: str
    size: Size

    @property
    def tilt(self) -> float:
        """Return the radians by which the camera looks down."""
        return float(np.arctan(((self.size[0] - 1) / 2 - self.row) / self.focal))

    def to_ground(self, points: Numbers) -> Numbers:
        """Return metres aside and ahead `(n, 2)` of pixels x and y `(n, 2)`; NaN where there is no road."""
        below = points[:, 1] - self.row
        below = np.where(below > MIN_BELOW * self.size[0], below, np.nan)
        depth = self.focal * self.height / (np.cos(self.tilt) * below)
        ahead = (depth - self.height * np.sin(self.tilt)) / np.cos(self.tilt)
        aside = (points[:, 0] - self.column) * depth / self.focal
        return np.stack([aside, ahead], axis=1)

    def sigma_at(self, row: float) -> float:
        """Return the part by which the distance of a row may be off, as a standard deviation."""
        below = max(row - self.row, MIN_BELOW * self.size[0])
        return float(np.hypot(self.along_sigma, self.row_sigma / below))


def ground_plane(
    horizon: Horizon | None, track: GpsTrack | None, camera: Camera, size: Size
) -> tuple[GroundPlane | None, str]:
    """Return the plane of the road, and in a sentence why there is none.

    The scale comes from the height of the camera where that is given, else from the speed of the track.

    Args:
        horizon: As the flow tells it, if it does.
        track: Where the camera was, if that is known.
        camera: What the user knows.
        size: Picture `(height, width)`.
    """
    row = camera.horizon_px if camera.horizon_px is not None else horizon.row if horizon else None
    if row is None:
        return None, "The horizon was not found: too little of a road was seen moving."
    row_sigma = size[0] / 720 if camera.horizon_px is not None or horizon is None else horizon.row_sigma
    column = horizon.column if horizon else (size[1] - 1) / 2
    given = camera.focal(size[1])
    focal, focal_sigma = (given, GIVEN_SIGMA) if given else (USUAL_FOCAL * size[1], FOCAL_SIGMA)
    tilt = float(np.arctan(((size[0] - 1) / 2 - row) / focal))
    scale, scale_sigma = _scale(horizon, track) if horizon and track else (None, 0.0)
    if camera.height_m is not None:
        height, height_sigma, source = camera.height_m, GIVEN_SIGMA, "camera"
        if scale and not given:  # height and speed together tell the focal length
            focal, focal_sigma = (
                float(np.cos(tilt) ** 2 / (scale * height)),
                float(np.hypot(scale_sigma, GIVEN_SIGMA)),
            )
        along, across = float(np.hypot(height_sigma, focal_sigma)), height_sigma
    elif scale:
        height, source = float(np.cos(tilt) ** 2 / (scale * focal)), "speed"
        along, across = scale_sigma, float(np.hypot(scale_sigma, focal_sigma))
    else:
        return (
            None,
            "There is no scale: neither the height of the camera nor the speed of a moving vehicle is known.",
        )
    if not HEIGHTS[0] <= height <= HEIGHTS[1]:
        return None, f"The camera would be {height:.1f} m above the road, so that flow and speed do not fit."
    return GroundPlane(focal, height, row, column, along, across, row_sigma, source, size), ""


def _scale(horizon: Horizon, track: GpsTrack) -> tuple[float | None, float]:
    """Return k per metre driven, and the part by which it may be off."""
    pairs = [(rate, track.speed_at(float(t))) for t, rate in zip(horizon.times, horizon.rates, strict=True)]
    ratios = np.array([r / v for r, v in pairs if v is not None and v >= MIN_SPEED and r > 0])
    if len(ratios) < MIN_RATES:
        return None, 0.0
    middle = float(np.median(ratios))
    spread = 1.4826 * float(np.median(np.abs(ratios - middle))) / middle
    return middle, float(np.hypot(0.03, spread / np.sqrt(len(ratios))))

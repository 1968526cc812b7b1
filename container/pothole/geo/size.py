"""How big each pothole is, in metres: its outline laid on the ground plane, and how far that may be off."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pothole.geo.flow import Numbers
from pothole.geo.locate import Sighting
from pothole.geo.plane import GroundPlane
from pothole.geo.severity import severity
from pothole.media.telemetry.track import GpsTrack

NEAREST, FARTHEST = 4.0, 12.0  # metres ahead between which outlines are measured
NINETY = 1.645  # standard deviations to either side within which 90 % lie
OUTLINE_SIGMA = 0.10  # part by which the outline of a mask lies beside the edge of the hole
MAX_TURN = 8.0  # degrees a second, above which the vehicle turns and the plane does not hold
TURN_S = 1.0  # seconds to either side between which the turn is measured
MAX_SIGMA = 0.35  # part from which a size would say nothing
TOO_FAR = f"It was not seen whole from {NEAREST:g} to {FARTHEST:g} m ahead."
TURNING = "The vehicle turned while it was seen."
UNSURE = "The ground plane is too unsure."


@dataclass(frozen=True)
class Measure:
    """A measure is a figure with the interval that holds the truth with a probability of 90 %.

    Attributes:
        value: The figure.
        low: Where the interval begins.
        high: Where it ends.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, sigma: float) -> "Measure":
        """Return a figure that may be off by a part of it, as a standard deviation."""
        spread = float(np.exp(NINETY * sigma))
        return cls(value, value / spread, value * spread)

    def to_json(self, digits: int) -> list[float]:
        """Return the ends of the interval."""
        return [round(self.low, digits), round(self.high, digits)]


@dataclass(frozen=True)
class Extent:
    """An extent says how big a pothole is.

    Attributes:
        width: Metres across the direction of travel.
        length: Metres along it.
        diameter: The mean of these two.
        area: Square metres.
    """

    width: Measure
    length: Measure
    diameter: Measure
    area: Measure

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of it."""
        return {
            "width_m": round(self.width.value, 3),
            "length_m": round(self.length.value, 3),
            "diameter_m": round(self.diameter.value, 3),
            "area_m2": round(self.area.value, 4),
            "interval_90": {
                "width_m": self.width.to_json(3),
                "length_m": self.length.to_json(3),
                "diameter_m": self.diameter.to_json(3),
                "area_m2": self.area.to_json(4),
            },
            "severity": severity(
                self.diameter.value,
                self.diameter.low,
                self.diameter.high,
                self.area.value,
                min(self.width.value, self.length.value),
            ),
        }


def measure(
    sightings: Iterable[Sighting], plane: GroundPlane, track: GpsTrack | None, edges: tuple[int, int]
) -> dict[int, Extent | str]:
    """Return the size of each pothole by its id, or in a sentence why it is not known.

    Args:
        sightings: Of the potholes.
        plane: How the road lies in the picture.
        track: Where the camera was, which tells where the vehicle turned; None when it is not known.
        edges: Picture `(height, width)`; what reaches its edge was not seen whole.
    """
    seen: dict[int, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        seen[sighting.track_id].append(sighting)
    return {track_id: _size(each, plane, track, edges) for track_id, each in seen.items()}


def _size(
    sightings: Sequence[Sighting], plane: GroundPlane, track: GpsTrack | None, edges: tuple[int, int]
) -> Extent | str:
    measured = []
    turned = False
    for sighting in sightings:
        if _is_cut(sighting.outline, edges):
            continue
        ground = plane.to_ground(sighting.outline)
        if not np.isfinite(ground).all() or not NEAREST <= ground[:, 1].mean() <= FARTHEST:
            continue
        if track is not None and _turns(track, sighting.time):
            turned = True
            continue
        width, length = np.ptp(ground, axis=0).tolist()
        measured.append((width, length, _area(ground), plane.sigma_at(float(sighting.outline[:, 1].mean()))))
    if not measured:
        return TURNING if turned else TOO_FAR
    widths, lengths, areas, sigmas = np.array(measured).T
    sigma = float(np.median(sigmas))
    along = float(np.hypot(2 * sigma, OUTLINE_SIGMA))  # the metres of a row grow with its distance squared
    across = float(np.linalg.norm([plane.across_sigma, sigma, OUTLINE_SIGMA]))
    if max(along, across) > MAX_SIGMA:
        return UNSURE
    width, length = float(np.median(widths)), float(np.median(lengths))
    diameter_sigma = float(np.hypot(width * across, length * along)) / (width + length)
    # What is off in both axes alike does not cancel out between them.
    diameter_sigma = float(np.hypot(diameter_sigma, min(along, across) / np.sqrt(2)))
    return Extent(
        Measure.of(width, across),
        Measure.of(length, along),
        Measure.of((width + length) / 2, diameter_sigma),
        Measure.of(float(np.median(areas)), float(np.hypot(along, across))),
    )


def _is_cut(outline: Numbers, edges: tuple[int, int]) -> bool:
    height, width = edges
    low, high = outline.min(0), outline.max(0)
    return bool(low[0] < 1 or high[0] > width - 2 or high[1] > height - 2)


def _turns(track: GpsTrack, time: float) -> bool:
    before, after = track.at(time - TURN_S), track.at(time + TURN_S)
    if before is None or after is None or before.heading is None or after.heading is None:
        return False
    turn = abs((after.heading - before.heading + 180) % 360 - 180)
    unsure = np.hypot(before.heading_sigma, after.heading_sigma)
    return bool(turn - unsure > MAX_TURN * 2 * TURN_S)


def _area(ground: Numbers) -> float:
    x, z = ground.T
    return float(abs(np.dot(x, np.roll(z, 1)) - np.dot(z, np.roll(x, 1))) / 2)

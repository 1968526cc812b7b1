"""A `GpsTrack` says where the camera was at each moment of a video, whatever file that came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pothole.media.telemetry.fixes import Fix, clean, metres_per_degree

Numbers = NDArray[np.float64]

SIGMA = 3.0  # metres along each axis by which a position is off where its receiver does not say
SIGMA_PER_DOP = 2.0  # metres along each axis, for a dilution of precision of 1
MAX_GAP = 10.0  # seconds between two fixes above which nothing is said of what is between
MAX_BEYOND = 1.0  # seconds before the first and after the last fix for which the track still holds
MANOEUVRE = 1.5  # metres a second, each second, by which a vehicle brakes or turns between two fixes
MIN_MOVING = 1.0  # metres a second from which a direction of travel means something
BASELINE = 2.0  # seconds before and after, between which a direction is taken where none is given
MIN_BASELINE = 3.0  # metres between these two places


class Position(NamedTuple):
    """A position is where the camera's antenna was at one moment.

    Attributes:
        lat: Degrees north, WGS 84.
        lon: Degrees east, WGS 84.
        altitude: Metres, None when not known.
        speed: Metres a second over ground.
        heading: Degrees clockwise from north; None where the vehicle stands.
        heading_sigma: Degrees by which the heading may be off, as a standard deviation.
        sigma: Metres by which the place may be off along each axis, as a standard deviation.
        utc: POSIX seconds, None when not known.
        distance: Metres driven since the first fix.
    """

    lat: float
    lon: float
    altitude: float | None
    speed: float
    heading: float | None
    heading_sigma: float
    sigma: float
    utc: float | None
    distance: float


@dataclass(frozen=True, eq=False)
class GpsTrack:
    """A GPS track is a list of positions on the video's clock.

    All arrays are `(n,)` float64, NaN for unknown.

    Attributes:
        times: Seconds since the video began, rising.
        lat: Degrees north, WGS 84.
        lon: Degrees east, WGS 84, without a step where the track crosses the 180th degree.
        altitude: Metres.
        speed: Metres a second over ground.
        heading: Degrees clockwise from north.
        sigma: Metres by which a place may be off along each axis, as a standard deviation.
        utc: POSIX seconds.
        source: What the positions were read from, such as `gpmf`.
        clock: How their times were brought to the video's clock.
        offset: Seconds by which they were moved since.
        dropped: Number of fixes that were left out, by reason.
    """

    times: Numbers
    lat: Numbers
    lon: Numbers
    altitude: Numbers
    speed: Numbers
    heading: Numbers
    sigma: Numbers
    utc: Numbers
    source: str
    clock: str
    offset: float = 0.0
    dropped: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, fixes: Sequence[tuple[float, Fix]], source: str, clock: str, offset: float = 0.0
    ) -> "GpsTrack":
        """Make a track of fixes with their times on the video's clock; what cannot be right is dropped."""
        kept, dropped = clean(fixes)

        def column(name: str) -> Numbers:
            values = [getattr(fix, name) for _, fix in kept]
            return np.array([np.nan if v is None else v for v in values], np.float64)

        sigma = np.where(np.isnan(column("dop")), SIGMA, SIGMA_PER_DOP * column("dop"))
        stated = column("accuracy")
        track = cls(
            times=np.array([time for time, _ in kept], np.float64) + offset,
            lat=column("lat"),
            lon=np.unwrap(column("lon"), period=360.0),
            altitude=column("altitude"),
            speed=column("speed"),
            heading=column("heading"),
            sigma=np.where(np.isnan(stated), sigma, stated),
            utc=column("utc"),
            source=source,
            clock=clock,
            offset=offset,
            dropped=dropped,
        )
        derived = track.driven_speed()
        return replace(track, speed=np.where(np.isnan(track.speed), derived, track.speed))

    def __len__(self) -> int:
        return len(self.times)

    def shifted(self, seconds: float, clock: str | None = None) -> "GpsTrack":
        """Return the track with its times moved to later by so many seconds."""
        return replace(
            self,
            times=self.times + seconds,
            offset=self.offset + seconds,
            clock=clock or self.clock,
        )

    @cached_property
    def driven(self) -> Numbers:
        """Return the metres along the track from the first fix to each."""
        return np.concatenate([np.zeros(min(1, len(self))), np.cumsum(np.hypot(*self._moves()))])

    @property
    def length(self) -> float:
        """Return the metres from the first fix to the last, along the track."""
        return float(self.driven[-1]) if len(self) else 0.0

    def driven_speed(self) -> Numbers:
        """Return the speed at each fix as its neighbours' places tell it; 0 for a single fix."""
        if len(self) < 2:
            return np.zeros(len(self))
        return np.asarray(np.gradient(self.driven, self.times), np.float64)

    @property
    def began_utc(self) -> float | None:
        """Return the POSIX seconds at which the video began; None when they are not known."""
        known = ~np.isnan(self.utc)
        return float(np.median((self.utc - self.times)[known])) if known.any() else None

    def path(self, step: float) -> list[list[float]]:
        """Return seconds of the video, longitude and latitude every so many metres, about, and at the end."""
        kept = [0]
        for i in range(1, len(self)):
            if self.driven[i] - self.driven[kept[-1]] >= step or i == len(self) - 1:
                kept.append(i)
        east = (self.lon + 180) % 360 - 180
        return [
            [round(float(self.times[i]), 2), round(float(east[i]), 7), round(float(self.lat[i]), 7)]
            for i in kept
        ]

    def at(self, time: float) -> Position | None:
        """Return where the camera was, between two fixes on a straight line; None where nobody knows.

        Args:
            time: Seconds since the video began.
        """
        place = self._place(time)
        if place is None:
            return None
        lat, lon, sigma = place
        i, share = self._between(time)
        speed = _blend(self.speed, i, share)
        heading, heading_sigma = self._heading(time, i, share, speed)
        driven = _blend(self.driven, i, share)
        altitude, utc = _blend(self.altitude, i, share), _blend(self.utc, i, share)
        return Position(
            lat=lat,
            lon=(lon + 180) % 360 - 180,
            altitude=None if np.isnan(altitude) else altitude,
            speed=0.0 if np.isnan(speed) else speed,
            heading=heading,
            heading_sigma=heading_sigma,
            sigma=sigma,
            utc=None if np.isnan(utc) else utc,
            distance=max(0.0, driven),
        )

    def speed_at(self, time: float) -> float | None:
        """Return the speed in metres a second; None where nobody knows."""
        if self._place(time) is None:
            return None
        speed = _blend(self.speed, *self._between(time))
        return None if np.isnan(speed) else max(0.0, speed)

    def _moves(self) -> tuple[Numbers, Numbers]:
        """Return the metres east and north from each fix to the next."""
        north, east = metres_per_degree(float(self.lat.mean()) if len(self) else 0.0)
        return np.diff(self.lon) * east, np.diff(self.lat) * north

    def _between(self, time: float) -> tuple[int, float]:
        """Return the fix before a time, and which part of the way to the next one lies behind."""
        if len(self) < 2:
            return 0, 0.0
        i = int(np.clip(np.searchsorted(self.times, time) - 1, 0, len(self) - 2))
        return i, float((time - self.times[i]) / (self.times[i + 1] - self.times[i]))

    def _place(self, time: float) -> tuple[float, float, float] | None:
        """Return latitude, longitude and their standard deviation in metres."""
        if not len(self) or not self.times[0] - MAX_BEYOND <= time <= self.times[-1] + MAX_BEYOND:
            return None
        i, share = self._between(time)
        if len(self) < 2:
            return float(self.lat[0]), float(self.lon[0]), float(self.sigma[0])
        gap = float(self.times[i + 1] - self.times[i])
        if gap > MAX_GAP:
            return None
        # Where a vehicle brakes or turns, the line between two fixes is off by so much in its middle.
        bend = MANOEUVRE * abs(share * (1 - share)) * gap**2 / 2
        sigma = float(np.hypot(_blend(self.sigma, i, min(max(share, 0.0), 1.0)), bend))
        return _blend(self.lat, i, share), _blend(self.lon, i, share), sigma

    def _heading(self, time: float, i: int, share: float, speed: float) -> tuple[float | None, float]:
        """Return the direction of travel, and by how much it may be off, in degrees."""
        if np.isnan(speed) or speed < MIN_MOVING:
            return None, 180.0
        j = min(i + 1, len(self) - 1)
        if not np.isnan(self.heading[[i, j]]).any():
            turn = (self.heading[j] - self.heading[i] + 180) % 360 - 180
            return float((self.heading[i] + share * turn) % 360), 3.0
        ends = [self._place(t) for t in (time - BASELINE, time + BASELINE)]
        if ends[0] is None or ends[1] is None:
            here = self._place(time)
            ends = [ends[0] or here, ends[1] or here]
        (lat0, lon0, sigma0), (lat1, lon1, sigma1) = (end or (np.nan, np.nan, 0.0) for end in ends)
        north, east = metres_per_degree(lat0)
        way = (lon1 - lon0) * east, (lat1 - lat0) * north
        length = float(np.hypot(*way))
        if not length >= MIN_BASELINE:
            return None, 180.0
        off = np.degrees(np.arctan2(np.hypot(sigma0, sigma1), length))
        return float(np.degrees(np.arctan2(*way)) % 360), float(off)


def _blend(values: Numbers, i: int, share: float) -> float:
    j = min(i + 1, len(values) - 1)
    return float(values[i] + share * (values[j] - values[i]))

"""How the car drives along the road, where that is on earth, and what a receiver of satellites says of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

START = datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC)
PERIOD_S = 9.0  # of going faster and slower
MEMORY_S = 20.0  # seconds for which a receiver's error stays about the same


@dataclass(frozen=True)
class Trip:
    """A trip says where the car is at each moment.

    Attributes:
        speed_m_s: Mean speed, in metres a second.
        vary: Part of it by which the car goes faster and slower.
    """

    speed_m_s: float
    vary: float = 0.0

    def speed(self, time: float) -> float:
        """Return the metres a second at a time."""
        return float(self.speed_m_s * (1 + self.vary * np.sin(2 * np.pi * time / PERIOD_S)))

    def place(self, time: float) -> tuple[float, float]:
        """Return the metres aside and along the road from where the car started."""
        turns = 2 * np.pi / PERIOD_S
        along = self.speed_m_s * (time + self.vary / turns * (1 - np.cos(turns * time)))
        return 0.12 * float(np.sin(0.37 * time)), float(along)


@dataclass(frozen=True)
class Site:
    """A site says where on earth a road lies.

    Attributes:
        lat: Degrees north of the road's beginning.
        lon: Degrees east.
        bearing: Degrees clockwise from north towards which the road leads.
    """

    lat: float = 48.137
    lon: float = 11.575
    bearing: float = 62.0

    def place(self, x: float, z: float) -> tuple[float, float]:
        """Return latitude and longitude of a point of the road, `x` metres aside and `z` along it."""
        sine, cosine = np.sin(np.radians(self.bearing)), np.cos(np.radians(self.bearing))
        east, north = z * sine + x * cosine, z * cosine - x * sine
        # Radii of WGS 84 at this latitude.
        phi = np.radians(self.lat)
        bend = 1 - 0.00669437999014 * np.sin(phi) ** 2
        per_lat = np.radians(6_378_137.0 * (1 - 0.00669437999014) / bend**1.5)
        per_lon = np.radians(6_378_137.0 * np.cos(phi) / np.sqrt(bend))
        return float(self.lat + north / per_lat), float(self.lon + east / per_lon)


@dataclass(frozen=True)
class Receiver:
    """A receiver says once a second where the car is, with faults of its own.

    Attributes:
        noise_m: Metres by which it is off along each axis, as a standard deviation; changes slowly.
        lag_s: Seconds by which what it says comes late.
        dropouts: Times in seconds, from and to, in which it says nothing.
        rate: Positions a second.
    """

    noise_m: float = 0.0
    lag_s: float = 0.0
    dropouts: tuple[tuple[float, float], ...] = ()
    rate: int = 1

    def gpx(self, trip: Trip, site: Site, start: tuple[float, float], seconds: float, seed: int) -> str:
        """Return the GPX of a drive; it begins and ends some seconds before and after it.

        Args:
            trip: Where the car is.
            site: Where the road is.
            start: Metres aside and along at which the car starts.
            seconds: Length of the video.
            seed: Same seed, same noise.
        """
        rng = np.random.default_rng([seed, 77])
        stays = np.exp(-1 / self.rate / MEMORY_S)
        error = rng.normal(0, self.noise_m, 2)
        points = []
        for i in range(-5 * self.rate, int((seconds + 5) * self.rate) + 1):
            time = i / self.rate
            error = stays * error + rng.normal(0, self.noise_m * np.sqrt(1 - stays**2), 2)
            if any(begin <= time < end for begin, end in self.dropouts):
                continue
            then = time - self.lag_s
            aside, along = trip.place(then)
            lat, lon = site.place(start[0] + aside + error[0], start[1] + along + error[1])
            points.append(
                f'<trkpt lat="{lat:.8f}" lon="{lon:.8f}">'
                f"<time>{(START + timedelta(seconds=time)).isoformat()}</time><extensions>"
                f"<speed>{max(0.0, trip.speed(then) + rng.normal(0, 0.15)):.2f}</speed>"
                f"<course>{(site.bearing + rng.normal(0, 0.7)) % 360:.1f}</course></extensions></trkpt>"
            )
        body = "\n".join(points)
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="roads" '
            f'xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>\n{body}\n</trkseg></trk></gpx>\n'
        )

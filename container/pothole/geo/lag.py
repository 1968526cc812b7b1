"""The clocks of track and video may differ: the speed of the track is compared with that of the road."""

from dataclasses import dataclass

import numpy as np

from pothole.geo.calibrate import Horizon
from pothole.geo.flow import Numbers
from pothole.media.telemetry.track import GpsTrack

MAX_LAG = 4.0  # seconds to either side that are tried
STEP = 0.1
MIN_SAMPLES = 8
MIN_CHANGE = 0.08  # standard deviation of the speed, in parts of the speed, from which it tells a time
MIN_CORRELATION = 0.8
MIN_GAIN = 0.02  # by which the correlation has to be better than without a lag


@dataclass(frozen=True)
class Lag:
    """A lag says by how much a track comes too late.

    Attributes:
        seconds: By which the track's times have to be moved to earlier; 0 where nothing is to be moved.
        confidence: Correlation of the speeds, 0 to 1, at this lag.
    """

    seconds: float
    confidence: float


def find_lag(horizon: Horizon, track: GpsTrack) -> Lag | None:
    """Return the lag at which the speeds fit best; None where they change too little to tell."""
    lags = np.arange(-MAX_LAG, MAX_LAG + STEP / 2, STEP)
    known = np.isfinite(horizon.rates) & (horizon.rates >= 0)
    times, rates = horizon.times[known], horizon.rates[known]
    inside = (times >= track.times[0] + MAX_LAG) & (times <= track.times[-1] - MAX_LAG)
    if inside.sum() < MIN_SAMPLES:
        inside = (times >= track.times[0]) & (times <= track.times[-1])
    times, rates = times[inside], rates[inside]
    if len(times) < MIN_SAMPLES or _change(rates) < MIN_CHANGE:
        return None
    scores = np.array([_correlation(np.interp(times + lag, track.times, track.speed), rates) for lag in lags])
    best = int(scores.argmax())
    now = float(scores[len(lags) // 2])
    if scores[best] < MIN_CORRELATION:
        return None
    if scores[best] - now < MIN_GAIN or best in (0, len(lags) - 1):
        return Lag(0.0, max(0.0, now))
    before, here, after = scores[best - 1 : best + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return Lag(round(float(lags[best] + shift * STEP), 2), float(here))


def _change(values: Numbers) -> float:
    return float(np.std(values) / max(float(np.mean(values)), 1e-12))


def _correlation(a: Numbers, b: Numbers) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / size) if size > 0 else 0.0

"""A fix is one position as a receiver gives it; what cannot be right is dropped here, and counted."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

MAX_DOP = 10.0  # dilution of precision above which a position says little
MAX_SPEED = 80.0  # metres a second; more between two fixes is an error of one of them
SLACK = 20.0  # metres that a fix may lie beside the truth, whatever the speed
MAX_LATITUDE, MAX_LONGITUDE = 90.0, 180.0
# WGS 84: half of the long axis in metres, and the square of the eccentricity.
AXIS, ECCENTRICITY = 6_378_137.0, 0.00669437999014


class Fix(NamedTuple):
    """A fix is one position as a receiver gives it.

    Attributes:
        time: Seconds on the video's clock; None where the file knows only UTC.
        utc: POSIX seconds; None where they are not known.
        lat: Degrees north, WGS 84.
        lon: Degrees east, WGS 84.
        altitude: Metres.
        speed: Metres a second over ground.
        heading: Degrees clockwise from north.
        dop: Horizontal dilution of precision.
        accuracy: Standard deviation in metres along each axis, where the receiver states one.
        is_valid: Whether the receiver itself says that it has a position.
    """

    time: float | None
    utc: float | None
    lat: float
    lon: float
    altitude: float | None = None
    speed: float | None = None
    heading: float | None = None
    dop: float | None = None
    accuracy: float | None = None
    is_valid: bool = True


def metres_per_degree(lat: float) -> tuple[float, float]:
    """Return how many metres a degree of latitude and one of longitude are long at a latitude."""
    sine = math.sin(math.radians(lat))
    bend = 1 - ECCENTRICITY * sine**2
    north = math.radians(AXIS * (1 - ECCENTRICITY) / bend**1.5)
    east = math.radians(AXIS * math.cos(math.radians(lat)) / math.sqrt(bend))
    return north, east


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the metres between two points `(lat, lon)`, exact to a thousandth where they are near."""
    north, east = metres_per_degree((a[0] + b[0]) / 2)
    turn = (b[1] - a[1] + 180) % 360 - 180  # the shorter way around the earth
    return math.hypot((b[0] - a[0]) * north, turn * east)


def clean(fixes: Iterable[tuple[float, Fix]]) -> tuple[list[tuple[float, Fix]], dict[str, int]]:
    """Drop the fixes that are none, and say how many for which reason.

    Args:
        fixes: Each with its time in seconds, whatever the clock.

    Returns:
        Those that are left, their times rising; and the number dropped for each reason.
    """
    dropped: Counter[str] = Counter()
    kept: list[tuple[float, Fix]] = []
    for time, fix in sorted(fixes, key=lambda each: each[0]) if _is_unsorted(fixes) else fixes:
        reason = fault(fix)
        if reason is None and kept and time <= kept[-1][0]:
            reason = "same_time"
        if reason:
            dropped[reason] += 1
        else:
            kept.append((time, fix))
    steady = _without_jumps(kept)
    if len(steady) < len(kept):
        dropped["jump"] += len(kept) - len(steady)
    return steady, dict(dropped)


def _is_unsorted(fixes: Iterable[tuple[float, Fix]]) -> bool:
    times = [time for time, _ in fixes]
    return any(later < earlier for earlier, later in pairwise(times))


def fault(fix: Fix) -> str | None:
    """Return why a fix is none by itself; None where it may be one."""
    if not fix.is_valid:
        return "no_fix"
    if not (abs(fix.lat) <= MAX_LATITUDE and abs(fix.lon) <= MAX_LONGITUDE):  # NaN is caught as well
        return "no_fix"
    if abs(fix.lat) < 1e-6 and abs(fix.lon) < 1e-6:  # what receivers write before they know anything
        return "no_fix"
    if fix.dop is not None and not 0 < fix.dop <= MAX_DOP:
        return "imprecise"
    return None


def can_follow(a: tuple[float, Fix], b: tuple[float, Fix]) -> bool:
    """Say whether a vehicle can be at one fix and then at the other."""
    moved = distance((a[1].lat, a[1].lon), (b[1].lat, b[1].lon))
    return moved <= MAX_SPEED * abs(b[0] - a[0]) + SLACK


def _without_jumps(fixes: Sequence[tuple[float, Fix]]) -> list[tuple[float, Fix]]:
    """Keep the longest run without a jump, and the runs around it that a vehicle can reach from there.

    So a receiver that begins somewhere else, as after a cold start, is believed once it has found its place.
    """
    runs: list[list[tuple[float, Fix]]] = []
    for fix in fixes:
        if runs and can_follow(runs[-1][-1], fix):
            runs[-1].append(fix)
        else:
            runs.append([fix])
    if not runs:
        return []
    middle = max(range(len(runs)), key=lambda i: len(runs[i]))
    after = list(runs[middle])
    for run in runs[middle + 1 :]:
        if can_follow(after[-1], run[0]):
            after += run
    before: list[list[tuple[float, Fix]]] = []
    first = runs[middle][0]
    for run in reversed(runs[:middle]):
        if can_follow(run[-1], first):
            before.append(run)
            first = run[0]
    return [fix for run in reversed(before) for fix in run] + after

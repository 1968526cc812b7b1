"""A track has the times of satellites, a video those of a camera; here the two are joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pothole.errors import InvalidMedia
from pothole.media.container import open_container
from pothole.media.telemetry.fixes import Fix

COVERED = 0.5  # part of the video that has to lie within the track for the camera's clock to be believed
ZONE = 900.0  # seconds; time zones differ by whole quarters of an hour
MAX_ZONE = 14 * 3600.0
ALIKE = 0.1  # lengths that differ by no more than this part, or this many seconds, are those of one recording
ALIKE_S = 10.0


@dataclass(frozen=True)
class Clock:
    """A clock says when a video was recorded.

    Attributes:
        rule: What it is read from.
        moments: POSIX seconds, rising, at which `times` were recorded; the first one alone where the video
            shows what it recorded at the speed at which it did; none where nothing is known.
        times: Seconds of the video.
        duration: Seconds that the recording took.
        is_sure: Whether no track may be taken for one of the video's time that contradicts it.
    """

    rule: str
    moments: Sequence[float]
    times: Sequence[float]
    duration: float
    is_sure: bool = False

    @property
    def start(self) -> float | None:
        """Return the POSIX seconds at which the recording began; None when they are not known."""
        return self.moments[0] if self.moments else None

    def time_of(self, elapsed: float) -> float:
        """Return at which second of the video is shown what was recorded so long after its beginning."""
        if len(self.moments) < 2:
            return elapsed
        since = [moment - self.moments[0] for moment in self.moments]
        before, after = min(0.0, elapsed), max(0.0, elapsed - since[-1])
        return float(np.interp(elapsed, since, self.times)) + before + after


def clock_of_video(path: Path, duration: float) -> Clock:
    """Return the clock of a video of so many seconds, by its `creation_time`."""
    start = video_start(path)
    return Clock("creation_time", [] if start is None else [start], [0.0], duration)


def clock_of_pictures(moments: Sequence[float], times: Sequence[float]) -> Clock:
    """Return the clock of pictures, by the times in their EXIF.

    Args:
        moments: POSIX seconds at which they were taken, in order; several may be the same.
        times: Seconds at which they are shown.
    """
    rising, first = np.unique(np.array(moments), return_index=True)
    shown = [times[i] for i in first]
    return Clock("EXIF", rising.tolist(), shown, float(rising[-1] - rising[0]), is_sure=True)


def video_start(path: Path) -> float | None:
    """Return the POSIX seconds at which a video says that it began; None when it does not say."""
    with open_container(path) as container:
        given = {key.lower(): value for key, value in container.metadata.items()}
    for name in ("com.apple.quicktime.creationdate", "creation_time"):
        try:
            time = datetime.fromisoformat(given.get(name, ""))
        except ValueError:
            continue
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        if seconds > 0:  # 1904 and 1970 are what cameras write whose clock was never set
            return seconds
    return None


def place_in_video(
    fixes: Sequence[Fix], name: str, own: Clock, offset: float | None
) -> tuple[list[tuple[float, Fix]], str]:
    """Give fixes their times on the video's clock, and say by which rule.

    A camera's clock is believed where it puts the video within the track, as it is or shifted by a time zone.
    Else a track as long as the video is taken to begin with it.

    Args:
        fixes: Valid ones, with a time each.
        name: What people call their file.
        own: The video's clock.
        offset: Correction by the user, in seconds; where one is given, any track is taken.

    Raises:
        InvalidMedia: No rule puts the track into the time of the video.
    """
    if not fixes:
        return [], "none"
    if all(fix.time is not None for fix in fixes):
        return [(fix.time or 0.0, fix) for fix in fixes], "the track's own seconds of the video"
    fixes = [fix for fix in fixes if fix.utc is not None]
    times = [fix.utc or 0.0 for fix in fixes]
    first, last = min(times), max(times)
    begin, rule = _begin(first, last, own)
    if begin is None:
        if offset is None:
            raise InvalidMedia(
                f"{name} and the video have no time in common: the track is of {_shown(first)} to "
                f"{_shown(last)}, the video of {_shown(own.start)}.",
                "Say by track_offset_s how many seconds after the video's beginning the track begins.",
            )
        begin, rule = first, "the track begins with the video"
    return [(own.time_of((fix.utc or 0.0) - begin), fix) for fix in fixes], rule


def _begin(first: float, last: float, own: Clock) -> tuple[float | None, str]:
    """Return the POSIX seconds of the video's beginning, and the rule that says so."""
    start, duration = own.start, own.duration
    if start is not None:
        if _covered(first, last, start, duration) >= COVERED:
            return start, own.rule
        steps = range(-int(MAX_ZONE / ZONE), int(MAX_ZONE / ZONE) + 1)
        zones = [k * ZONE for k in steps if _covered(first, last, start - k * ZONE, duration) >= COVERED]
        if len(zones) == 1:
            return start - zones[0], f"{own.rule}, as local time {zones[0] / 3600:+g} h from UTC"
    if not own.is_sure and abs((last - first) - duration) <= max(ALIKE * duration, ALIKE_S):
        return first, "the track begins with the video"
    return None, ""


def _covered(first: float, last: float, start: float, duration: float) -> float:
    """Return which part of the video lies within the track."""
    common = min(last, start + duration) - max(first, start)
    return common / duration if duration > 0 else float(first <= start <= last)


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return "an unknown time"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")

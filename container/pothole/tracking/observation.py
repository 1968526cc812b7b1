"""What goes into the tracker and what comes out of it are small values that another machine can send."""

from dataclasses import dataclass
from fractions import Fraction

from pothole.detections import Detections
from pothole.tracking.optical_flow import View
from pothole.tracking.state import TrackerState
from pothole.types import Size

# Between two key frames so many seconds may pass, as a pothole ahead is to be found when it comes into sight.
MAX_TIME = Fraction(1, 4)


def is_sparse(gap: Fraction) -> bool:
    """Say whether frames so many seconds apart are all key frames, since to skip one would take too long."""
    return 2 * gap > MAX_TIME


@dataclass(frozen=True)
class Observation:
    """An observation is what the tracker is told of a frame.

    Attributes:
        index: The frame's number, counted from 0.
        time: Seconds since the first frame.
        size: Picture `(height, width)` in pixels.
        view: The frame as optical flow sees it.
        detections: What the detector found; None between key frames.
    """

    index: int
    time: Fraction
    size: Size
    view: View
    detections: Detections | None


@dataclass(frozen=True)
class EarlierFrame:
    """An earlier frame is one that the tracker took in an earlier attempt at the job, up to a checkpoint.

    Attributes:
        index: The frame's number, counted from 0.
        time: Seconds since the first frame.
        size: Picture `(height, width)` in pixels.
        view: The frame as optical flow sees it: the motion of the next frame starts from it.
    """

    index: int
    time: Fraction
    size: Size
    view: View


@dataclass(frozen=True)
class TrackedFrame:
    """A tracked frame is what the tracker says of a frame.

    Attributes:
        index: The frame's number, counted from 0.
        detections: The objects in it that count, with the ids of their tracks.
        state: At a checkpoint, the tracker's state after this frame, from which all later ones follow.
    """

    index: int
    detections: Detections
    state: TrackerState | None = None

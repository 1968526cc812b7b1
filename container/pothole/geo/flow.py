"""How the road flows through the picture tells where the horizon is, and how far the camera drove."""

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.types import Plane, Size

Numbers = NDArray[np.float64]

PERIOD_S = Fraction(1)  # one look a second costs less than a hundredth of the work
GAP_S = 1 / 30  # seconds, about, between the two frames that are compared
SIDE = 320  # pixels, about, along the long side of the copies that are compared
COLUMNS, ROWS = 9, 8  # of the grid of points that are followed
AREA = (0.12, 0.40, 0.88, 0.97)  # where they lie, in parts of the width and height: x, y, far x, far y
WINDOW, LEVELS = (13, 13), 2
MAX_RETURN = 0.35  # pixels of a copy between a point and where it is followed back to


@dataclass(frozen=True)
class Flow:
    """A flow says how points of the picture moved from one frame to one shortly after.

    Attributes:
        time: Seconds of the video, in the middle between the frames.
        gap: Seconds from the one to the other.
        points: `(n, 2)` x and y in the first frame, in pixels of the video.
        moved: `(n, 2)` the same points in the second.
    """

    time: float
    gap: float
    points: Numbers
    moved: Numbers


class FlowMeter:
    """The meter looks at two frames near each other, once a second.

    Which frames depends on their numbers alone, so that a job that is taken up again measures the same.

    Args:
        rate: Frames a second.
    """

    def __init__(self, rate: Fraction) -> None:
        self._period = max(2, round(rate * PERIOD_S))
        self._gap = min(max(1, round(float(rate) * GAP_S)), self._period - 1)
        self._before: tuple[float, Plane] | None = None

    def reset(self) -> None:
        """Forget the first frame of a pair, as at a checkpoint."""
        self._before = None

    def look(self, index: int, time: Fraction, luma: Plane) -> Flow | None:
        """Take the next frame; return how the road moved where it ends a pair.

        Args:
            index: The frame's number.
            time: Its seconds in the video.
            luma: `(height, width)` uint8, without marks drawn.
        """
        place = index % self._period
        if place == 0:
            self._before = float(time), _small(luma)
        elif place == self._gap and self._before is not None:
            (before, first), self._before = self._before, None
            return _flow(first, _small(luma), luma.shape, before, float(time))
        return None


def _small(luma: Plane) -> Plane:
    while max(luma.shape) >= 1.5 * SIDE:
        half = -(-luma.shape[1] // 2), -(-luma.shape[0] // 2)
        luma = np.asarray(cv2.resize(luma, half, interpolation=cv2.INTER_AREA), np.uint8)
    return luma.copy()


def _flow(first: Plane, second: Plane, size: Size, before: float, after: float) -> Flow | None:
    height, width = first.shape
    if after <= before or first.shape != second.shape:
        return None
    x = np.linspace(AREA[0] * width, AREA[2] * width, COLUMNS, dtype=np.float32)
    y = np.linspace(AREA[1] * height, AREA[3] * height, ROWS, dtype=np.float32)
    start = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 1, 2)
    settings = {"winSize": WINDOW, "maxLevel": LEVELS}
    end, found, _ = cv2.calcOpticalFlowPyrLK(first, second, start, start.copy(), **settings)  # type: ignore[call-overload]
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(second, first, end, end.copy(), **settings)  # type: ignore[call-overload]
    returned = np.linalg.norm((back - start)[:, 0], axis=1) < MAX_RETURN
    kept = (found[:, 0] > 0) & (found_back[:, 0] > 0) & returned
    factor = np.array([size[1] / width, size[0] / height])
    # The centre of a pixel of the copy lies between those of the pixels that it stands for.
    points, moved = (((p[kept, 0] + 0.5) * factor - 0.5).astype(np.float64) for p in (start, end))
    return Flow((before + after) / 2, after - before, points, moved)

"""How areas of a picture move from one frame to the next, by dense optical flow."""

from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.detections import Mask
from pothole.detector import Image

Box = NDArray[np.float32]
Grey = NDArray[np.uint8]
Flow = NDArray[np.float32]  # (height, width, 2), x before y

# Pixels of the long side, about, at which flow is computed: 3 ms a frame. Half of it would take 1 ms
# and leave the masks behind twice as fast.
FLOW_SIDE = 640
MIN_FLOW_SIDE = 128  # DIS flow ends the process with a segmentation fault on flat and tiny pictures
# Flow pixels around a box that move with it: a small box alone gives too few to go by.
SURROUNDINGS = 6
SAMPLES = 16
PATCH = 24  # side in pixels of what is compared for likeness
LARGEST_GROWTH = 0.5  # per frame; more is an error of the flow


@dataclass(frozen=True)
class Motion:
    """A shift and a growth along each axis: `x' = scale_x * x + shift_x`, the same for y.

    Attributes:
        scale: Of x and y.
        shift: Of x and y, in pixels of the picture.
        likeness: How much the picture looks the same before and after, as correlation, -1..1. Low where
            the motion was not found: after a cut, when something moves in between.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    likeness: float = 1.0

    def then(self, later: Self) -> "Motion":
        """Return this motion followed by another."""
        return Motion(
            (self.scale[0] * later.scale[0], self.scale[1] * later.scale[1]),
            (
                later.scale[0] * self.shift[0] + later.shift[0],
                later.scale[1] * self.shift[1] + later.shift[1],
            ),
            min(self.likeness, later.likeness),
        )

    def enlarged(self, factor: float) -> "Motion":
        """Return the motion in a picture that many times larger."""
        return replace(self, shift=(self.shift[0] * factor, self.shift[1] * factor))

    def move_box(self, box: Box) -> Box:
        """Return `(4,)` xyxy where a box goes."""
        return np.asarray(box * np.tile(self.scale, 2) + np.tile(self.shift, 2), np.float32)

    def move_mask(self, mask: Mask, origin: tuple[int, int], area: tuple[int, int, int, int]) -> Mask:
        """Return a mask where it goes.

        Args:
            mask: Boolean, its top left pixel at `origin`.
            origin: `(left, top)`.
            area: The pixels to return, xyxy.
        """
        left, top, right, bottom = area
        size = right - left, bottom - top
        if not mask.size or 0 in size:
            return np.zeros(size[::-1], bool)
        # Pixel centres are at halves.
        shift = [
            s * (o + 0.5) + t - 0.5 - a
            for s, o, t, a in zip(self.scale, origin, self.shift, (left, top), strict=True)
        ]
        matrix = np.array([[self.scale[0], 0, shift[0]], [0, self.scale[1], shift[1]]], np.float32)
        moved = cv2.warpAffine(mask.astype(np.uint8) * 255, matrix, size, flags=cv2.INTER_LINEAR)
        return moved > 127


class MotionEstimator:
    """Follows a video frame by frame."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._last: Grey | None = None
        self._flow: Flow | None = None

    def advance(self, image: Image, boxes: list[Box]) -> list[Motion]:
        """Go on to the next frame.

        Args:
            image: `(height, width, 3)` uint8 RGB; all of one size.
            boxes: `(4,)` xyxy each, in the frame before.

        Returns:
            The motion of each box from the frame before to this one.
        """
        # A whole number: INTER_AREA is several times slower otherwise.
        factor = max(1, round(max(image.shape[:2]) / FLOW_SIDE))
        current = _shrink(image, factor)
        last, self._last = self._last, current
        if last is None or not boxes:
            self._flow = None
            return [Motion() for _ in boxes]
        # The camera keeps its course: a start from the last flow finds the large motion of 5 frames a second.
        flow = self._dis.calc(last, current, self._flow)  # type: ignore[arg-type]  # the stub forgets None
        self._flow = np.asarray(flow, np.float32)
        motions = []
        for box in boxes:
            motion = _motion(self._flow, box / factor)
            likeness = _likeness(last, current, box / factor, motion)
            motions.append(replace(motion.enlarged(factor), likeness=likeness))
        return motions


def _shrink(image: Image, factor: int) -> Grey:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    width, height = (max(1, side // factor) for side in (image.shape[1], image.shape[0]))
    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    right, bottom = (max(0, MIN_FLOW_SIDE - side) for side in (width, height))
    return np.asarray(cv2.copyMakeBorder(small, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def _motion(flow: Flow, box: Box) -> Motion:
    """Read off the flow how a box moves."""
    height, width = flow.shape[:2]
    low, high = box[:2] - SURROUNDINGS, box[2:] + SURROUNDINGS
    left, top = np.clip(low, 0, (width - 2, height - 2)).astype(int).tolist()
    right, bottom = np.clip(high, (left + 2, top + 2), (width, height)).astype(int).tolist()
    area = flow[
        top : bottom : max(1, (bottom - top) // SAMPLES), left : right : max(1, (right - left) // SAMPLES)
    ]
    scale_x, shift_x = _line(area[..., 0].T, left, right)
    scale_y, shift_y = _line(area[..., 1], top, bottom)
    return Motion((scale_x, scale_y), (shift_x, shift_y))


def _line(moved: NDArray[np.float32], low: int, high: int) -> tuple[float, float]:
    """Fit `x' = scale * x + shift` by medians, of the whole and of the halves, which outliers do not move.

    Args:
        moved: `x' - x`, x grows along the first axis.
        low: x of the first row.
        high: x after the last row.
    """
    half = len(moved) // 2
    growth = 2 * (np.median(moved[half:]) - np.median(moved[:half])) / (high - low)
    growth = np.clip(growth, -LARGEST_GROWTH, LARGEST_GROWTH)
    return 1 + float(growth), float(np.median(moved) - growth * (low + high) / 2)


def _likeness(last: Grey, current: Grey, box: Box, motion: Motion) -> float:
    around = (box[2:] - box[:2]) / 4 + 3
    before = np.concatenate([box[:2] - around, box[2:] + around])
    patches = [_patch(last, before), _patch(current, motion.move_box(before))]
    return float(cv2.matchTemplate(patches[0], patches[1], cv2.TM_CCOEFF_NORMED)[0, 0])


def _patch(grey: Grey, box: Box) -> Grey:
    left, top, right, bottom = box.tolist()
    matrix = np.array([[(right - left) / PATCH, 0, left], [0, (bottom - top) / PATCH, top]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(grey, matrix, (PATCH, PATCH), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )

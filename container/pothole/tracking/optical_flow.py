"""Optical flow tells how areas of a picture move from one frame to the next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.types import Box, Mask, Plane

VIEW_SIDE = 320  # pixels, about, of a view's long side
WINDOW = (13, 13)  # smaller ones lose the large motion of 10 frames a second
LEVELS = 3
ENOUGH = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 5, 0.03)
# Pixels around a box that move with it: a small box alone gives too few to go by.
SURROUNDINGS = 6
SAMPLES = 6  # points along each side of an area
PATCH = 24  # pixels along each side of the areas that are compared for similarity
MAX_RETURN_ERROR = 1.0  # pixels of a view between a point and where it is followed back to
MAX_GROWTH = 0.5  # per frame; more is an error of the flow


@dataclass(frozen=True)
class Motion:
    """A motion is a shift and a growth along each axis: `x' = scale_x * x + shift_x`, the same for y.

    Attributes:
        scale: Growth of x and y.
        shift: Shift of x and y, in pixels of the picture.
        similarity: How much the picture looks the same before and after, as correlation, -1..1. It is low
            where the motion was not found: after a cut, or when something moves in between.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    similarity: float = 1.0

    @classmethod
    def between(cls, before: Box, after: Box) -> "Motion":
        """Return the motion that takes one box `(4,)` xyxy to another."""
        sizes = np.maximum(before[2:] - before[:2], 1e-3)
        scale_x, scale_y = ((after[2:] - after[:2]) / sizes).tolist()
        shift_x, shift_y = (after[:2] - before[:2] * (scale_x, scale_y)).tolist()
        return cls((scale_x, scale_y), (shift_x, shift_y))

    def then(self, later: Self) -> "Motion":
        """Return this motion followed by another."""
        return Motion(
            (self.scale[0] * later.scale[0], self.scale[1] * later.scale[1]),
            (
                later.scale[0] * self.shift[0] + later.shift[0],
                later.scale[1] * self.shift[1] + later.shift[1],
            ),
            min(self.similarity, later.similarity),
        )

    def inverse(self) -> "Motion":
        """Return the motion back."""
        (scale_x, scale_y), (shift_x, shift_y) = self.scale, self.shift
        return Motion((1 / scale_x, 1 / scale_y), (-shift_x / scale_x, -shift_y / scale_y), self.similarity)

    def enlarged(self, factor: float) -> "Motion":
        """Return the motion in a picture that many times larger."""
        return replace(self, shift=(self.shift[0] * factor, self.shift[1] * factor))

    def move_box(self, box: Box) -> Box:
        """Return `(4,)` xyxy where a box goes."""
        return np.asarray(box * np.array(self.scale * 2) + np.array(self.shift * 2), np.float32)

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


@dataclass(frozen=True)
class View:
    """A view is a small grey copy of a frame, in which motion is looked for; the tracker sees no more of it.

    Attributes:
        grey: The frame's luma, shrunk.
        factor: How many pixels of the frame lie along one of `grey`.
    """

    grey: Plane
    factor: int

    @classmethod
    def of(cls, luma: Plane) -> "View":
        """Shrink a frame's luma `(height, width)` uint8."""
        factor = 1
        while max(luma.shape) >= 1.5 * VIEW_SIDE:  # by halves, which is the fastest way
            luma = np.asarray(cv2.resize(luma, _half(luma), interpolation=cv2.INTER_AREA), np.uint8)
            factor *= 2
        return cls(luma, factor)

    def to_bytes(self) -> bytes:
        """Return the view as another machine can read it, without loss: its factor in a byte, then a PNG.

        A frame of a rendered road takes 32 KB at 1280×720, one of a real road 33, and one of a motorway 13 at
        960×540 (`python bench/motion_bytes.py VIDEO`).
        """
        _, coded = cv2.imencode(".png", self.grey)
        return bytes([self.factor]) + coded.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "View":
        """Read a view that `to_bytes` wrote.

        Raises:
            ValueError: The bytes are not those of a view.
        """
        factor, coded = data[:1], np.frombuffer(data[1:], np.uint8)
        grey = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED) if len(coded) else None
        if grey is None or grey.ndim != 2 or grey.dtype != np.uint8 or factor[0].bit_count() != 1:
            raise ValueError(f"{len(data)} bytes are no view of a frame")
        return cls(np.asarray(grey, np.uint8), factor[0])


@dataclass(frozen=True)
class Step:
    """A step is how the picture moved from one frame to the next.

    Attributes:
        before: The frame before.
        after: This frame.
    """

    before: View
    after: View

    def forward(self, boxes: Sequence[Box]) -> list[Motion]:
        """Return the motion of boxes `(4,)` xyxy of the frame before to this one."""
        return _motions(self.before, self.after, boxes)

    def backward(self, boxes: Sequence[Box]) -> list[Motion]:
        """Return the motion of boxes `(4,)` xyxy of this frame to the frame before."""
        return _motions(self.after, self.before, boxes)

    def similarity(self, before: Box, after: Box) -> float:
        """Return how similar a box of this frame is to one of the frame before, as correlation, -1..1."""
        factor = np.float32(self.before.factor)
        motion = Motion.between(before / factor, after / factor)
        return _similarity(self.before.grey, self.after.grey, before / factor, motion)

    @cached_property
    def travel(self) -> float:
        """Return how far the road moved, in parts of the picture's height."""
        height, width = self.before.grey.shape
        moved, found = _flow(self.before, self.after, _grid(0, height // 2, width, height))
        return float(np.median(np.linalg.norm(moved[found], axis=-1)) / height) if found.any() else 0.0

    def consistency(self, boxes: Sequence[Box]) -> list[float]:
        """Return which part of each box's points can be followed to this frame, and back to where they were.

        This is the forward-backward error of Kalal et al. (2010): where the picture has moved too far, or
        shows another place, the way back ends anywhere.

        Args:
            boxes: `(4,)` xyxy of the frame before.
        """
        if not boxes:
            return []
        grids = _grids(self.before, boxes)[0]
        moved, found = _flow(self.before, self.after, grids)
        back, found_back = _flow(self.after, self.before, grids + moved)
        returned = np.linalg.norm(moved + back, axis=-1) < MAX_RETURN_ERROR
        return [float(share) for share in (returned & found & found_back).mean(axis=(1, 2))]


def _half(luma: Plane) -> tuple[int, int]:
    return max(1, luma.shape[1] // 2), max(1, luma.shape[0] // 2)


def _grid(left: float, top: float, right: float, bottom: float) -> NDArray[np.float32]:
    """Return points `(SAMPLES, SAMPLES, 2)` spread over an area."""
    spread = (np.arange(SAMPLES, dtype=np.float32) + 0.5) / SAMPLES
    x, y = np.meshgrid(left + spread * (right - left), top + spread * (bottom - top))
    return np.stack([x, y], axis=-1).astype(np.float32)


def _grids(
    view: View, boxes: Sequence[Box]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Return points `(N, SAMPLES, SAMPLES, 2)` spread over boxes and what is around them, and those areas."""
    height, width = view.grey.shape
    small = np.stack(boxes) / view.factor
    low = np.clip(small[:, :2] - SURROUNDINGS, 0, (width - 2, height - 2))
    high = np.clip(small[:, 2:] + SURROUNDINGS, low + 2, (width, height))
    return np.stack([_grid(*area) for area in np.concatenate([low, high], axis=1)]), low, high


def _flow(
    before: View, after: View, points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return how points `(…, 2)` move, and which of them `(…)` were found again.

    The method is that of Lucas and Kanade (1981) in pyramids. In a plain area it has nothing to go by.
    """
    start = np.ascontiguousarray(points.reshape(-1, 1, 2))
    end, found, _ = cv2.calcOpticalFlowPyrLK(
        before.grey, after.grey, start, start.copy(), winSize=WINDOW, maxLevel=LEVELS, criteria=ENOUGH
    )
    return np.asarray((end - start).reshape(points.shape), np.float32), found.reshape(points.shape[:-1]) > 0


def _motions(before: View, after: View, boxes: Sequence[Box]) -> list[Motion]:
    """Return how boxes move, all of them at once, since most of the work is to prepare the pictures."""
    if not boxes:
        return []
    small = np.stack(boxes) / before.factor
    grids, low, high = _grids(before, boxes)
    scales, shifts = _lines(_flow(before, after, grids)[0], low, high)
    motions = []
    for box, scale, shift in zip(small, scales.tolist(), shifts.tolist(), strict=True):
        motion = Motion(tuple(scale), tuple(shift))
        similarity = _similarity(before.grey, after.grey, box, motion)
        motions.append(replace(motion.enlarged(before.factor), similarity=similarity))
    return motions


def _lines(
    moved: NDArray[np.float32], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit `x' = scale * x + shift` by medians of the whole and of the halves: outliers do not move these.

    Args:
        moved: How the points of `N` areas move, `(N, SAMPLES, SAMPLES, 2)`; the first grid axis is y.
        low: x and y of the areas' edges, `(N, 2)`.
        high: x and y of the opposite edges, `(N, 2)`.

    Returns:
        Scales and shifts of x and y, `(N, 2)` each.
    """
    # The last axis but one runs along x for the shifts of x, and along y for those of y.
    along = np.stack([moved[..., 0].swapaxes(1, 2), moved[..., 1]], axis=1)
    first, second = np.split(along, 2, axis=2)
    growth = 2 * (np.median(second, axis=(2, 3)) - np.median(first, axis=(2, 3))) / (high - low)
    growth = np.clip(growth, -MAX_GROWTH, MAX_GROWTH)
    return 1 + growth, np.median(along, axis=(2, 3)) - growth * (low + high) / 2


def _similarity(last: Plane, current: Plane, box: Box, motion: Motion) -> float:
    around = (box[2:] - box[:2]) / 4 + 3
    before = np.concatenate([box[:2] - around, box[2:] + around])
    patches = [_patch(last, before), _patch(current, motion.move_box(before))]
    return float(cv2.matchTemplate(patches[0], patches[1], cv2.TM_CCOEFF_NORMED)[0, 0])


def _patch(grey: Plane, box: Box) -> Plane:
    left, top, right, bottom = box.tolist()
    matrix = np.array([[(right - left) / PATCH, 0, left], [0, (bottom - top) / PATCH, top]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(grey, matrix, (PATCH, PATCH), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )

"""Augmentation changes pictures as roads differ: pasted potholes, one affine warp, changes of light."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.letterbox import letterbox
from pothole.types import Image

Polygons = tuple[NDArray[np.float32], ...]
GREY = (127, 127, 127)


@dataclass(frozen=True)
class Augmentation:
    """An augmentation says how far pictures are changed; by default they are only fitted into the input.

    Attributes:
        window: Size `(height, width)` of what the learner sees of a fitted picture, the whole input when
            None. A window around an object teaches nearly as much as the whole picture for a part of its
            cost, as the chips of SNIPER do (Singh et al., 2018, arXiv:1805.09300).
        scale: Range of the zoom, 1 fills the input (large-scale jitter).
        stretch: Largest relative change of the aspect ratio.
        flip: Probability of a left-right flip.
        paste: Probability that potholes of another picture are pasted in (arXiv:2012.07177).
        light: Largest relative change of contrast, brightness and of each colour.
        shadow: Probability of a shadow with a straight edge, as of a pole, a wall or a vehicle.
        elsewhere: Probability that a window of a picture with objects lies anywhere in it, so that what else
            is on a road becomes background.
        blur: Probability of a blur, two in three along one axis, as motion makes it.
        jpeg: Probability of coding at a low quality.
    """

    window: tuple[int, int] | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    stretch: float = 0.0
    flip: float = 0.0
    paste: float = 0.0
    light: float = 0.0
    shadow: float = 0.0
    elsewhere: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0

    def __call__(
        self,
        image: Image,
        objects: Sequence[Polygons],
        image_size: tuple[int, int],
        rng: np.random.Generator,
        ignored: NDArray[np.uint8] | None = None,
    ) -> tuple[Image, list[Polygons], NDArray[np.uint8]]:
        """Warp a picture `(h, w, 3)` uint8 RGB and its polygons, then change its look.

        Args:
            image: The picture.
            objects: Polygons in its pixels.
            image_size: What it is fitted into, `(height, width)`.
            rng: Of all that is drawn.
            ignored: `(h, w)` 0/1, where a mark is neither right nor wrong; None for nowhere.

        Returns:
            The picture, of `window` or else `image_size`, and in its pixels the polygons and what is ignored.
        """
        matrix = self._warp(image.shape[:2], objects, image_size, rng)
        height, width = self.window or image_size
        warped = cv2.warpAffine(image, matrix, (width, height), borderValue=GREY)
        turn, shift = matrix[:, :2].T.astype(np.float32), matrix[:, 2].astype(np.float32)
        moved = [tuple(p @ turn + shift for p in polygons) for polygons in objects]
        if ignored is None:
            left_out = np.zeros((height, width), np.uint8)
        else:
            left_out = cv2.warpAffine(ignored, matrix, (width, height), flags=cv2.INTER_NEAREST)  # type: ignore[assignment]
        return self._look(warped, rng), moved, left_out  # type: ignore[arg-type]

    def _warp(
        self,
        size: tuple[int, int],
        objects: Sequence[Polygons],
        image_size: tuple[int, int],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        fit, _ = letterbox(size, image_size)
        zoom = np.exp(rng.uniform(*np.log(self.scale)))
        stretch = np.exp(rng.uniform(-self.stretch, self.stretch) / 2.0)
        scale = np.array([fit * zoom * stretch, fit * zoom / stretch])
        seen = np.array((self.window or image_size)[::-1])
        # Free room (or overhang) in x and y is split at random, or so that some object is in the window.
        room = seen - scale * (size[1], size[0])
        place = rng.uniform(size=2)
        shift = room * place
        if self.window and objects and rng.uniform() >= self.elsewhere:
            points = np.concatenate(objects[int(rng.integers(len(objects)))])
            low, high = scale * points.min(axis=0), scale * points.max(axis=0)
            # An object that fits is in the window as a whole, one that does not has its middle in the middle.
            free = seen - (high - low)
            shift = np.where(free > 0, place * free - low, seen / 2.0 - (low + high) / 2.0)
            shift = np.clip(shift, np.minimum(room, 0.0), np.maximum(room, 0.0))
        matrix = np.array([[scale[0], 0.0, shift[0]], [0.0, scale[1], shift[1]]])
        if rng.uniform() < self.flip:
            matrix[0] = [-matrix[0, 0], 0.0, seen[0] - matrix[0, 2]]
        return matrix

    def _look(self, image: Image, rng: np.random.Generator) -> Image:
        if rng.uniform() < self.shadow:
            image = cast_shadow(image, rng)
        if self.light:
            gain = 1.0 + rng.uniform(-self.light, self.light) + rng.uniform(-self.light, self.light, 3) / 4.0
            offset = 255.0 * rng.uniform(-self.light, self.light) / 2.0
            table = np.clip(np.arange(256)[:, None] * gain + offset, 0, 255).astype(np.uint8)
            image = cv2.LUT(image, table[None])  # type: ignore[assignment]
        if rng.uniform() < self.blur:
            size = int(rng.integers(2, 6))
            kernel = np.ones(((size, size), (size, 1), (1, size))[rng.integers(3)])
            image = cv2.filter2D(image, -1, kernel / kernel.sum())  # type: ignore[assignment]
        if rng.uniform() < self.jpeg:
            _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))])
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR)  # type: ignore[assignment]
        return image


def cast_shadow(image: Image, rng: np.random.Generator) -> Image:
    """Darken a random quadrilateral of a picture, its edge blurred."""
    height, width = image.shape[:2]
    corners = rng.uniform(-0.2, 1.2, (4, 2)) * (width, height)
    covered = np.zeros((height, width), np.float32)
    cv2.fillConvexPoly(covered, cv2.convexHull(np.round(corners).astype(np.int32)), 1.0)
    covered = cv2.blur(covered, (int(rng.integers(1, 12)),) * 2)  # type: ignore[assignment]
    return (image * (1.0 - rng.uniform(0.3, 0.6) * covered[..., None])).astype(np.uint8)


def paste_objects(
    image: Image,
    objects: Sequence[Polygons],
    donor: Image,
    donated: Sequence[Polygons],
    rng: np.random.Generator,
) -> tuple[Image, list[Polygons]]:
    """Paste potholes of one picture into another, about where they were, their surroundings' colour matched.

    In pictures of one camera the same place means the same perspective and, mostly, road.

    Args:
        image: `(h, w, 3)` uint8 RGB; it is not changed.
        objects: Its own potholes; none is covered.
        donor: Another picture, of any size.
        donated: The potholes of `donor`.
        rng: Where they land.

    Returns:
        The picture and all its potholes.
    """
    height, width = image.shape[:2]
    zoom = min(height / donor.shape[0], width / donor.shape[1])
    donor = cv2.resize(donor, None, fx=zoom, fy=zoom)  # type: ignore[assignment]
    flip = rng.uniform() < 0.5
    if flip:
        donor = donor[:, ::-1]
    result, present = image.copy(), list(objects)
    for polygons in donated:
        moved = [p * zoom for p in polygons]
        if flip:
            moved = [np.stack([donor.shape[1] - p[:, 0], p[:, 1]], axis=1) for p in moved]
        points = np.concatenate(moved)
        # A border around the pothole comes along: its rim, and the ring that the colour is matched on.
        border = 3 + 0.25 * (points.max(axis=0) - points.min(axis=0)).max()
        low = np.floor(points.min(axis=0) - border).astype(int).clip(0)
        high = np.minimum(np.ceil(points.max(axis=0) + border).astype(int), donor.shape[1::-1])
        size = high - low
        jitter = rng.uniform(-1.0, 1.0, 2) * (0.25 * width, 0.05 * height)
        at = np.round((low + jitter).clip(0, np.maximum((width, height) - size, 0))).astype(int)
        if (at + size > (width, height)).any() or _overlaps(at, size, present):
            continue
        shape = np.zeros(size[::-1], np.uint8)
        cv2.fillPoly(shape, [np.round(p - low).astype(np.int32) for p in moved], 1)
        around = cv2.dilate(shape, np.ones((3, 3), np.uint8), iterations=max(int(border / 2), 1))
        alpha = cv2.GaussianBlur(around.astype(np.float32), (0, 0), max(border / 6, 0.8))[..., None]
        patch = donor[low[1] : high[1], low[0] : high[0]].astype(np.float32)
        target = result[at[1] : at[1] + size[1], at[0] : at[0] + size[0]]
        ring = (around > shape) if (around > shape).any() else around > 0
        patch += target[ring].mean(axis=0) - patch[ring].mean(axis=0)
        target[...] = np.clip(np.round(alpha * patch + (1.0 - alpha) * target), 0, 255).astype(np.uint8)
        present.append(tuple((p - low + at).astype(np.float32) for p in moved))
    return result, present


def _overlaps(at: NDArray[np.int_], size: NDArray[np.int_], objects: Sequence[Polygons]) -> bool:
    boxes = [np.concatenate(polygons) for polygons in objects]
    return any(bool((p.min(axis=0) < at + size).all() and (p.max(axis=0) > at).all()) for p in boxes)

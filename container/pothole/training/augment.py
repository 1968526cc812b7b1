"""Augmentation fit for roads, one affine warp and a few changes of light."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.detector import letterbox

Polygons = tuple[NDArray[np.float32], ...]
GREY = (127, 127, 127)


@dataclass(frozen=True)
class Augmentation:
    """How far pictures are changed; by default they are only fitted into the input, somewhere.

    Attributes:
        scale: Range of the zoom, 1 fills the input (large-scale jitter).
        stretch: Largest relative change of the aspect ratio.
        flip: Probability of a left-right flip.
        light: Largest relative change of contrast, brightness and of each colour.
        blur: Probability of a blur, two in three along one axis, as motion makes it.
        jpeg: Probability of coding at a low quality.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    stretch: float = 0.0
    flip: float = 0.0
    light: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0

    def __call__(
        self,
        image: NDArray[np.uint8],
        objects: Sequence[Polygons],
        image_size: tuple[int, int],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.uint8], list[Polygons]]:
        """Warp a picture `(h, w, 3)` uint8 RGB and its polygons to `image_size`, then change its look."""
        matrix = self._warp(image.shape[:2], image_size, rng)
        height, width = image_size
        warped = cv2.warpAffine(image, matrix, (width, height), borderValue=GREY)
        turn, shift = matrix[:, :2].T.astype(np.float32), matrix[:, 2].astype(np.float32)
        return self._look(warped, rng), [tuple(p @ turn + shift for p in polygons) for polygons in objects]  # type: ignore[arg-type]

    def _warp(
        self, size: tuple[int, int], image_size: tuple[int, int], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        fit, _ = letterbox(size, image_size)
        zoom = np.exp(rng.uniform(*np.log(self.scale)))
        stretch = np.exp(rng.uniform(-self.stretch, self.stretch) / 2.0)
        scale = np.array([fit * zoom * stretch, fit * zoom / stretch])
        # Free room (or overhang) in x and y is split at random.
        room = np.array([image_size[1], image_size[0]]) - scale * (size[1], size[0])
        shift = room * rng.uniform(size=2)
        matrix = np.array([[scale[0], 0.0, shift[0]], [0.0, scale[1], shift[1]]])
        if rng.uniform() < self.flip:
            matrix[0] = [-matrix[0, 0], 0.0, image_size[1] - matrix[0, 2]]
        return matrix

    def _look(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
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

"""CenterFace finds faces (Xu et al., 2019, arXiv:1911.03599).

Its network answers for each cell of 4 × 4 pixels how likely it is that a face has its centre there, how large
that face is, and where in the cell its centre lies.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pothole.detection.box_networks.box_detector import BoxDetector, Found, read_network
from pothole.types import Image, Size

STRIDE = 4
MULTIPLE = 32  # of which the sides of its input have to be multiples
OUTPUTS = 4  # heat map, sizes, offsets, and landmarks, which are not used here
MAX_OVERLAP = 0.3


class CenterFace(BoxDetector):
    """This is CenterFace as a `Detector`.

    Args:
        path: The network's file.
        longest_side: To which larger pictures are scaled down, in pixels.

    Raises:
        ModelError: The file cannot be used.
    """

    name = "CenterFace"
    class_names: tuple[str, ...] = ("face",)

    def __init__(self, path: Path, longest_side: int) -> None:
        model = read_network(path, OUTPUTS)
        model.reshape(ov.PartialShape([-1, 3, -1, -1]))
        super().__init__(model, MAX_OVERLAP)
        self._longest_side = longest_side

    def input_size(self, size: Size) -> Size:
        """See `Detector.input_size`."""
        scale = min(1.0, self._longest_side / max(size))
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

    def batch(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Return the pictures at the top left of black ones of the same size, `(N, 3, height, width)` RGB."""
        fitted = [self._fit(image) for image in images]
        height, width = (
            -(-max(image.shape[axis] for image in fitted) // MULTIPLE) * MULTIPLE for axis in (0, 1)
        )
        batch = np.zeros((len(images), 3, height, width), np.float32)
        for canvas, image in zip(batch, fitted, strict=True):
            canvas[:, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
        return batch

    def candidates(self, outputs: Sequence[NDArray[Any]], image: Image, score_threshold: float) -> Found:
        """See `BoxDetector.candidates`."""
        heat, log_sizes, offsets, _ = outputs
        rows, columns = np.nonzero(heat[0] >= score_threshold)
        # In the order y, x, as the network gives sizes and offsets.
        sizes = np.exp(log_sizes[:, rows, columns].T) * STRIDE
        centres = (np.stack([rows, columns], axis=1) + offsets[:, rows, columns].T + 0.5) * STRIDE
        corners = np.concatenate([(centres - sizes / 2)[:, ::-1], (centres + sizes / 2)[:, ::-1]], axis=1)
        height, width = self.input_size((image.shape[0], image.shape[1]))
        boxes = (corners / [width, height, width, height]).astype(np.float32)
        return boxes, heat[0][rows, columns].clip(0, 1), np.zeros(len(boxes), np.int32)

    def _fit(self, image: Image) -> Image:
        height, width = self.input_size((image.shape[0], image.shape[1]))
        if (height, width) == image.shape[:2]:
            return image
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

"""Fakes behind our own seams, for speed."""

from collections.abc import Sequence

import cv2
import numpy as np

from pothole.detections import Detections
from pothole.types import Image, Size

MAGENTA = (255, 0, 255)


class MagentaDetector:
    """Takes each magenta patch of a picture for a pothole, with a score of 0.9."""

    name = "magenta"
    min_confidence = 0.5
    class_names = ("pothole",)

    def input_size(self, size: Size) -> Size:
        return size

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        found = [self._detect(image) for image in images]
        return [d[d.scores >= (min_confidence or self.min_confidence)] for d in found]

    def _detect(self, image: Image) -> Detections:
        red, green, blue = (image[..., i] for i in range(3))
        magenta = ((red > 180) & (green < 90) & (blue > 180)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(magenta)
        boxes, masks = [], []
        for i in range(1, count):
            x, y, w, h, area = stats[i]
            if area >= 9:
                boxes.append((x, y, x + w, y + h))
                masks.append(labels[y : y + h, x : x + w] == i)
        return Detections(
            image_size=(image.shape[0], image.shape[1]),
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            scores=np.full(len(boxes), 0.9, np.float32),
            masks=tuple(masks),
        )


class Oracle:
    """Knows the white patch of `write_dataset`, with a score of 0.9; finds one where none is, too."""

    name = "oracle"
    min_confidence = 0.5
    class_names = ("pothole",)

    def __init__(self, score_of_false: float = 0.3, shift: int = 0) -> None:
        self.score_of_false = score_of_false
        self.shift = shift

    def input_size(self, size: Size) -> Size:
        return size

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        return [self._detect(image) for image in images]

    def _detect(self, image: Image) -> Detections:
        rows, columns = np.nonzero(image[..., 0] > 128)
        if len(rows):
            box, score = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), 0.9
        else:
            box, score = (0, 0, 10, 10), self.score_of_false
        left, top, right, bottom = np.add(box, (self.shift, 0, self.shift, 0))
        return Detections(
            (image.shape[0], image.shape[1]),
            np.array([[left, top, right, bottom]], np.float32),
            np.array([score], np.float32),
            (np.ones((bottom - top, right - left), bool),),
        )

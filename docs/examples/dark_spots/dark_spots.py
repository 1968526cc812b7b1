"""An example of a package that adds a kind of detector to pothole."""

from collections.abc import Sequence

import numpy as np

from pothole import Detections
from pothole.detection.registry import Arguments, DetectorKind
from pothole.types import Image, Size


class DarkSpotArguments(Arguments):
    """These are the arguments that `detector.json` may give."""

    threshold: int = 40


class DarkSpots:
    """This is a detector that takes the darkest rows of a picture for one pothole."""

    name = "dark spots"
    min_confidence = 0.5
    class_names = ("pothole",)

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold

    def input_size(self, size: Size) -> Size:
        """Return the size that pictures have, since they need not be scaled down."""
        return size

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """Return an answer for each picture, in its size, which `sizes` say again: none is scaled down."""
        return [self.find(image) for image in images]

    def find(self, image: Image) -> Detections:
        """Take the darkest rows of a picture for one pothole."""
        height, width = image.shape[:2]
        rows = np.nonzero(image.mean(axis=(1, 2)) < self.threshold)[0]
        if not len(rows):
            return Detections.empty((height, width))
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        boxes = np.array([[0, top, width, bottom]], np.float32)
        mask = np.ones((bottom - top, width), bool)
        return Detections((height, width), boxes, np.array([0.9], np.float32), (mask,))


KIND = DetectorKind(DarkSpotArguments, lambda folder, arguments: DarkSpots(arguments.threshold))

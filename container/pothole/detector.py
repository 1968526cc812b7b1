"""The detector: one model in a process, one lock around one `predict(batch)` call."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pothole.detections import Detections

Image = NDArray[np.uint8]


class Detector(Protocol):
    """What finds potholes in pictures; the seam that tests replace.

    Attributes:
        name: The model's name, as written in reports.
        min_confidence: Score from which a detection counts, unless the caller says otherwise.
    """

    name: str
    min_confidence: float

    def predict(self, images: Sequence[Image], min_confidence: float | None = None) -> list[Detections]:
        """Find the potholes of each picture.

        Args:
            images: Pictures `(height, width, 3)` uint8 RGB; sizes may differ.
            min_confidence: Lowest score to keep; the model's own default when None.
        """
        ...

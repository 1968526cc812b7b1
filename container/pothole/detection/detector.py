"""This module says what a detector is: the protocol `Detector`."""

from collections.abc import Sequence
from typing import Protocol

from pothole.detections import Detections
from pothole.types import Image, Size


class Detector(Protocol):
    """A detector finds objects in pictures; tests replace it at this seam.

    Attributes:
        name: The model's name, as written in reports.
        min_confidence: Score from which a detection counts, unless the caller says otherwise.
        class_names: What it can tell apart, in the order of the class ids.

    It may have `sensitivities`, too: score thresholds by the names `low`, `normal` and `high`.
    """

    name: str
    min_confidence: float
    class_names: tuple[str, ...]

    def input_size(self, size: Size) -> Size:
        """Return the size `(height, width)` to which a picture may be scaled down before `predict`."""
        ...

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """Find the objects of each picture.

        Args:
            images: Pictures `(height, width, 3)` uint8 RGB; sizes may differ.
            min_confidence: Score threshold; the model's own default when None.
            sizes: `(height, width)` of each picture before it was scaled down, in whose pixels the answer is;
                as they are when None.
        """
        ...


DOUBTFUL = 0.5
"""From this uncertainty on, a picture is worth a person's look."""


def uncertainty(score: float, confidence: float) -> float:
    """Return how unsure a detection is, 0..1.

    It is 1 at the confidence from which detections count, where a hair decides, and falls evenly to 0 at the
    scores 0 and 1.
    """
    return score / confidence if score < confidence else (1 - score) / (1 - confidence)


def score_threshold(detector: Detector, given: float | None) -> float:
    """Return the score threshold that holds: the given one, or without it the detector's own."""
    return detector.min_confidence if given is None else given

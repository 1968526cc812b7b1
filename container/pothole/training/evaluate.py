"""An evaluation says how good a detector is on a data set.

`mask_ap` and `box_ap` are COCO's mean over overlaps of 0.50 to 0.95, `…_ap50` at 0.50. All other figures are
those at one confidence, the operating point: what a user sees who does not ask for another.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pothole.detection.detector import Detector
from pothole.detections import Detections
from pothole.training.comparison import Comparison, Figures
from pothole.training.dataset import MAX_PIXELS, Sample, read_dataset, read_image

MIN_SCORE = 0.01
"""Scores below add nothing to AP but time."""

MAX_FALSE = 0.05
"""False positives per negative picture that a default confidence may let through."""

FIGURE_KEYS = (
    *("images", "instances", "mask_ap", "mask_ap50", "box_ap", "box_ap50"),
    *("precision", "recall", "f1", "false_positives_per_negative_image"),
)
SIZES_EXPLAINED = "Small is below 32², medium below 96² pixels of the picture, as COCO has it."


@dataclass(frozen=True)
class Evaluation:
    """An evaluation has a data set, and what a detector found on it.

    Attributes:
        data: The data set's name.
        samples: The pictures.
        annotations: COCO's JSON.
        found: Picture id and its detections, from `MIN_SCORE` on.
        model: The detector's name.
        min_confidence: The operating point.
    """

    data: str
    samples: tuple[Sample, ...]
    annotations: dict[str, Any]
    found: tuple[tuple[int, Detections], ...]
    model: str
    min_confidence: float

    @classmethod
    def run(
        cls,
        detector: Detector,
        folder: Path,
        on_progress: Callable[[int, int], None] | None = None,
        min_confidence: float | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Self:
        """Run a detector over a data set.

        Args:
            detector: What is measured.
            folder: The data set; see `read_dataset`.
            on_progress: Called with pictures done and pictures in all.
            min_confidence: The operating point; the detector's default when None.
            max_pixels: Largest `width * height` of a picture.

        Raises:
            PotholeError: See `read_dataset`.
        """
        samples, annotations = read_dataset(folder, max_pixels)
        found: list[tuple[int, Detections]] = []
        for done, sample in enumerate(samples, 1):
            found += [(sample.id, d) for d in detector.predict([read_image(sample.path)], MIN_SCORE)]
            if on_progress:
                on_progress(done, len(samples))
        confidence = detector.min_confidence if min_confidence is None else min_confidence
        return cls(
            folder.absolute().name, tuple(samples), annotations, tuple(found), detector.name, confidence
        )

    def compare(self, source: str | None = None) -> Comparison:
        """Match the detections with the truth, of one source or of all."""
        ids = None if source is None else {s.id for s in self.samples if s.source == source}
        return Comparison(self.annotations, self.found, ids)

    def figures(self) -> Figures:
        """Return the figures of `Comparison`, the same `by_source`, and the confidence.

        `min_confidence` is the one that the figures were taken at, `best_min_confidence` that of
        `operating_point`.
        """
        sources = sorted({s.source for s in self.samples} - {""})
        return {
            **self.compare().figures(self.min_confidence),
            "min_confidence": self.min_confidence,
            "best_min_confidence": operating_point(self.annotations, self.found),
            "by_source": {s: self.compare(s).figures(self.min_confidence) for s in sources},
        }


def evaluate(
    detector: Detector,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Figures:
    """Return the figures of a detector on a data set; see `Evaluation`."""
    return Evaluation.run(detector, folder, on_progress, max_pixels=max_pixels).figures()


def groups(figures: Figures) -> list[list[tuple[str, Figures]]]:
    """Return the rows of a table of figures, `(name, figures)`: all, by source, by size."""
    return [[("all", figures)], [*figures["by_source"].items()], [*figures["by_size"].items()]]


def figure_text(value: float | None) -> str:
    """Write a figure as it is shown to people."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def rule(figures: Figures) -> str:
    """Say how the default confidence is chosen, and what it would be here."""
    best = figures["best_min_confidence"]
    here = "unknown without pictures that have no pothole" if best is None else f"{best:.2f}"
    return (
        f"The default confidence is the lowest with at most {MAX_FALSE} false positives per negative picture"
        f" (one without any pothole): here {here}."
    )


def operating_point(annotations: dict[str, Any], found: Iterable[tuple[int, Detections]]) -> float | None:
    """Return the lowest confidence with at most `MAX_FALSE` false positives per negative picture.

    A user can hide doubtful marks, but not find missed ones: so no higher than the false ones demand.

    Args:
        annotations: COCO's JSON.
        found: Picture id and its detections, from `MIN_SCORE` on.

    Returns:
        The confidence, rounded up to a hundredth but at most 0.99, above which nothing would count; None
        without negative pictures.
    """
    negatives = {i["id"] for i in annotations["images"]} - {a["image_id"] for a in annotations["annotations"]}
    if not negatives:
        return None
    scores = sorted((float(s) for i, d in found if i in negatives for s in d.scores), reverse=True)
    allowed = int(MAX_FALSE * len(negatives))
    highest_false = scores[allowed] if len(scores) > allowed else MIN_SCORE
    return min(math.floor(highest_false * 100 + 1) / 100, 0.99)

"""An evaluation says how good a detector is on a data set.

`mask_ap` and `box_ap` are COCO's mean over overlaps of 0.50 to 0.95, `…_ap50` at 0.50. All other figures are
those at one confidence, the operating point: what a user sees who does not ask for another. Draws of scenes
tell how sure they are (`ranking`), and regions where nobody looked for potholes can be left out (`regions`).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from pothole.detection.detector import Detector, score_threshold
from pothole.detections import Detections
from pothole.training.calibration import calibration_error, fit_calibration
from pothole.training.comparison import FROC_IOU, Comparison, Figures, encode_mask
from pothole.training.dataset import MAX_PIXELS, Sample, read_dataset, read_image
from pothole.training.operating_point import (
    MAX_FALSE,
    MIN_SCORE,
    SENSITIVITIES,
    FalseMarks,
    OperatingPoint,
    operating_point,
    rounded_up,
)
from pothole.training.ranking import interval, one_per_scene, scene_numbers
from pothole.training.regions import Regions

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
        regions: What is ignored in the pictures, and where their cracks are.
    """

    data: str
    samples: tuple[Sample, ...]
    annotations: dict[str, Any]
    found: tuple[tuple[int, Detections], ...]
    model: str
    min_confidence: float
    regions: Regions = field(default_factory=Regions)

    @classmethod
    def run(
        cls,
        detector: Detector,
        folder: Path,
        on_progress: Callable[[int, int], None] | None = None,
        min_confidence: float | None = None,
        max_pixels: int = MAX_PIXELS,
        regions: Regions | None = None,
    ) -> Self:
        """Run a detector over a data set.

        Args:
            detector: What is measured.
            folder: The data set; see `read_dataset`.
            on_progress: Called with pictures done and pictures in all.
            min_confidence: The operating point; the detector's default when None.
            max_pixels: Largest `width * height` of a picture.
            regions: Of its pictures.

        Raises:
            PotholeError: See `read_dataset` and `Regions.check`.
        """
        samples, annotations = read_dataset(folder, max_pixels)
        regions = regions or Regions()
        regions.check(samples)
        found: list[tuple[int, Detections]] = []
        for done, sample in enumerate(samples, 1):
            found += [(sample.id, d) for d in detector.predict([read_image(sample.path)], MIN_SCORE)]
            if on_progress:
                on_progress(done, len(samples))
        return cls(
            folder.absolute().name,
            tuple(samples),
            annotations,
            tuple(found),
            detector.name,
            score_threshold(detector, min_confidence),
            regions,
        )

    @property
    def images(self) -> list[dict[str, Any]]:
        """Return COCO's records of the pictures."""
        return self.annotations["images"]  # type: ignore[no-any-return]

    def compare(self, source: str | None = None) -> Comparison:
        """Match the detections with the truth, of one source or of all."""
        ids = None if source is None else {s.id for s in self.samples if s.source == source}
        truths = [*self.annotations["annotations"], *self.regions.crowds(self.images)]
        return Comparison({**self.annotations, "annotations": truths}, self.found, ids)

    def figures(self) -> Figures:
        """Return the figures of `Comparison` with what a fair judgement needs beside them.

        Returns:
            Those of `Comparison.figures`, and the same `by_source`. `min_confidence`, at which they were
            taken; `best_min_confidence`, that of `operating_point`, and `held_out_false_positives`, what it
            lets through on other scenes; `sensitivities`, the confidence of each. `calibration` and
            `calibration_error`, see `pothole.training.calibration`. `froc`, the recall at an
            IoU of 0.3 at so many false marks per picture. `scenes`, how many there are; `interval`, the
            middle 90 % over draws of scenes; `one_per_scene`, the figures when all pictures of a scene count
            as one. With regions `false_on_cracks`, how many false marks lie on labelled cracks, and `plain`,
            all figures without regions.
        """
        comparison = self.compare()
        sources = sorted({s.source for s in self.samples} - {""})
        points = self.operating_points(comparison)
        best = points["normal"]
        matches = comparison.matches()
        scenes = scene_numbers(self.images)
        ranking = comparison.ranking()
        figures = {
            **comparison.figures(self.min_confidence),
            "froc": ranking.summary(np.ones(len(scenes)))["froc"],
            "min_confidence": self.min_confidence,
            "best_min_confidence": best and rounded_up(best.confidence),
            "held_out_false_positives": best and round(best.held_out, 4),
            "sensitivities": {name: point and point.confidence for name, point in points.items()},
            "by_source": {s: self.compare(s).figures(self.min_confidence) for s in sources},
            "calibration": fit_calibration(matches),
            "calibration_error": calibration_error(matches),
            "scenes": len(set(scenes.tolist())),
            "interval": interval(ranking.values, scenes),
            "one_per_scene": ranking.summary(one_per_scene(scenes)),
        }
        if self.regions:
            figures["false_on_cracks"] = self.false_on_cracks(comparison)
            figures["plain"] = replace(self, regions=Regions()).figures()
        return figures

    def operating_points(self, comparison: Comparison) -> dict[str, OperatingPoint | None]:
        """Return the operating point of each of `SENSITIVITIES`; None without negative pictures."""
        numbers = scene_numbers(self.images).tolist()
        scenes = {image["id"]: number for image, number in zip(self.images, numbers, strict=True)}
        false = FalseMarks(
            [
                (scenes[m.image_id], m.score)
                for m in comparison.matches()
                if m.image_id in comparison.negatives
            ],
            Counter(scenes[image_id] for image_id in comparison.negatives),
        )
        return {name: operating_point(false, allowed) for name, allowed in SENSITIVITIES.items()}

    def false_on_cracks(self, comparison: Comparison) -> int:
        """Return how many false marks lie on labelled cracks."""
        images = {image["id"]: image for image in self.images}
        found = dict(self.found)
        return sum(
            self.regions.is_on_crack(encode_mask(found[m.image_id], m.detection), images[m.image_id])
            for m in comparison.matches()
            if m.is_false(self.min_confidence) and m.detection is not None
        )


def evaluate(
    detector: Detector,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
    max_pixels: int = MAX_PIXELS,
    regions: Regions | None = None,
) -> Figures:
    """Return the figures of a detector on a data set; see `Evaluation`."""
    return Evaluation.run(detector, folder, on_progress, max_pixels=max_pixels, regions=regions).figures()


def groups(figures: Figures) -> list[list[tuple[str, Figures]]]:
    """Return the rows of a table of figures, `(name, figures)`: of all, by source, by size."""
    whole = [("all", figures)]
    if figures["scenes"] < figures["images"]:
        whole.append(("one picture a scene", figures["one_per_scene"]))
    if "plain" in figures:
        whole.append(("without regions", figures["plain"]))
    return [whole, [*figures["by_source"].items()], [*figures["by_size"].items()]]


def figure_text(value: float | None) -> str:
    """Write a figure as it is shown to people."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def rule(figures: Figures) -> str:
    """Say in sentences which score threshold these pictures would choose, and whether they can."""
    best, passed = figures["best_min_confidence"], figures["held_out_false_positives"]
    if best is None:
        return (
            "Each of these pictures shows a pothole. A score threshold can only be chosen where some show"
            " none, too."
        )
    if passed > MAX_FALSE:
        return (
            f"These pictures are too few to choose a score threshold on: they ask for {best:.2f}, but one"
            f" that is chosen without a scene lets {passed:.2f} false marks through in each of its pictures"
            f" without a pothole (negative pictures), on average, where no more than {MAX_FALSE} should be."
        )
    where = "in each picture without a pothole (a negative picture)"
    return (
        f"These pictures ask for a score threshold of {best:.2f}: the lowest with which no more than"
        f" {MAX_FALSE} marks are false {where}, on average. On scenes that had no part in choosing it,"
        f" {passed:.3f} were."
    )


def fairness(figures: Figures) -> list[str]:
    """Say in sentences how sure the figures are, and what recall they mean."""
    ap, ap50 = figures["interval"]["mask_ap"], figures["interval"]["mask_ap50"]
    if ap is None:
        return []
    recalls = " and ".join(f"{figure_text(recall)} at {rate}" for rate, recall in figures["froc"].items())
    sentences = [
        f"90 % intervals, by draws of {figures['scenes']} scenes: mask AP {ap[0]:.3f} to {ap[1]:.3f},"
        f" AP50 {ap50[0]:.3f} to {ap50[1]:.3f}.",
        f"Recall at a mask IoU of {FROC_IOU}: {recalls} false marks per picture.",
    ]
    if "plain" in figures:
        sentences.append(f"{figures['false_on_cracks']} false marks lie on labelled cracks.")
    return sentences

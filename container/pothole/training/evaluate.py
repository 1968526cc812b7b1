"""How good a detector is on a COCO data set, measured by pycocotools.

`mask_ap` and `box_ap` are COCO's mean over overlaps of 0.50 to 0.95, `…_ap50` at 0.50. A false positive on a
negative picture (one without any pothole) is any detection at the detector's default confidence.
"""

import contextlib
import io
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pothole.detections import Detections
from pothole.detector import Detector
from pothole.training.dataset import read_dataset, read_image

LOWEST_SCORE = 0.01
"""Scores below add nothing to AP but time."""

MOST_FALSE = 0.05
"""False positives per negative picture that a default confidence may let through."""

Figures = dict[str, float | int | None]


def evaluate(
    detector: Detector, folder: Path, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Run a detector over a data set.

    Args:
        detector: What is measured.
        folder: `images/` and `annotations.json`; a picture's `source` is optional.
        on_progress: Called with pictures done and pictures in all.

    Returns:
        The figures of `measure`, the same `by_source`, the `min_confidence` they were taken at, and the
        `best_min_confidence` of `operating_point`.

    Raises:
        RequestError: The folder is not a COCO data set.
        InvalidMedia: A picture cannot be read.
    """
    samples, annotations = read_dataset(folder)
    found: list[tuple[int, Detections]] = []
    for done, sample in enumerate(samples, 1):
        found += [(sample.id, d) for d in detector.predict([read_image(sample.path)], LOWEST_SCORE)]
        if on_progress:
            on_progress(done, len(samples))
    sources = sorted({s.source for s in samples} - {""})
    return {
        **measure(annotations, found, detector.min_confidence),
        "min_confidence": detector.min_confidence,
        "best_min_confidence": operating_point(annotations, found),
        "by_source": {
            source: measure(
                annotations, found, detector.min_confidence, {s.id for s in samples if s.source == source}
            )
            for source in sources
        },
    }


def measure(
    annotations: dict[str, Any],
    found: Iterable[tuple[int, Detections]],
    min_confidence: float,
    image_ids: set[int] | None = None,
) -> Figures:
    """Compare detections with the truth.

    Args:
        annotations: COCO's JSON.
        found: Picture id and its detections.
        min_confidence: From which score a detection on a negative picture is false.
        image_ids: The pictures that count; all when None.

    Returns:
        `images`, `instances`, `mask_ap`, `mask_ap50`, `box_ap`, `box_ap50`, and
        `false_positives_per_negative_image` (None without such a picture).
    """
    ids = {i["id"] for i in annotations["images"]} if image_ids is None else image_ids
    truth = _truth(annotations, ids)
    results = [r for image_id, d in found if image_id in ids for r in _results(image_id, d)]
    negatives = ids - {a["image_id"] for a in truth.dataset["annotations"]}
    false = sum(1 for r in results if r["image_id"] in negatives and r["score"] >= min_confidence)
    figures: Figures = {"images": len(ids), "instances": len(truth.dataset["annotations"])}
    for kind, name in (("segm", "mask"), ("bbox", "box")):
        figures[f"{name}_ap"], figures[f"{name}_ap50"] = _average_precision(truth, results, kind)
    figures["false_positives_per_negative_image"] = round(false / len(negatives), 4) if negatives else None
    return figures


def operating_point(annotations: dict[str, Any], found: Iterable[tuple[int, Detections]]) -> float | None:
    """Return the lowest confidence with at most `MOST_FALSE` false positives per negative picture.

    A user can hide doubtful marks, but not find missed ones: so no higher than the false ones demand.

    Args:
        annotations: COCO's JSON.
        found: Picture id and its detections, from `LOWEST_SCORE` on.

    Returns:
        The confidence, rounded up to a hundredth but at most 0.99, above which nothing would count; None
        without negative pictures.
    """
    negatives = {i["id"] for i in annotations["images"]} - {a["image_id"] for a in annotations["annotations"]}
    if not negatives:
        return None
    scores = sorted((float(s) for i, d in found if i in negatives for s in d.scores), reverse=True)
    allowed = int(MOST_FALSE * len(negatives))
    highest_false = scores[allowed] if len(scores) > allowed else LOWEST_SCORE
    return min(math.floor(highest_false * 100 + 1) / 100, 0.99)


def _truth(annotations: dict[str, Any], ids: set[int]) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [i for i in annotations["images"] if i["id"] in ids],
            "categories": [{"id": 1, "name": "pothole"}],
            "annotations": [
                {**a, "category_id": 1, "iscrowd": a.get("iscrowd", 0)}
                for a in annotations["annotations"]
                if a["image_id"] in ids
            ],
        }
        coco.createIndex()
    return coco


def _results(image_id: int, detections: Detections) -> Iterable[dict[str, Any]]:
    height, width = detections.image_size
    for box, score, mask, (left, top, right, bottom) in zip(
        detections.boxes, detections.scores, detections.masks, detections.mask_boxes, strict=True
    ):
        full = np.zeros((height, width), np.uint8, order="F")
        full[top:bottom, left:right] = mask
        x1, y1, x2, y2 = (float(v) for v in box)
        yield {
            "image_id": image_id,
            "category_id": 1,
            "score": float(score),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": coco_mask.encode(full),
        }


def _average_precision(
    truth: Any, results: list[dict[str, Any]], kind: str
) -> tuple[float | None, float | None]:
    if not truth.dataset["annotations"]:
        return None, None
    if not results:
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        # A copy: pycocotools adds to the records what it derives from them.
        found = truth.loadRes([dict(r) if kind == "segm" else _without_mask(r) for r in results])
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 4), round(float(evaluation.stats[1]), 4)


def _without_mask(result: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in result.items() if k != "segmentation"}

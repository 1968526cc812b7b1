"""Detections are compared with the truth of a data set, picture by picture, by pycocotools.

Sizes are COCO's: an object is small below 32², medium below 96² pixels of the picture, else large. What lies
outside a size, or is a crowd, is neither right nor wrong.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pothole.detections import Detections
from pothole.training.ranking import Ranking
from pothole.types import Json

FROC_IOU = 0.3
"""Overlap from which a mark counts on the FROC curve: it found the pothole, whatever its outline."""

SIZES = ("all", "small", "medium", "large")
"""In the order of pycocotools."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Match:
    """A match is a detection, a truth, or the two of one pothole: masks with an IoU of 0.5 or more.

    Attributes:
        image_id: The picture's COCO id.
        detection: Index within the picture's `Detections`; None for a truth that nothing found.
        truth: Index within COCO's annotations; None for a detection that is no pothole.
        score: The detection's; -1 without one, which is below any confidence.
        area: Of the truth, or else of the detection, in pixels.
    """

    image_id: int
    detection: int | None
    truth: int | None
    score: float
    area: float

    def is_true(self, min_confidence: float) -> bool:
        """Say whether a pothole is found."""
        return self.truth is not None and self.score >= min_confidence

    def is_false(self, min_confidence: float) -> bool:
        """Say whether something is marked that is no pothole."""
        return self.truth is None and self.score >= min_confidence

    def is_missed(self, min_confidence: float) -> bool:
        """Say whether a pothole is not found, be it that its score is too low."""
        return self.truth is not None and self.score < min_confidence


class Comparison:
    """A comparison has the truth and the detections of pictures, ready to be measured.

    Args:
        annotations: COCO's JSON, as `read_dataset` returns it.
        found: Picture id and its detections.
        image_ids: The pictures that count; all when None.

    Attributes:
        negatives: Ids of the pictures without a pothole; a crowd is none.
    """

    def __init__(
        self,
        annotations: Json,
        found: Iterable[tuple[int, Detections]],
        image_ids: set[int] | None = None,
    ) -> None:
        images = [i for i in annotations["images"] if image_ids is None or i["id"] in image_ids]
        self._sizes = {i["id"]: (i["height"], i["width"]) for i in images}
        self._truths = [
            {**annotation, "index": index}
            for index, annotation in enumerate(annotations["annotations"])
            if annotation["image_id"] in self._sizes
        ]
        potholes = {t["image_id"] for t in self._truths if not t["iscrowd"]}
        self.negatives = self._sizes.keys() - potholes
        self._found = [
            _result(image_id, i, detections)
            for image_id, detections in found
            if image_id in self._sizes
            for i in range(len(detections))
        ]
        self._masks = self._evaluate("segm")

    def matches(self, size: str = "all") -> list[Match]:
        """Return every detection and every truth of a size, each once."""
        result = []
        for picture in self._pictures(size):
            matches, scores = picture["dtMatches"][0], picture["dtScores"]
            for number, truth, score, ignored in zip(
                picture["dtIds"], matches, scores, picture["dtIgnore"][0], strict=True
            ):
                found = self._found[number - 1]
                known = self._truths[int(truth) - 1] if truth else None
                if not ignored:
                    index, area = (known["index"], known["area"]) if known else (None, found["area"])
                    result.append(Match(found["image_id"], found["index"], index, float(score), area))
            for number, detection, ignored in zip(
                picture["gtIds"], picture["gtMatches"][0], picture["gtIgnore"], strict=True
            ):
                if not ignored and not detection:
                    missed = self._truths[number - 1]
                    result.append(Match(missed["image_id"], None, missed["index"], -1.0, missed["area"]))
        return result

    def ranking(self) -> Ranking:
        """Return the ranking of the detections; its pictures are in the order of COCO's `images`."""
        return Ranking.of(list(self._pictures("all")), list(self._sizes))

    def figures(self, min_confidence: float) -> Figures:
        """Measure, over all sizes and `by_size`.

        Args:
            min_confidence: From which score a detection counts; AP alone counts them all.

        Returns:
            `images`; and over all sizes, and for each in `by_size`: `instances`; `mask_ap`, `mask_ap50`,
            `box_ap` and `box_ap50`, None without an object; `precision`, `recall` and `f1` at a mask IoU of
            0.5, None where there is nothing to divide by; `false_positives_per_negative_image`, None without
            such a picture, that is one without any object.
        """
        boxes = self._evaluate("bbox")
        by_size = {size: self._figures_of(size, boxes, min_confidence) for size in SIZES}
        return {"images": len(self._sizes), **by_size.pop("all"), "by_size": by_size}

    def _figures_of(self, size: str, boxes: COCOeval, min_confidence: float) -> Figures:
        matches = self.matches(size)
        true = sum(m.is_true(min_confidence) for m in matches)
        false = [m for m in matches if m.is_false(min_confidence)]
        missed = sum(m.is_missed(min_confidence) for m in matches)
        on_negatives = sum(m.image_id in self.negatives for m in false)
        figures: Figures = {"instances": true + missed}
        for name, evaluation in (("mask", self._masks), ("box", boxes)):
            figures[f"{name}_ap"], figures[f"{name}_ap50"] = _average_precision(evaluation, size)
        figures["precision"] = _share(true, true + len(false))
        figures["recall"] = _share(true, true + missed)
        figures["f1"] = _share(2 * true, 2 * true + len(false) + missed)
        figures["false_positives_per_negative_image"] = _share(on_negatives, len(self.negatives))
        return figures

    def _evaluate(self, kind: str) -> COCOeval:
        found, truths = self._found, self._truths
        if kind == "bbox":
            # pycocotools sizes a detection by its box where boxes are compared. The box of a crowd says
            # little of where the crowd is, so what lies on one is known by its mask.
            ignored = self._on_crowds()
            found = [{**f, "area": f["box_area"]} for n, f in enumerate(found, 1) if n not in ignored]
            truths = [truth for truth in truths if not truth["iscrowd"]]
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
            evaluation = COCOeval(_index(self._sizes, truths), _index(self._sizes, found), kind)
            evaluation.params.iouThrs = np.append(evaluation.params.iouThrs, FROC_IOU)  # last: not in AP
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation

    def _on_crowds(self) -> set[int]:
        """Return the numbers, from 1, of the detections whose masks lie on a crowd and on no pothole."""
        return {
            number
            for picture in self._pictures("all")
            for number, truth, ignored in zip(
                picture["dtIds"], picture["dtMatches"][0], picture["dtIgnore"][0], strict=True
            )
            if truth and ignored
        }

    def _pictures(self, size: str) -> Iterator[dict[str, Any]]:
        area = self._masks.params.areaRng[SIZES.index(size)]
        return (p for p in self._masks.evalImgs if p and p["aRng"] == area)


def precision_recall_curve(matches: Sequence[Match]) -> list[tuple[float, float, float]]:
    """Return `(score, recall, precision)` from the highest score down, where a score finds more potholes.

    At a score are all detections counted that have it or a higher one.
    """
    potholes = sum(m.truth is not None for m in matches)
    ranked = sorted((m for m in matches if m.detection is not None), key=lambda m: -m.score)
    points: list[tuple[float, float, float]] = []
    true = shown = 0
    for count, match in enumerate(ranked, 1):
        true += match.truth is not None
        last_of_score = count == len(ranked) or ranked[count].score < match.score
        if last_of_score and true > shown:
            points.append((match.score, true / potholes, true / count))
            shown = true
    return points


def encode_truth(annotation: Json, image_size: tuple[int, int]) -> Any:
    """Return the mask of an annotation over a picture `(height, width)`, in pycocotools' run lengths."""
    outline = annotation["segmentation"]
    if isinstance(outline, list):
        return coco_mask.merge(coco_mask.frPyObjects(outline, *image_size))
    return outline


def encode_mask(detections: Detections, i: int) -> Any:
    """Return a detection's mask over the whole picture, in pycocotools' run lengths."""
    left, top, right, bottom = detections.mask_boxes[i]
    full = np.zeros(detections.image_size, np.uint8, order="F")
    full[top:bottom, left:right] = detections.masks[i]
    return coco_mask.encode(full)


def _result(image_id: int, index: int, detections: Detections) -> Json:
    x0, y0, x1, y1 = detections.boxes[index].tolist()
    return {
        "image_id": image_id,
        "index": index,
        "score": float(detections.scores[index]),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": encode_mask(detections, index),
        "area": int(detections.masks[index].sum()),
        "box_area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
    }


def _index(sizes: dict[int, tuple[int, int]], records: Sequence[Json]) -> COCO:
    # Ids from 1: pycocotools takes a match with the id 0 for none. Copies: it writes into the records.
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i, "height": height, "width": width} for i, (height, width) in sizes.items()],
        "categories": [{"id": 1, "name": "pothole"}],
        "annotations": [{**r, "id": n, "category_id": 1} for n, r in enumerate(records, 1)],
    }
    coco.createIndex()
    return coco


def _average_precision(evaluation: COCOeval, size: str) -> tuple[float | None, float | None]:
    # Overlap, recall, category, size, limit of detections per picture; -1 where there is no object.
    precision = evaluation.eval["precision"][:-1, :, 0, SIZES.index(size), -1]
    if (precision < 0).all():
        return None, None
    return round(float(precision.mean()), 4), round(float(precision[0].mean()), 4)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None

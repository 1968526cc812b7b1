"""A page of pictures shows what an evaluation's figures mean: true, missed and false potholes.

One HTML file that needs no network; the pictures are inside.
"""

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pothole.detections import Detections
from pothole.errors import RequestError
from pothole.files import replacing
from pothole.media.picture import encode_picture
from pothole.storage import file_errors
from pothole.training.comparison import Comparison, Match, encode_mask, encode_truth, precision_recall_curve
from pothole.training.dataset import read_image
from pothole.training.evaluate import (
    FIGURE_KEYS,
    SIZES_EXPLAINED,
    Evaluation,
    fairness,
    figure_text,
    groups,
    rule,
)
from pothole.training.polygons import mask_polygons
from pothole.types import Area

MAX_CARDS = 60
"""Of each kind, so that a page stays below some 20 MB."""

PICTURE_WIDTH = 480
FROC_RATES_DRAWN = 10.0
"""Most false marks per picture on the FROC curve."""

MARKED_CONFIDENCES = (0.1, 0.3, 0.5, 0.7, 0.9)

# A card shows so much around its pothole that one sees where it is on the road.
SURROUNDINGS = 3.0
MIN_SIDE = 240.0
ASPECT = 4 / 3


@dataclass(frozen=True)
class Outline:
    """An outline is a line in a picture: `style` is its CSS classes, `path` its SVG path in its pixels."""

    style: str
    path: str


@dataclass(frozen=True)
class Card:
    """A card is a part of a picture with the outlines in it, and what is to be said of its pothole."""

    jpeg: str
    width: int
    height: int
    view_box: str
    outlines: tuple[Outline, ...]
    headline: str
    file_name: str
    source: str


@dataclass(frozen=True)
class Part:
    """A part has pictures of one kind; `count` is how many there are, of which `cards` may be the first."""

    name: str
    title: str
    order: str
    count: int
    cards: list[Card]


@dataclass(frozen=True)
class Mark:
    """A mark is a confidence on the curve."""

    confidence: float
    recall: float
    precision: float
    chosen: bool


def check_page(path: Path) -> None:
    """Refuse a path that cannot become a page, before any work is done.

    Raises:
        RequestError: It is a folder, a device or the like.
    """
    if path.exists() and not path.is_file():
        raise RequestError(f"{path} is not a file.", "Name a file to write, such as page.html.")


def write_page(
    path: Path,
    evaluation: Evaluation,
    figures: dict[str, Any],
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the page, all at once: whoever looks sees the old one or the new one.

    Args:
        path: The HTML file.
        evaluation: What was found.
        figures: Its figures.
        on_progress: Called with pictures done and pictures in all.

    Raises:
        AccessDenied: The file may not be written.
        StorageUnavailable: Writing it failed.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pothole", "training"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"figure": figure_text, "x": _across, "y": _down, "rate": _rate_across}
    comparison = evaluation.compare()
    matches = comparison.matches()
    text = environment.get_template("evaluation_page.html").render(
        model=evaluation.model,
        data=evaluation.data,
        min_confidence=evaluation.min_confidence,
        rule=rule(figures),
        groups=groups(figures),
        keys=FIGURE_KEYS,
        sizes=SIZES_EXPLAINED,
        fairness=fairness(figures),
        curve=precision_recall_curve(matches),
        froc=_froc(comparison),
        rates=(0.01, 0.1, 1, 10),
        marks=_marks(matches, evaluation.min_confidence),
        ticks=(0, 0.2, 0.4, 0.6, 0.8, 1),
        parts=_Pictures(evaluation).parts(matches, on_progress or (lambda done, total: None)),
    )
    with file_errors(path), replacing(path) as whole:
        whole.write_text(text, encoding="utf-8", errors="backslashreplace")


def _across(recall: float) -> float:
    """Return x in the curve's drawing, which is 480 wide."""
    return round(52 + 410 * recall, 1)


def _rate_across(rate: float) -> float:
    """Return x of a number of false marks per picture, 0.01 to 10 by its logarithm."""
    return _across((math.log10(min(max(rate, 0.01), 10.0)) + 2.0) / 3.0)


def _froc(comparison: Comparison) -> list[tuple[float, float]]:
    """Return the FROC curve where its recall rises, as far as it is drawn; nothing without a pothole."""
    ranking = comparison.ranking()
    points = ranking.froc(np.ones(len(ranking.potholes)))
    return [
        (false, recall)
        for (false, recall), (_, before) in zip(points, [(0.0, 0.0), *points], strict=False)
        if recall > before and false <= FROC_RATES_DRAWN
    ]


def _down(precision: float) -> float:
    """Return y in the curve's drawing, which is 360 high."""
    return round(310 - 290 * precision, 1)


def _marks(matches: Sequence[Match], chosen: float) -> list[Mark]:
    marks = []
    potholes = sum(m.truth is not None for m in matches)
    for confidence in (*MARKED_CONFIDENCES, chosen):
        true = sum(m.is_true(confidence) for m in matches)
        false = sum(m.is_false(confidence) for m in matches)
        near = confidence != chosen and abs(confidence - chosen) < 0.05
        if true and not near:
            marks.append(Mark(confidence, true / potholes, true / (true + false), confidence == chosen))
    return marks


class _Pictures:
    """These are the cards of an evaluation."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._confidence = evaluation.min_confidence
        self._samples = {s.id: s for s in evaluation.samples}
        self._found = dict(evaluation.found)
        self._truths: dict[int, list[tuple[int, Any]]] = {}
        self._ignored: dict[int, list[Any]] = {}
        for index, truth in enumerate(evaluation.annotations["annotations"]):
            mask = encode_truth(truth, self._found[truth["image_id"]].image_size)
            if truth["iscrowd"]:
                self._ignored.setdefault(truth["image_id"], []).append(mask)
            else:
                self._truths.setdefault(truth["image_id"], []).append((index, mask))
        for crowd in evaluation.regions.crowds(evaluation.images):
            self._ignored.setdefault(crowd["image_id"], []).append(crowd["segmentation"])

    def parts(self, matches: Sequence[Match], on_progress: Callable[[int, int], None]) -> list[Part]:
        true = sorted((m for m in matches if m.is_true(self._confidence)), key=lambda m: -m.score)
        missed = sorted((m for m in matches if m.is_missed(self._confidence)), key=lambda m: -m.area)
        false = sorted((m for m in matches if m.is_false(self._confidence)), key=lambda m: -m.score)
        parts = [
            Part("true", "True: potholes found", "The surest first", len(true), []),
            Part("missed", "Missed: potholes not found", "The largest first", len(missed), []),
            Part("false", "False: marks that are none", "The surest first", len(false), []),
        ]
        shown = [
            (part, m)
            for part, members in zip(parts, (true, missed, false), strict=True)
            for m in members[:MAX_CARDS]
        ]
        for done, (part, match) in enumerate(shown, 1):
            part.cards.append(self._card(match))
            on_progress(done, len(shown))
        return parts

    def _card(self, match: Match) -> Card:
        sample, found = self._samples[match.image_id], self._found[match.image_id]
        image = read_image(sample.path)
        outlines: list[Outline] = []
        subject: list[NDArray[np.float32]] = []
        for mask in self._ignored.get(match.image_id, ()):
            outlines.append(_outline("ignored", mask_polygons(coco_mask.decode(mask) > 0, (0, 0)), False))
        for index, mask in self._truths.get(match.image_id, ()):
            polygons = mask_polygons(coco_mask.decode(mask) > 0, (0, 0))
            outlines.append(_outline("truth", polygons, index == match.truth))
            subject += polygons if index == match.truth else []
        shown = {int(i) for i in np.flatnonzero(found.scores >= self._confidence)}
        for index in sorted(shown | ({match.detection} if match.detection is not None else set())):
            left, top, _, _ = found.mask_boxes[index].tolist()
            polygons = mask_polygons(found.masks[index], (left, top))
            style = "found" if index in shown else "found doubtful"
            outlines.append(_outline(style, polygons, index == match.detection))
            subject += polygons if index == match.detection else []
        area = _surroundings(np.concatenate(subject), (image.shape[0], image.shape[1]))
        left, top, right, bottom = area
        part = image[top:bottom, left:right]
        scale = min(1.0, PICTURE_WIDTH / part.shape[1])
        part = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        return Card(
            jpeg=base64.b64encode(encode_picture(part, "image/jpeg")).decode(),
            width=part.shape[1],
            height=part.shape[0],
            view_box=f"{left} {top} {right - left} {bottom - top}",
            outlines=tuple(outlines),
            headline=self._headline(match, found),
            file_name=sample.path.name,
            source=sample.source,
        )

    def _headline(self, match: Match, found: Detections) -> str:
        if match.detection is None:
            return f"not found, {match.area:.0f} px²"
        overlap = f"IoU {self._best_iou(match, found):.2f}"
        if match.is_missed(self._confidence):
            return f"score {match.score:.2f} is too low, {overlap}, {match.area:.0f} px²"
        if match.truth is None:
            return f"score {match.score:.2f}, best {overlap}"
        return f"score {match.score:.2f}, {overlap}"

    def _best_iou(self, match: Match, found: Detections) -> float:
        """Return a detection's overlap with the truth that it was matched with, or else the best with any."""
        assert match.detection is not None
        known = self._truths.get(match.image_id, ())
        truths = [mask for index, mask in known if match.truth in (None, index)]
        mask = encode_mask(found, match.detection)
        return float(coco_mask.iou([mask], truths, [0] * len(truths)).max()) if truths else 0.0


def _outline(style: str, polygons: Iterable[NDArray[np.float32]], is_subject: bool) -> Outline:
    lines = (" ".join(f"{x:.1f} {y:.1f}" for x, y in polygon) for polygon in polygons)
    path = "".join(f"M{line}Z" for line in lines)
    return Outline(f"{style} subject" if is_subject else style, path)


def _surroundings(points: NDArray[np.float32], size: tuple[int, int]) -> Area:
    """Return the part of a picture `(height, width)` to show around points `(n, 2)`."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low) * SURROUNDINGS
    width = min(max(float(extent[0]), float(extent[1]) * ASPECT, MIN_SIDE), size[1])
    height = min(max(width / ASPECT, float(extent[1])), size[0])
    center = (low + high) / 2
    left = round(min(max(float(center[0]) - width / 2, 0), size[1] - width))
    top = round(min(max(float(center[1]) - height / 2, 0), size[0] - height))
    return left, top, left + round(width), top + round(height)

"""This module measures how well detections are sorted by their scores.

Pictures have weights. With 1 for each, average precision is COCO's. A bootstrap draws scenes with replacement
(Efron and Tibshirani, 1993, An Introduction to the Bootstrap, ch. 8), and a picture weighs as much as its
scene was drawn: pictures of one scene are alike, so draws of pictures would promise more than was seen.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FROC_RATES = (0.1, 1.0)
"""False marks per picture at which the recall of the FROC curve is told."""

DRAWS = 1000
CONFIDENCE = 0.9

Weights = NDArray[np.float64]
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Ranking:
    """A ranking holds the detections of pictures, best first, and which of them are right.

    Legend: D: detections, T: overlaps, P: pictures.

    Attributes:
        pictures: `(D,)` the number of each one's picture.
        right: `(T, D)` whether it is a pothole, for each overlap (IoU) that COCO asks for, and last for the
            one of the FROC curve.
        counted: `(T, D)` whether it is right or wrong, not ignored.
        potholes: `(P,)` how many potholes a picture has.
    """

    pictures: NDArray[np.int64]
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    potholes: NDArray[np.int64]

    @classmethod
    def of(cls, evaluated: Sequence[dict[str, Any]], picture_ids: Sequence[int]) -> Self:
        """Make a ranking of pycocotools' `evalImgs` of one range of areas, and the ids of all pictures."""
        numbers = {picture_id: number for number, picture_id in enumerate(picture_ids)}
        potholes = np.zeros(len(picture_ids), np.int64)
        for picture in evaluated:
            potholes[numbers[picture["image_id"]]] = np.sum(np.asarray(picture["gtIgnore"]) == 0)

        if not evaluated:
            return cls(np.zeros(0, np.int64), np.zeros((2, 0), bool), np.zeros((2, 0), bool), potholes)
        scores = np.concatenate([np.asarray(p["dtScores"], float) for p in evaluated])
        order = np.argsort(-scores, kind="stable")
        of_picture = [np.full(len(p["dtScores"]), numbers[p["image_id"]]) for p in evaluated]
        right = np.concatenate([p["dtMatches"] > 0 for p in evaluated], axis=1)
        ignored = np.concatenate([p["dtIgnore"] > 0 for p in evaluated], axis=1)
        return cls(np.concatenate(of_picture)[order], right[:, order], ~ignored[:, order], potholes)

    def average_precision(self, weights: Weights) -> tuple[float, float]:
        """Return COCO's AP over overlaps of 0.50 to 0.95, and that at 0.50; not a number without a pothole.

        Args:
            weights: `(P,)` of the pictures.
        """
        recall, precision = self._curves(weights, slice(0, -1))
        # From each recall on, the best precision that is reached (Everingham et al., 2010, sec. 4.2).
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
        sampled = [row[np.searchsorted(reached, RECALLS)] for row, reached in zip(best, recall, strict=True)]
        of_overlap = np.mean(sampled, axis=1) if self._total(weights) else np.full(len(best), np.nan)
        return float(of_overlap.mean()), float(of_overlap[0])

    def froc(self, weights: Weights) -> list[tuple[float, float]]:
        """Return the FROC curve: false marks per picture and recall, from the best detection down.

        Args:
            weights: `(P,)` of the pictures.
        """
        false, recall = self._froc(weights)
        return list(zip(false.tolist(), recall.tolist(), strict=True))

    def froc_recalls(self, weights: Weights) -> list[float]:
        """Return the recall at each of `FROC_RATES`; not a number without a pothole."""
        false, recall = self._froc(weights)
        if not self._total(weights):
            return [float("nan")] * len(FROC_RATES)
        with_nothing = np.concatenate([[0.0], recall])
        return [float(with_nothing[np.searchsorted(false, rate, "right")]) for rate in FROC_RATES]

    def summary(self, weights: Weights) -> dict[str, Any]:
        """Return `mask_ap`, `mask_ap50` and `froc`, the recalls by rate; None without a pothole."""
        ap, ap50 = self.average_precision(weights)
        return named([ap, ap50, *self.froc_recalls(weights)])

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the figures of `summary` in a row."""
        return np.array([*self.average_precision(weights), *self.froc_recalls(weights)])

    def _froc(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        of_each = weights[self.pictures] * self.counted[-1]
        false = np.cumsum(of_each * ~self.right[-1]) / max(weights.sum(), 1e-12)
        found = np.cumsum(of_each * self.right[-1]) / max(self._total(weights), 1e-12)
        return false, found

    def _curves(self, weights: Weights, overlaps: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        of_each = weights[self.pictures] * self.counted[overlaps]
        right = np.cumsum(of_each * self.right[overlaps], axis=1)
        marks = np.cumsum(of_each, axis=1)
        return right / max(self._total(weights), 1e-12), right / np.maximum(marks, 1e-12)

    def _total(self, weights: Weights) -> float:
        return float((weights * self.potholes).sum())


def named(values: Iterable[Any]) -> dict[str, Any]:
    """Return a row of `Ranking.values` by name, rounded; None for what is not a number."""
    known = [None if np.isnan(value).any() else np.round(value, 4).tolist() for value in values]
    ap, ap50, *recalls = known
    by_rate = {str(rate): value for rate, value in zip(FROC_RATES, recalls, strict=True)}
    return {"mask_ap": ap, "mask_ap50": ap50, "froc": by_rate}


def scene_numbers(images: Sequence[dict[str, Any]]) -> NDArray[np.int64]:
    """Return the number of each picture's scene: its `group`, or a scene of its own."""
    names = [("group", str(i["group"])) if i.get("group") else ("picture", i["id"]) for i in images]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64)


def one_per_scene(scenes: NDArray[np.int64]) -> Weights:
    """Return weights with which a scene's pictures together count as one, each by its chance to be drawn."""
    return 1.0 / np.bincount(scenes)[scenes]


def draws(scenes: NDArray[np.int64], count: int = DRAWS) -> Iterator[Weights]:
    """Yield the pictures' weights for draws of scenes with replacement, the same ones each time."""
    generator = np.random.default_rng(0)
    total = int(scenes.max(initial=-1)) + 1
    for _ in range(count if total else 0):
        yield generator.multinomial(total, np.full(total, 1.0 / total))[scenes].astype(float)


def interval(measure: Callable[[Weights], NDArray[np.float64]], scenes: NDArray[np.int64]) -> dict[str, Any]:
    """Return the middle 90 % of figures over draws of scenes, `[low, high]` by name.

    Args:
        measure: Returns a row of figures, in the order of `Ranking.values`.
        scenes: `(P,)` of the pictures.
    """
    rows = np.array([measure(weights) for weights in draws(scenes)])
    return named(spread(rows))


def spread(rows: NDArray[np.float64]) -> list[Any]:
    """Return `[low, high]` of each column; not a number where a column has none."""
    margin = (1.0 - CONFIDENCE) / 2.0
    known = [column[~np.isnan(column)] for column in rows.T]
    return [np.quantile(c, [margin, 1.0 - margin]) if len(c) else np.array([np.nan]) for c in known]

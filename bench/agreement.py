"""How well the marks of two jobs on one video agree, pixel by pixel: of key frames with every frame, say."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SAME = 0.3  # IoU from which two marks are of the same pothole


@dataclass(frozen=True)
class Agreement:
    """What two jobs have in common.

    Attributes:
        shared: Pixels that both marked, over all frames.
        either: Pixels that one or both marked.
        each: For each mark of the first job, its IoU with the mark of the second that overlaps it most; 0
            where none does.
        counted: Potholes of the first and of the second.
    """

    shared: int
    either: int
    each: tuple[float, ...]
    counted: tuple[int, int]

    @classmethod
    def pooled(cls, agreements: Iterable["Agreement"]) -> "Agreement":
        """Return the agreement over all videos together."""
        all_of = list(agreements)
        return cls(
            shared=sum(a.shared for a in all_of),
            either=sum(a.either for a in all_of),
            each=tuple(iou for a in all_of for iou in a.each),
            counted=(sum(a.counted[0] for a in all_of), sum(a.counted[1] for a in all_of)),
        )

    @property
    def pixels(self) -> float:
        """Return the IoU of all that is marked."""
        return self.shared / max(self.either, 1)

    @property
    def marks(self) -> float:
        """Return the mean IoU of a mark, where a mark that only the first shows counts as 0."""
        return float(np.mean(self.each)) if self.each else 1.0

    @property
    def same_marks(self) -> float:
        """Return the mean IoU of the marks that both show."""
        same = [iou for iou in self.each if iou >= SAME]
        return float(np.mean(same)) if same else 1.0


def agree(first: dict[str, Any], second: dict[str, Any]) -> Agreement:
    """Compare the data that two jobs wrote beside the same video."""
    size = first["video"]["height"], first["video"]["width"]
    shared = either = 0
    each: list[float] = []
    for one, other in zip(first["frames"], second["frames"], strict=True):
        ones, others = _masks(one, size), _masks(other, size)
        a, b = _union(ones, size), _union(others, size)
        shared, either = shared + int((a & b).sum()), either + int((a | b).sum())
        each += [max((_iou(mask, m) for m in others), default=0.0) for mask in ones]
    return Agreement(shared, either, tuple(each), (len(first["tracks"]), len(second["tracks"])))


def _masks(frame: dict[str, Any], size: tuple[int, int]) -> list[NDArray[np.bool_]]:
    masks = []
    for mark in frame["potholes"]:
        mask = np.zeros(size, np.uint8)
        cv2.fillPoly(mask, [np.reshape(p, (-1, 2)).astype(np.int32) for p in mark["polygons"]], 1)
        masks.append(mask.astype(bool))
    return masks


def _union(masks: list[NDArray[np.bool_]], size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.logical_or.reduce(masks) if masks else np.zeros(size, bool)


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))

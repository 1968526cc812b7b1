"""Targets say what anchors and RoIs learn (arXiv:1506.01497, sec. 3.1.2; arXiv:1703.06870, sec. 3.1).

Legend: B: batch, A: anchors, G: true objects (padded, without area), N: RoIs, M: mini-mask size.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops, random

from pothole.detection.mask_rcnn import boxes
from pothole.detection.mask_rcnn.boxes import Tensor

CELL = 8
"""Pixels, along each axis, of a cell of what is ignored."""


@dataclass(frozen=True)
class Sampling:
    """Sampling says how many examples a picture gives, and from which overlap.

    Attributes:
        anchors: Anchors per picture that the RPN learns from, at most half of them positive.
        anchor_positive_iou: Overlap from which an anchor is positive; the best one of each object always is.
            The paper's 0.7 leaves small, flat potholes with that one alone.
        anchor_negative_iou: Overlap below which it is negative; between the two it is left out.
        rois: RoIs per picture for the box head, at most a quarter positive.
        roi_positive_iou: Overlap from which a RoI is positive.
    """

    anchors: int = 256
    anchor_positive_iou: float = 0.5
    anchor_negative_iou: float = 0.3
    rois: int = 32
    roi_positive_iou: float = 0.5

    @property
    def positive_rois(self) -> int:
        """Return the number of positive RoIs per picture, from which the mask head learns."""
        return self.rois // 4


def sample(
    positive: Tensor,
    negative: Tensor,
    count: int,
    most_positive: int,
    seed: Any,
    hardness: Tensor = 0.0,
) -> tuple[Tensor, Tensor]:
    """Choose `count` rows of each batch item at random, positives first.

    Args:
        positive: `(B, N)` bool.
        negative: `(B, N)` bool.
        count: Rows to choose.
        most_positive: Most of them that are positive; the rest is filled with negatives.
        seed: A `keras.random.SeedGenerator`.
        hardness: `(B, N)` 0..1, added to the dice that negatives are drawn with.

    Returns:
        Row numbers and weights, `(B, most_positive + count)`; the weight is 1 for the chosen rows, else 0.
    """
    count, most_positive = (min(n, positive.shape[1]) for n in (count, most_positive))
    noise = random.uniform(ops.shape(positive), seed=seed)
    first, index = ops.top_k(ops.where(positive, 1.0 + noise, noise * 1e-3), most_positive)
    is_positive = ops.cast(first >= 1.0, "float32")
    second, other = ops.top_k(ops.where(negative, 1.0 + noise + hardness, noise * 1e-3), count)
    # As many negatives as positives left room for.
    room = count - ops.sum(is_positive, axis=1, keepdims=True)
    rank = ops.cumsum(ops.ones_like(second), axis=1)
    is_negative = ops.cast((second >= 1.0) & (rank <= room), "float32")
    return ops.concatenate([index, other], axis=1), ops.concatenate([is_positive, is_negative], axis=1)


def anchor_targets(
    anchors: Tensor,
    truth: Tensor,
    ignored: Tensor,
    box_std: tuple[float, ...],
    sampling: Sampling,
    seed: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Assign anchors to true boxes.

    Args:
        anchors: `(A, 4)`.
        truth: `(B, G, 4)`.
        ignored: See `is_ignored`; an anchor there is no negative.
        box_std: Scale of the deltas.
        sampling: Counts and overlaps.
        seed: A `keras.random.SeedGenerator`.

    Returns:
        Of the sampled anchors: rows `(B, S)`, weights `(B, S)`, positives `(B, S)`, deltas `(B, S, 4)`.
    """
    overlap = boxes.iou(anchors[None], truth)
    best_of_anchor = ops.max(overlap, axis=2)
    best_of_truth = ops.max(overlap, axis=1, keepdims=True)
    is_best = ops.any((overlap >= best_of_truth - 1e-6) & (overlap > 0.05), axis=2)
    positive = (best_of_anchor >= sampling.anchor_positive_iou) | is_best
    negative = (best_of_anchor < sampling.anchor_negative_iou) & ~positive
    negative = negative & ~is_ignored(anchors[None], ignored)
    index, weights = sample(positive, negative, sampling.anchors, sampling.anchors // 2, seed)
    positives = ops.cast(boxes.take(positive, index), "float32") * weights
    matched = boxes.take(truth, ops.argmax(boxes.take(overlap, index), axis=2))
    deltas = boxes.encode(matched, ops.take(anchors, index, axis=0), box_std)
    return index, weights, positives, deltas


def roi_targets(
    proposals: Tensor,
    scores: Tensor,
    truth: Tensor,
    classes: Tensor,
    ignored: Tensor,
    box_std: tuple[float, ...],
    sampling: Sampling,
    seed: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Choose RoIs, the true boxes themselves among them, and assign them to true objects.

    Args:
        proposals: `(B, P, 4)`; rows without area are left out.
        scores: `(B, P)` 0..1, how much the box head takes each for an object: negatives that it mistakes are
            drawn rather than others (online hard example mining, arXiv:1604.03540).
        truth: `(B, G, 4)`.
        classes: `(B, G)` int from 1; 0 pads.
        ignored: See `is_ignored`; a RoI there is no negative.
        box_std: Scale of the deltas.
        sampling: Counts and overlaps.
        seed: A `keras.random.SeedGenerator`.

    Returns:
        RoIs `(B, N, 4)`, only the first `sampling.positive_rois` of which may be positive; weights
        `(B, N)`; classes `(B, N)`, 0 for background; deltas `(B, N, 4)`; matched objects `(B, N)`.
    """
    rois = ops.concatenate([proposals, truth], axis=1)
    overlap = boxes.iou(rois, truth)
    best = ops.max(overlap, axis=2)
    real = boxes.area(rois) > 0.0
    positive = (best >= sampling.roi_positive_iou) & real
    hardness = ops.concatenate([scores, ops.zeros_like(truth[..., 0])], axis=1)
    negative = ~positive & real & ~is_ignored(rois, ignored)
    index, weights = sample(positive, negative, sampling.rois, sampling.positive_rois, seed, hardness)
    rois = boxes.take(rois, index)
    match = ops.argmax(boxes.take(overlap, index), axis=2)
    is_positive = boxes.take(positive, index)
    roi_classes = ops.where(is_positive, boxes.take(classes, match), 0)
    deltas = boxes.encode(boxes.take(truth, match), rois, box_std)
    return rois, weights, roi_classes, deltas, match


def is_ignored(rois: Tensor, ignored: Tensor) -> Tensor:
    """Say which boxes have their middle where a mark is neither right nor wrong.

    Args:
        rois: `(B, N, 4)` in pixels, or `(1, N, 4)` for the same in each picture.
        ignored: `(B, rows, columns)` 0/1, over square cells of `CELL` pixels.

    Returns:
        `(B, N)` bool.
    """
    rows, columns = ignored.shape[1:]
    x = ops.cast((rois[..., 0] + rois[..., 2]) / (2.0 * CELL), "int32")
    y = ops.cast((rois[..., 1] + rois[..., 3]) / (2.0 * CELL), "int32")
    cell = ops.clip(y, 0, rows - 1) * columns + ops.clip(x, 0, columns - 1)
    flat = ops.reshape(ignored, (-1, rows * columns))
    if cell.shape[0] == 1:
        return ops.take(flat, cell[0], axis=1) > 0
    return ops.take_along_axis(flat, cell, axis=1) > 0


def mask_targets(rois: Tensor, match: Tensor, truth: Tensor, mini_masks: Tensor, size: int) -> Tensor:
    """Cut each RoI's window out of its object's mask.

    The sampling is bilinear and separable: a hat function per axis, so a pair of small matrix products.

    Args:
        rois: `(B, N, 4)`.
        match: `(B, N)` object of each RoI.
        truth: `(B, G, 4)`.
        mini_masks: `(B, G, M, M)` 0..1, each over its true box.
        size: Edge of the targets.

    Returns:
        `(B, N, size, size)` 0 or 1.
    """
    mini = mini_masks.shape[-1]
    box = boxes.take(truth, match)
    masks = ops.cast(boxes.take(mini_masks, match), rois.dtype)
    inside = (ops.arange(size, dtype=rois.dtype) + 0.5) / size
    cells = ops.arange(mini, dtype=rois.dtype)

    def hat(low: Tensor, high: Tensor, box_low: Tensor, box_high: Tensor) -> Tensor:
        at = low[..., None] + (high - low)[..., None] * inside
        scale = mini / ops.maximum(box_high - box_low, 1e-3)
        at = (at - box_low[..., None]) * scale[..., None] - 0.5
        return ops.maximum(1.0 - ops.abs(at[..., :, None] - cells), 0.0)

    rows = hat(rois[..., 1], rois[..., 3], box[..., 1], box[..., 3])
    columns = hat(rois[..., 0], rois[..., 2], box[..., 0], box[..., 2])
    cut = ops.matmul(ops.matmul(rows, masks), ops.swapaxes(columns, -1, -2))
    return ops.cast(cut >= 0.5, "float32")

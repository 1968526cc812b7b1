"""This module codes boxes relative to a reference, measures overlaps, and drops doubles.

Legend: B: batch, N, M: boxes. Boxes are `xyxy` in the configuration's `box_units`. Deltas are
`(dx, dy, dw, dh)` as in Fast R-CNN (Girshick, 2015, arXiv:1504.08083), divided by their standard deviation.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any

MAX_LOG_SCALE = math.log(1000.0 / 16.0)
"""Largest dw, dh that is decoded, so that an untrained head cannot overflow `exp` (Detectron's bound)."""

MAX_PAIRS = 1000
"""Boxes up to which NMS compares all pairs at once: their number grows with the square."""


def encode(boxes: Tensor, reference: Tensor, box_std: tuple[float, ...]) -> Tensor:
    """Return the deltas that turn `reference` into `boxes`; both `(…, N, 4)`."""
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    ref_width, ref_height = reference[..., 2] - reference[..., 0], reference[..., 3] - reference[..., 1]
    # A padded box has no area; its deltas are not used, but must stay finite or gradients turn NaN.
    width, height = ops.maximum(width, 1e-3), ops.maximum(height, 1e-3)
    ref_width, ref_height = ops.maximum(ref_width, 1e-3), ops.maximum(ref_height, 1e-3)
    dx = (boxes[..., 0] + boxes[..., 2] - reference[..., 0] - reference[..., 2]) / (2.0 * ref_width)
    dy = (boxes[..., 1] + boxes[..., 3] - reference[..., 1] - reference[..., 3]) / (2.0 * ref_height)
    deltas = ops.stack([dx, dy, ops.log(width / ref_width), ops.log(height / ref_height)], axis=-1)
    return deltas / ops.convert_to_tensor(box_std, dtype=deltas.dtype)


def decode(deltas: Tensor, reference: Tensor, box_std: tuple[float, ...]) -> Tensor:
    """Apply deltas to `reference`, the inverse of `encode`; both `(…, N, 4)`."""
    deltas = deltas * ops.convert_to_tensor(box_std, dtype=deltas.dtype)
    ref_width, ref_height = reference[..., 2] - reference[..., 0], reference[..., 3] - reference[..., 1]
    x = (reference[..., 0] + reference[..., 2]) / 2.0 + deltas[..., 0] * ref_width
    y = (reference[..., 1] + reference[..., 3]) / 2.0 + deltas[..., 1] * ref_height
    half_width = ref_width * ops.exp(ops.minimum(deltas[..., 2], MAX_LOG_SCALE)) / 2.0
    half_height = ref_height * ops.exp(ops.minimum(deltas[..., 3], MAX_LOG_SCALE)) / 2.0
    return ops.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=-1)


def clip(boxes: Tensor, limits: Tensor) -> Tensor:
    """Cut boxes `(…, 4)` at the edges of others, `(…, 4)` or one `(4,)`."""
    low = ops.take(limits, np.array([0, 1, 0, 1]), axis=-1)
    high = ops.take(limits, np.array([2, 3, 2, 3]), axis=-1)
    return ops.minimum(ops.maximum(boxes, low), high)


def area(boxes: Tensor) -> Tensor:
    """Return the areas of `(…, 4)` boxes, shape `(…,)`; 0 for an inside-out box."""
    width = ops.maximum(boxes[..., 2] - boxes[..., 0], 0.0)
    return width * ops.maximum(boxes[..., 3] - boxes[..., 1], 0.0)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the overlap (intersection over union) of all pairs, `(…, N, 4)`, `(…, M, 4)` → `(…, N, M)`."""
    a4, b4 = a[..., :, None, :], b[..., None, :, :]
    width = ops.minimum(a4[..., 2], b4[..., 2]) - ops.maximum(a4[..., 0], b4[..., 0])
    height = ops.minimum(a4[..., 3], b4[..., 3]) - ops.maximum(a4[..., 1], b4[..., 1])
    intersection = ops.maximum(width, 0.0) * ops.maximum(height, 0.0)
    union = area(a)[..., :, None] + area(b)[..., None, :] - intersection
    return intersection / ops.maximum(union, 1e-12)


def nms_keep(boxes: Tensor, iou_threshold: float, classes: Tensor = None, most: int | None = None) -> Tensor:
    """Suppress all but the best of boxes that overlap, greedily, with static shapes (NMS).

    A box stays if no better box that itself stays overlaps it. Starting from "all stay", that rule applied
    over and over settles on the greedy answer from the best box down; chains of overlaps are short, so a few
    rounds of one matrix product do what the sequential loop does in N steps.

    Args:
        boxes: `(B, N, 4)`, best first.
        iou_threshold: Overlap above which the lower box is dropped.
        classes: `(B, N)`; boxes of different classes do not drop each other.
        most: How many boxes the caller takes; further ones may be missing.

    Returns:
        `(B, N)` bool.
    """
    count = boxes.shape[-2]
    if count > MAX_PAIRS and classes is None and keras.backend.backend() == "tensorflow":
        return _nms_keep_one_by_one(boxes, iou_threshold, most or count)
    better = ops.triu(ops.ones((count, count), dtype="float32"), k=1)
    suppresses = ops.cast(iou(boxes, boxes) > iou_threshold, "float32") * better
    if classes is not None:
        suppresses = suppresses * ops.cast(classes[..., :, None] == classes[..., None, :], "float32")

    def step(keep: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        suppressed = ops.matmul(keep[:, None, :], suppresses)[:, 0, :]
        after = ops.cast(suppressed < 0.5, "float32")
        return after, ops.any(after != keep)

    keep = ops.ones_like(boxes[..., 0])
    keep, _ = ops.while_loop(
        lambda _, changed: changed, step, (keep, ops.any(keep > 0)), maximum_iterations=count
    )
    return keep > 0.5


def _nms_keep_one_by_one(boxes: Tensor, iou_threshold: float, most: int) -> Tensor:
    """Do the same with TensorFlow's own operation: 6,000 boxes in 20 ms, where all pairs take a second."""
    import tensorflow as tf  # noqa: PLC0415

    count = boxes.shape[-2]
    in_order = -np.arange(count, dtype=np.float32)

    def keep_of(one: Tensor) -> Tensor:
        index = tf.image.non_max_suppression(one, in_order, most, iou_threshold)
        return tf.scatter_nd(index[:, None], tf.ones_like(index, tf.bool), [count])

    if boxes.shape[0] == 1:  # as when it is exported, where OpenVINO cannot convert the loop
        return keep_of(boxes[0])[None]
    return tf.map_fn(keep_of, boxes, fn_output_signature=tf.TensorSpec([count], tf.bool))


def best(scores: Tensor, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the `count` best scores `(B, count)`, and the rows of each `(B, N, …)` tensor that have them."""
    scores, index = ops.top_k(scores, count)
    return (scores, *(take(t, index) for t in tensors))


def take(tensor: Tensor, index: Tensor) -> Tensor:
    """Pick rows per batch item: `(B, N, …)`, `(B, M)` → `(B, M, …)`."""
    extra = len(tensor.shape) - 2
    return ops.take_along_axis(tensor, ops.reshape(index, (*_shape(index), *(1,) * extra)), axis=1)


def _shape(tensor: Tensor) -> tuple[Any, ...]:
    return tuple(ops.shape(tensor))

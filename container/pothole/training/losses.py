"""These are the losses of Faster and Mask R-CNN (arXiv:1506.01497, eq. 1; arXiv:1703.06870, sec. 3).

Each is a mean over what was sampled, weights 0 or 1 marking what counts; none divides by zero.
"""

from keras import ops

from pothole.detection.mask_rcnn.boxes import Tensor


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of `values` where `weights` is 1; 0 when nothing counts."""
    return ops.sum(values * weights) / ops.maximum(ops.sum(weights), 1.0)


def binary_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the cross entropy of sigmoids, for logits, targets 0..1 and weights of one shape."""
    values = ops.maximum(logits, 0.0) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
    return weighted_mean(values, weights)


def cross_entropy(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Return the cross entropy of a softmax, for logits `(…, K)`, classes `(…)` int and weights `(…)`."""
    log_probabilities = ops.log_softmax(logits, axis=-1)
    chosen = ops.take_along_axis(log_probabilities, classes[..., None], axis=-1)[..., 0]
    return weighted_mean(-chosen, weights)


def smooth_l1(
    deltas: Tensor, targets: Tensor, positive: Tensor, sampled: Tensor, beta: float = 1.0
) -> Tensor:
    """Return the loss of the boxes: the sum over positives over the number sampled, as in Faster R-CNN.

    Args:
        deltas: `(…, 4)`, in units of `box_std`.
        targets: `(…, 4)`.
        positive: `(…)` 1 where a target counts.
        sampled: `(…)` 1 where classification counts.
        beta: Where the square turns into a line.
    """
    error = ops.abs(deltas - targets)
    values = ops.where(error < beta, 0.5 * error * error / beta, error - 0.5 * beta)
    return ops.sum(ops.sum(values, axis=-1) * positive) / ops.maximum(ops.sum(sampled), 1.0)

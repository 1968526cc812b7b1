"""A detection's score combines the box head's score with how sure the mask head is of the outline.

The box head says how likely there is an object, not how well it is outlined (Mask Scoring R-CNN,
arXiv:1903.00241, sec. 3.1, trains a head for that). A mask of probabilities says the latter by itself: of one
with a sharp edge little is expected to be wrong.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.config import MaskRCNNConfig

Scores = NDArray[np.float32]
NEAR = 1e-6  # nearest to 0 and 1 that a score is taken for, so that its logarithm is finite


def final_scores(scores: Scores, masks: NDArray[np.float32], config: MaskRCNNConfig) -> Scores:
    """Return the scores of detections.

    Args:
        scores: `(N,)` of the box head, 0..1.
        masks: `(N, size, size)` probabilities.
        config: `mask_quality_power`, `calibration`.

    Returns:
        `(N,)` 0..1, none higher than `calibrated` makes the box head's.
    """
    if config.mask_quality_power:
        scores = scores * expected_iou(masks) ** config.mask_quality_power
    return np.asarray(calibrated(scores, config), np.float32)


def expected_iou(masks: NDArray[np.float32]) -> Scores:
    """Return how much masks `(N, size, size)`, cut at one half, are expected to overlap with the truth.

    That is the expected number of pixels in both over that in either, each an object's with its probability.
    """
    inside = masks >= 0.5
    both = np.where(inside, masks, 0.0).sum(axis=(1, 2))
    either = np.where(inside, 1.0, masks).sum(axis=(1, 2))
    return np.asarray(both / np.maximum(either, NEAR), np.float32)


def calibrated(scores: Any, config: MaskRCNNConfig) -> Any:
    """Return scores as probabilities, by the line that `calibration` draws over their logits."""
    if config.calibration is None:
        return scores
    slope, offset = config.calibration
    return _sigmoid(slope * _logit(scores) + offset)


def box_score_threshold(threshold: float, config: MaskRCNNConfig) -> float:
    """Return the box head's score from which on a detection may reach a score threshold."""
    if config.calibration is None or threshold <= 0.0:
        return threshold
    slope, offset = config.calibration
    return float(_sigmoid((_logit(threshold) - offset) / slope))


def _logit(score: Any) -> Any:
    limited = np.clip(score, NEAR, 1.0 - NEAR)
    return np.log(limited / (1.0 - limited))


def _sigmoid(logit: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-logit))

"""Calibration makes scores mean something: of the marks with a score of 0.7 seven in ten are potholes.

A line over the logits of the scores is fitted by maximum likelihood (Platt, 1999, Probabilistic Outputs for
Support Vector Machines; with an offset of 0 it is temperature scaling). It changes no order, so no AP.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.scores import calibrated
from pothole.errors import RequestError
from pothole.training.comparison import Match
from pothole.training.operating_point import rounded_up

BINS = 10
LEAST_SURE = 0.1
"""Lowest score that counts in `calibration_error`: below are nine in ten marks, and nobody sees them."""


def fit_calibration(matches: Sequence[Match]) -> list[float] | None:
    """Fit the line that makes scores the share of potholes among the marks that have them.

    Returns:
        Slope and offset of `MaskRCNNConfig.calibration`; None where there are no marks that are right, none
        that are wrong, or higher scores are no better.
    """
    scores, right = _marks(matches)
    if not 0 < right.sum() < len(right):
        return None
    limited = np.clip(scores, 1e-6, 1.0 - 1e-6)
    design = np.stack([np.log(limited / (1.0 - limited)), np.ones(len(limited))], axis=1)
    # Platt's targets instead of 0 and 1 keep the line finite where scores tell right from wrong.
    wanted = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1.0 / ((~right).sum() + 2))
    line = np.array([1.0, 0.0])
    for _ in range(100):
        probability = 1.0 / (1.0 + np.exp(-np.clip(design @ line, -30.0, 30.0)))
        gradient = design.T @ (probability - wanted)
        curvature = (design * (probability * (1.0 - probability))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        line = line - step / max(1.0, float(np.abs(step).max()))
    slope, offset = (round(float(value), 4) for value in line)
    return [slope, offset] if slope > 0.0 else None


def calibration_error(matches: Sequence[Match]) -> float | None:
    """Return how far scores are from the share of potholes, on average over marks from `LEAST_SURE` on.

    In bins of a tenth (expected calibration error; Guo et al., 2017, arXiv:1706.04599, sec. 2).
    """
    scores, right = _marks(matches)
    scores, right = scores[scores >= LEAST_SURE], right[scores >= LEAST_SURE]
    if not len(scores):
        return None
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = [abs(float(scores[bins == b].sum() - right[bins == b].sum())) for b in range(BINS)]
    return round(sum(gaps) / len(scores), 4)


def chosen(config: MaskRCNNConfig, figures: dict[str, Any]) -> MaskRCNNConfig:
    """Return a configuration with the calibration and the score thresholds that figures recommend.

    Args:
        config: That of the detector that the figures are of.
        figures: Of an `Evaluation`.

    Raises:
        RequestError: The pictures do not allow any.
    """
    line, thresholds = figures["calibration"], figures["sensitivities"]
    if line is None or None in thresholds.values():
        raise RequestError(
            "Scores cannot be calibrated on these pictures.",
            "Take some with potholes, and some without any on which something is marked.",
        )
    slope, offset = line
    before = config.calibration or (1.0, 0.0)
    now = replace(config, calibration=(slope, offset))
    low, normal, high = (
        rounded_up(float(calibrated(thresholds[name], now))) for name in ("low", "normal", "high")
    )
    return replace(
        config,
        calibration=(slope * before[0], slope * before[1] + offset),
        min_confidence=normal,
        min_confidence_low=low,
        min_confidence_high=high,
    )


def _marks(matches: Sequence[Match]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores of detections, and which of them are potholes."""
    marks = [m for m in matches if m.detection is not None]
    return np.array([m.score for m in marks], float), np.array([m.truth is not None for m in marks], bool)

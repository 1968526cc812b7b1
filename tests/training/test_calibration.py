from dataclasses import replace

import numpy as np
import pytest

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.scores import calibrated
from pothole.errors import RequestError
from pothole.training.calibration import calibration_error, chosen, fit_calibration
from pothole.training.comparison import Match


def marks(scores, right):
    return [
        Match(1, n, n if r else None, float(s), 9.0)
        for n, (s, r) in enumerate(zip(scores, right, strict=True))
    ]


def overconfident(count=40_000):
    """Marks whose logits are twice what they should be, and one too high."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0.0, 1.5, count)
    right = rng.uniform(size=count) < 1.0 / (1.0 + np.exp(-logits))
    return 1.0 / (1.0 + np.exp(-(2.0 * logits + 1.0))), right


def test_a_calibrated_score_is_the_share_of_potholes():
    scores, right = overconfident()
    line = fit_calibration(marks(scores, right))
    assert line == [round(value, 4) for value in line], "a configuration is for people, too"
    assert line == pytest.approx([0.5, -0.5], abs=0.06)
    after = calibrated(scores, MaskRCNNConfig(calibration=tuple(line)))
    assert calibration_error(marks(scores, right)) > 0.1 > 0.03 > calibration_error(marks(after, right))
    assert (np.argsort(after) == np.argsort(scores)).all()


def test_scores_that_tell_nothing_or_everything_give_no_line_or_a_finite_one():
    assert fit_calibration([]) is None and calibration_error([]) is None
    assert fit_calibration(marks([0.9, 0.8], [True, True])) is None
    assert fit_calibration(marks([0.9, 0.2, 0.1], [False, True, True])) is None
    assert np.isfinite(fit_calibration(marks([0.9, 0.8, 0.2, 0.1], [True, True, False, False]))).all()


def test_thresholds_are_chosen_on_the_new_scores():
    figures = {"calibration": [2.0, -1.0], "sensitivities": {"low": 0.9, "normal": 0.7, "high": 0.3}}
    config = chosen(MaskRCNNConfig(), figures)
    assert config.calibration == (2.0, -1.0)
    assert (config.min_confidence_low, config.min_confidence, config.min_confidence_high) == (
        0.97,
        0.67,
        0.07,
    )
    again = chosen(config, figures)  # the figures are of scores that the first line had made
    assert again.calibration == (4.0, -3.0) and again.min_confidence == 0.67
    for missing in ({"calibration": None}, {"sensitivities": {"low": None, "normal": None, "high": None}}):
        with pytest.raises(RequestError, match="cannot be calibrated"):
            chosen(replace(config), figures | missing)

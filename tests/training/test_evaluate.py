from dataclasses import replace

import numpy as np
import pytest

from datasets import write_dataset
from pothole.detections import Detections
from pothole.training.evaluate import evaluate, operating_point


class Oracle:
    """Knows the white patch; finds one on the pictures without any when asked for low scores."""

    name = "oracle"
    min_confidence = 0.5

    def __init__(self, score_of_false=0.3, shift=0):
        self.score_of_false = score_of_false
        self.shift = shift

    def predict(self, images, min_confidence=None):
        return [self._detect(image) for image in images]

    def _detect(self, image):
        rows, columns = np.nonzero(image[..., 0] > 128)
        if len(rows):
            box, score = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), 0.9
        else:
            box, score = (0, 0, 10, 10), self.score_of_false
        left, top, right, bottom = np.add(box, (self.shift, 0, self.shift, 0))
        return Detections(
            (image.shape[0], image.shape[1]),
            np.array([[left, top, right, bottom]], np.float32),
            np.array([score], np.float32),
            (np.ones((bottom - top, right - left), bool),),
        )


def test_a_perfect_detector_scores_one(tmp_path):
    figures = evaluate(Oracle(), write_dataset(tmp_path))
    assert [figures[k] for k in ("mask_ap", "mask_ap50", "box_ap", "box_ap50")] == [1.0] * 4
    assert figures["false_positives_per_negative_image"] == 0.0
    assert set(figures["by_source"]) == {"a", "b"}
    assert figures["by_source"]["a"]["instances"] == 2


def test_a_detector_that_is_off_passes_at_half_overlap_only(tmp_path):
    figures = evaluate(Oracle(shift=8), write_dataset(tmp_path))  # 22 of 38 columns shared: overlap 0.58
    assert figures["mask_ap50"] == 1.0 and figures["mask_ap"] == pytest.approx(0.2, abs=0.01)


def test_false_positives_count_from_the_default_confidence(tmp_path):
    figures = evaluate(Oracle(score_of_false=0.6), write_dataset(tmp_path))
    assert figures["false_positives_per_negative_image"] == 1.0


def test_the_default_confidence_is_just_above_what_negatives_may_not_show():
    annotations = {"images": [{"id": i} for i in range(41)], "annotations": [{"image_id": 40}]}
    one = Oracle().predict([np.zeros((20, 20, 3), np.uint8)])[0]
    found = [(i, replace(one, scores=np.array([i / 100], np.float32))) for i in range(41)]
    # Of 40 negative pictures two may be marked: those that score 0.39 and 0.38.
    assert operating_point(annotations, found) == 0.38
    assert operating_point({**annotations, "images": [{"id": 40}]}, found) is None
    sure = [(i, replace(d, scores=np.ones(1, np.float32))) for i, d in found]
    assert operating_point(annotations, sure) == 0.99

import numpy as np
import pytest

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.scores import box_score_threshold, calibrated, expected_iou, final_scores
from pothole.detection.mask_rcnn_detector import MaskRCNNDetector
from pothole.detection.runtimes.network import NetworkOutputs
from pothole.errors import ModelError

SHARP = np.zeros((4, 4), np.float32)
SHARP[:2] = 1.0
BLURRED = np.full((4, 4), 0.25, np.float32)
BLURRED[:2] = 0.75
NOTHING = np.zeros((4, 4), np.float32)
MASKS = np.stack([SHARP, BLURRED, NOTHING])


def test_a_mask_with_a_sharp_edge_is_expected_to_overlap_more():
    # Of the blurred one's 8 pixels inside 6 are expected to be the object's, and 2 of the 8 outside.
    assert expected_iou(MASKS) == pytest.approx([1.0, 6 / 10, 0.0])


def test_the_masks_quality_goes_into_the_score_by_its_power():
    scores = np.array([0.5, 0.5, 0.5], np.float32)
    assert final_scores(scores, MASKS, MaskRCNNConfig()).tolist() == [0.5, 0.5, 0.5]
    found = final_scores(scores, MASKS, MaskRCNNConfig(mask_quality_power=2.0))
    assert found == pytest.approx([0.5, 0.5 * 0.36, 0.0]) and found.dtype == np.float32
    assert final_scores(scores[:0], MASKS[:0], MaskRCNNConfig(mask_quality_power=2.0)).shape == (0,)


def test_no_detection_reaches_a_threshold_from_below_the_box_score_threshold():
    config = MaskRCNNConfig(mask_quality_power=2.0, calibration=(2.0, -0.5))
    scores = np.linspace(0.0, 1.0, 1001).astype(np.float32)
    best = final_scores(scores, np.repeat(SHARP[None], 1001, axis=0), config)
    assert (np.diff(best) >= 0).all() and best[0] < 1e-6 and best[-1] > 1 - 1e-6
    for threshold in (0.1, 0.5, 0.9):
        box_threshold = box_score_threshold(threshold, config)
        assert calibrated(box_threshold, config) == pytest.approx(threshold)
        assert scores[best >= threshold].min() == pytest.approx(box_threshold, abs=1.1e-3)
    assert box_score_threshold(0.3, MaskRCNNConfig()) == 0.3 and box_score_threshold(0.0, config) == 0.0


class Network:
    """Answers with three boxes, best first, and remembers which score it was asked for."""

    def __init__(self, config):
        self.config = config

    def find(self, batch, limits, score_threshold):
        self.asked = score_threshold
        boxes = np.array([[[0, 0, 8, 8], [8, 0, 16, 8], [16, 0, 24, 8]]], np.float32)
        scores, classes = np.array([[0.9, 0.8, 0.7]], np.float32), np.ones((1, 3), np.int32)
        masks = np.stack([np.where(BLURRED > 0.5, 0.9, 0.1), SHARP, BLURRED])[None].astype(np.float32)
        return NetworkOutputs(boxes, scores, classes, masks)


def detected(min_confidence, **values):
    network = Network(MaskRCNNConfig(image_size=(32, 32), **values))
    [found] = MaskRCNNDetector(network).predict([np.zeros((32, 32, 3), np.uint8)], min_confidence)
    return found.boxes[:, 0].tolist(), found.scores.tolist(), network.asked


def test_detections_are_sorted_and_cut_by_their_final_score():
    assert detected(0.75) == ([0.0, 8.0], pytest.approx([0.9, 0.8]), 0.75)
    lefts, scores, asked = detected(0.6, mask_quality_power=2.0)  # 0.9 becomes 0.9 * (7.2 / 8.8) ** 2
    assert (lefts, scores, asked) == ([8.0, 0.0], pytest.approx([0.8, 0.6025], abs=1e-4), 0.6)
    _, scores, asked = detected(0.5, calibration=(2.0, -1.0))
    assert asked == pytest.approx(1 / (1 + np.exp(-0.5))) and scores[0] == pytest.approx(0.9675, abs=1e-4)


def test_sensitivities_are_the_thresholds_that_the_model_has():
    config = MaskRCNNConfig(min_confidence=0.6, min_confidence_high=0.3)
    assert MaskRCNNDetector(Network(config)).sensitivities == {"normal": 0.6, "high": 0.3}


def test_a_calibration_that_turns_scores_around_is_refused():
    with pytest.raises(ModelError, match="a slope above 0"):
        MaskRCNNConfig(calibration=(-1.0, 0.0))

from dataclasses import replace

import keras
import numpy as np
import pytest

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.fpn import FPN
from pothole.detection.mask_rcnn.heads import BoxHead, MaskHead
from pothole.detection.mask_rcnn.paste import paste_masks
from pothole.detection.mask_rcnn.postprocess import detect
from pothole.detection.mask_rcnn.rpn import RPNHead, propose
from pothole.detections import Detections

CONFIG = MaskRCNNConfig(image_size=(100, 100), pre_nms=4, proposals=3, detections=3)
LIMITS = np.array([0, 0, 100, 100], np.float32)


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


def test_the_pyramid_has_the_sizes_of_the_stages_and_one_more():
    fpn = FPN(8)
    sizes = [(1, 16, 24, 5), (1, 8, 12, 6), (1, 4, 6, 7)]
    fpn.build(sizes)
    levels = fpn([np.ones(size, np.float32) for size in sizes])
    assert [tuple(level.shape) for level in levels] == [
        (1, 16, 24, 8),
        (1, 8, 12, 8),
        (1, 4, 6, 8),
        (1, 2, 3, 8),
    ]


def test_a_coarse_stage_reaches_the_finest_level():
    fpn = FPN(4)
    sizes = [(1, 8, 8, 3), (1, 4, 4, 3)]
    fpn.build(sizes)
    quiet = [np.zeros(size, np.float32) for size in sizes]
    loud = [quiet[0], np.ones(sizes[1], np.float32)]
    assert not np.allclose(to_numpy(fpn(quiet)[0]), to_numpy(fpn(loud)[0]))


def test_the_rpn_head_answers_in_the_order_of_the_anchors():
    head = RPNHead(4, 2)
    levels = [np.zeros((1, 2, 3, 4), np.float32), np.zeros((1, 1, 2, 4), np.float32)]
    levels[0][0, 1, 0] = 1.0  # second row, first column
    head.build([level.shape for level in levels])
    head.shared.pointwise_kernel.assign(np.ones(head.shared.pointwise_kernel.shape))
    depthwise = np.zeros(head.shared.depthwise_kernel.shape)
    depthwise[1, 1] = 1.0
    head.shared.depthwise_kernel.assign(depthwise)
    head.objectness.kernel.assign(np.ones(head.objectness.kernel.shape))
    logits, deltas = head(levels)
    assert np.flatnonzero(to_numpy(logits)[0]).tolist() == [6, 7]  # cell 3, both of its anchors
    assert tuple(deltas.shape) == (1, 16, 4)


def test_proposals_are_the_best_without_doubles_inside_the_picture():
    anchors = np.array(
        [[0, 0, 50, 50], [1, 1, 50, 50], [60, 60, 120, 120], [0, 60, 20, 80], [80, 0, 90, 10]], np.float32
    )
    logits = np.array([[3.0, 4.0, 1.0, -5.0, 2.0]], np.float32)
    rois = to_numpy(propose(logits, np.zeros((1, 5, 4), np.float32), anchors, CONFIG.image_size, CONFIG))[0]
    assert rois == pytest.approx(np.array([[1, 1, 50, 50], [80, 0, 90, 10], [60, 60, 100, 100]]), abs=1e-4)


def test_missing_proposals_are_zero():
    anchors = np.array([[0, 0, 50, 50]] * 5, np.float32)
    rois = to_numpy(
        propose(
            np.zeros((1, 5), np.float32), np.zeros((1, 5, 4), np.float32), anchors, CONFIG.image_size, CONFIG
        )
    )[0]
    assert rois[0] == pytest.approx([0, 0, 50, 50]) and (rois[1:] == 0).all()


def test_heads_give_one_answer_per_roi():
    pooled = np.random.default_rng(0).normal(size=(2, 3, 7, 7, 4)).astype(np.float32)
    head = BoxHead(16, 2)
    head.build(pooled.shape)
    logits, deltas = head(pooled)
    assert tuple(logits.shape) == (2, 3, 2) and tuple(deltas.shape) == (2, 3, 2, 4)
    masks = MaskHead(8, 2, 2)
    masks.build(pooled.shape)
    assert tuple(masks(pooled).shape) == (2, 3, 14, 14, 1)
    alone = to_numpy(head(pooled[1:, 2:])[0])
    assert to_numpy(logits)[1, 2] == pytest.approx(alone[0, 0], abs=1e-5)


def test_detections_are_refined_by_the_deltas_of_their_class():
    rois = np.array([[[10, 10, 30, 30], [11, 10, 31, 30], [60, 60, 80, 80], [0, 0, 0, 0]]], np.float32)
    logits = np.array([[[0, 2], [0, 3], [0, 1], [0, 9]]], np.float32)
    deltas = np.zeros((1, 4, 2, 4), np.float32)
    deltas[0, 2, 1] = [5.0, 0, 0, 0]  # half a width to the right
    deltas[0, 2, 0] = [-50.0, 0, 0, 0]  # background's, to be ignored
    boxes, scores, classes = (to_numpy(x)[0] for x in detect(rois, logits, deltas, LIMITS, CONFIG))
    assert boxes[:2] == pytest.approx(np.array([[11, 10, 31, 30], [70, 60, 90, 80]]), abs=1e-3)
    assert scores == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-1)), 0.0], abs=1e-5)
    assert classes[:2].tolist() == [1, 1]


def test_background_may_win_and_empty_rois_may_count():
    rois = np.array([[[10, 10, 30, 30], [60, 60, 80, 80], [0, 0, 0, 0]]], np.float32)
    logits, deltas = np.array([[[0, 2], [2, 0], [0, 1]]], np.float32), np.zeros((1, 3, 2, 4), np.float32)

    def scores(**changes):
        return to_numpy(detect(rois, logits, deltas, LIMITS, replace(CONFIG, **changes))[1])[0]

    likely, unlikely, empty = (1 / (1 + np.exp(-x)) for x in (2, -2, 1))
    assert scores() == pytest.approx([likely, unlikely, 0.0], abs=1e-5)
    assert scores(background_wins=True) == pytest.approx([likely, 0.0, 0.0], abs=1e-5)
    assert scores(keep_empty_rois=True) == pytest.approx([likely, empty, unlikely], abs=1e-5)


def test_each_picture_has_its_own_limits():
    rois = np.array([[[10, 10, 90, 90]], [[10, 10, 90, 90]]], np.float32)
    logits, deltas = np.array([[[0, 2]], [[0, 2]]], np.float32), np.zeros((2, 1, 2, 4), np.float32)
    within = np.array([[[0, 20, 100, 80]], [[0, 0, 100, 100]]], np.float32)
    found = to_numpy(detect(rois, logits, deltas, within, CONFIG)[0])
    assert found[:, 0].tolist() == [[10, 20, 90, 80], [10, 10, 90, 90]]


def pasted(boxes, scores, masks, image_size, border="repeat"):
    """Masks of the only class, pasted."""
    classes = np.ones(len(scores), np.int32)
    return paste_masks(boxes, scores, masks.astype(np.float32), classes, ("pothole",), image_size, border)


def test_a_mask_may_fade_out_at_its_border():
    box, score, full = np.array([[0, 0, 40, 40]], np.float32), np.ones(1, np.float32), np.full((1, 4, 4), 0.8)
    repeated = pasted(box, score, full, (60, 60)).masks[0]
    faded = pasted(box, score, full, (60, 60), "zero").masks[0]
    assert repeated.all()
    # A cell is ten pixels; 0.8 falls below one half where less than 0.625 of the weight is inside.
    assert faded[2:-2, 10:-10].all() and faded[10:-10, 2:-2].all()
    assert not faded[[0, -1]].any() and not faded[:, [0, -1]].any()


def test_a_mask_lands_on_its_pixels():
    mask = np.zeros((1, 4, 4), np.float32)
    mask[0, :, :2] = 1.0  # left half
    found = pasted(
        np.array([[10, 20, 50, 40]], np.float32), np.array([0.9], np.float32), mask, image_size=(60, 100)
    )
    assert isinstance(found, Detections)
    assert found.masks[0].shape == (20, 40)
    assert found.masks[0][:, :20].all() and not found.masks[0][:, 20:].any()


def test_a_box_past_the_edge_is_cut_and_one_outside_dropped():
    boxes = np.array([[-10, -10, 10, 10], [200, 200, 220, 220]], np.float32)
    found = pasted(boxes, np.ones(2, np.float32), np.ones((2, 4, 4), np.float32), image_size=(60, 100))
    assert found.boxes.tolist() == [[0, 0, 10, 10]] and found.masks[0].shape == (10, 10)

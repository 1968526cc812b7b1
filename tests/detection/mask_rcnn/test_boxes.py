import keras
import numpy as np
import pytest

from pothole.detection.mask_rcnn import boxes

STD = (0.1, 0.1, 0.2, 0.2)


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


def test_deltas_are_the_shift_of_the_centre_and_the_log_of_the_scale():
    reference = np.array([[10.0, 20.0, 30.0, 60.0]], np.float32)  # 20 × 40 around (20, 40)
    box = np.array([[14.0, 20.0, 54.0, 60.0]], np.float32)  # 40 × 40 around (34, 40)
    deltas = to_numpy(boxes.encode(box, reference, STD))
    assert deltas[0] == pytest.approx([14 / 20 / 0.1, 0.0, np.log(2) / 0.2, 0.0], abs=1e-5)


def test_decode_inverts_encode():
    rng = np.random.default_rng(1)
    low, size = rng.uniform(0, 100, (2, 50, 2)), rng.uniform(1, 50, (2, 50, 2))
    reference, box = np.concatenate([low, low + size], axis=-1).astype(np.float32)
    decoded = to_numpy(boxes.decode(boxes.encode(box, reference, STD), reference, STD))
    assert decoded == pytest.approx(box, abs=1e-3)


def test_a_wild_delta_stays_finite():
    deltas = np.full((1, 4), 1e6, np.float32)
    decoded = to_numpy(boxes.decode(deltas, np.array([[0, 0, 1, 1]], np.float32), STD))
    assert np.isfinite(decoded).all()


def test_overlap_of_two_squares():
    a = np.array([[0, 0, 2, 2]], np.float32)
    b = np.array([[1, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6], [0, 0, 0, 0]], np.float32)
    assert to_numpy(boxes.iou(a, b))[0] == pytest.approx([1 / 7, 1.0, 0.0, 0.0])


def test_a_box_that_only_a_dropped_one_overlaps_stays():
    # Each overlaps the next by 3/5, none the one after by more than 1/3.
    chain = np.array([[[0, 0, 8, 1], [2, 0, 10, 1], [4, 0, 12, 1], [6, 0, 14, 1]]], np.float32)
    assert to_numpy(boxes.nms_keep(chain, 0.5))[0].tolist() == [True, False, True, False]


def test_suppression_equals_the_sequential_algorithm():
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 60, (3, 200, 2))
    found = np.concatenate([low, low + rng.uniform(5, 40, (3, 200, 2))], axis=-1).astype(np.float32)
    keep = to_numpy(boxes.nms_keep(found, 0.4))
    overlap = to_numpy(boxes.iou(found, found))
    for item in range(3):
        kept = []
        for i in range(200):
            if all(overlap[item, i, k] <= 0.4 for k in kept):
                kept.append(i)
        assert np.flatnonzero(keep[item]).tolist() == kept


def test_boxes_of_other_classes_are_not_suppressed():
    found = np.array([[[0, 0, 8, 8], [0, 0, 8, 9], [0, 0, 8, 8]]], np.float32)
    keep = to_numpy(boxes.nms_keep(found, 0.5, classes=np.array([[1, 2, 1]])))
    assert keep[0].tolist() == [True, True, False]


def test_many_boxes_are_suppressed_as_few_are(monkeypatch):
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 0.6, (2, 300, 2))
    found = np.concatenate([low, low + rng.uniform(0.01, 0.4, (2, 300, 2))], axis=-1).astype(np.float32)
    pairs = to_numpy(boxes.nms_keep(found, 0.4))
    monkeypatch.setattr(boxes, "MAX_PAIRS", 100)
    assert (to_numpy(boxes.nms_keep(found, 0.4)) == pairs).all()
    first = to_numpy(boxes.nms_keep(found, 0.4, most=10))
    assert [np.flatnonzero(k).tolist() for k in first] == [np.flatnonzero(k)[:10].tolist() for k in pairs]

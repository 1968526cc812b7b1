import keras
import numpy as np
import pytest

from pothole.training.targets import Sampling, anchor_targets, mask_targets, roi_targets, sample

STD = (0.1, 0.1, 0.2, 0.2)


NOWHERE = np.zeros((1, 16, 16), np.uint8)
"""Ignores nothing of a picture of 128 pixels."""


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


@pytest.fixture
def seed():
    return keras.random.SeedGenerator(1)


def test_a_sample_is_positives_up_to_the_limit_and_negatives_for_the_rest(seed):
    positive = np.zeros((2, 20), bool)
    positive[0, :10] = True
    negative = ~positive
    negative[:, 15:] = False
    index, weights = (to_numpy(x) for x in sample(positive, negative, 8, 4, seed))
    for item, (positives, negatives) in enumerate([(4, 4), (0, 8)]):
        chosen = index[item][weights[item] > 0]
        assert positive[item, chosen].sum() == positives
        assert negative[item, chosen].sum() == negatives
        assert len(set(chosen.tolist())) == len(chosen)


def test_anchors_learn_the_object_that_they_overlap(seed):
    anchors = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [0, 4, 10, 14], [100, 0, 108, 8]], np.float32)
    truth = np.array([[[0, 0, 10, 10], [104, 0, 120, 16], [0, 0, 0, 0]]], np.float32)
    sampling = Sampling(anchors=4)
    index, weights, positive, deltas = (
        to_numpy(x)[0] for x in anchor_targets(anchors, truth, NOWHERE, STD, sampling, seed)
    )
    kind = {int(i): bool(p) for i, w, p in zip(index, weights, positive, strict=True) if w}
    # 0 is the object; 1 background; 2 (overlap 0.43) neither; 3 (0.11) the best that the second object has.
    assert kind == {0: True, 1: False, 3: True}
    row = next(
        i for i, w, p in zip(range(len(index)), weights, positive, strict=True) if w and p and index[i] == 3
    )
    assert deltas[row] == pytest.approx([1.0 / 0.1, 0.5 / 0.1, np.log(2) / 0.2, np.log(2) / 0.2], abs=1e-4)


def test_a_picture_without_objects_gives_only_negatives(seed):
    anchors = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    truth = np.zeros((1, 3, 4), np.float32)
    _, weights, positive, deltas = (
        to_numpy(x)[0] for x in anchor_targets(anchors, truth, NOWHERE, STD, Sampling(anchors=2), seed)
    )
    assert weights.sum() == 2 and positive.sum() == 0 and np.isfinite(deltas).all()


def test_rois_take_the_class_and_the_box_of_their_object(seed):
    proposals = np.array([[[0, 0, 10, 8], [40, 40, 50, 50], [0, 0, 0, 0]]], np.float32)
    truth = np.array([[[0, 0, 10, 10], [0, 0, 0, 0]]], np.float32)
    classes = np.array([[1, 0]], np.int32)
    rois, weights, found, deltas, match = (
        to_numpy(x)[0]
        for x in roi_targets(
            proposals, np.zeros((1, 3), np.float32), truth, classes, NOWHERE, STD, Sampling(rois=4), seed
        )
    )
    # The true box is a RoI too; one place is for a positive, three for the rest.
    kept = [(roi.tolist(), int(c)) for roi, w, c in zip(rois, weights, found, strict=True) if w]
    positives = [roi for roi, c in kept if c == 1]
    assert positives in ([[0, 0, 10, 8]], [[0, 0, 10, 10]])
    assert [roi for roi, c in kept if c == 0] == [[40, 40, 50, 50]]
    assert match[0] == 0
    if positives == [[0, 0, 10, 8]]:
        assert deltas[0] == pytest.approx([0, 1.0 / 8 / 0.1, 0, np.log(1.25) / 0.2], abs=1e-4)


def test_what_is_ignored_is_no_negative(seed):
    ignored = NOWHERE.copy()
    ignored[0, 5:7, 5:7] = 1  # x and y from 40 to 56
    somewhere = np.array([[0, 0, 10, 10], [40, 40, 56, 56], [90, 90, 110, 110]], np.float32)
    truth, classes = np.zeros((1, 1, 4), np.float32), np.zeros((1, 1), np.int32)
    index, weights, *_ = (
        to_numpy(x)[0] for x in anchor_targets(somewhere, truth, ignored, STD, Sampling(anchors=3), seed)
    )
    assert set(index[weights > 0].tolist()) == {0, 2}
    rois, weights, *_ = (
        to_numpy(x)[0]
        for x in roi_targets(
            somewhere[None],
            np.zeros((1, 3), np.float32),
            truth,
            classes,
            ignored,
            STD,
            Sampling(rois=4),
            seed,
        )
    )
    assert sorted(rois[weights > 0][:, 0].tolist()) == [0, 90]


def test_negatives_that_are_taken_for_objects_are_drawn_before_others(seed):
    negative = np.ones((1, 20), bool)
    hardness = np.zeros((1, 20), np.float32)
    hardness[0, 7] = 1.0
    for _ in range(5):
        index, weights = (to_numpy(x)[0] for x in sample(~negative, negative, 2, 1, seed, hardness))
        assert 7 in index[weights > 0]


def test_a_mask_target_is_the_window_of_the_roi():
    mini = np.zeros((1, 1, 8, 8), np.float32)
    mini[0, 0, :, :4] = 1.0  # left half of an object at x 0..16
    truth = np.array([[[0, 0, 16, 16]]], np.float32)
    rois = np.array([[[0, 0, 16, 16], [4, 0, 12, 16], [8, 8, 16, 16], [-16, 0, 16, 16]]], np.float32)
    match = np.zeros((1, 4), np.int32)
    cut = to_numpy(mask_targets(rois, match, truth, mini, 4))[0]
    rows = [target[2].tolist() for target in cut]
    assert rows == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]

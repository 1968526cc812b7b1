import keras
import numpy as np
import pytest

from pothole.training import losses


def value(x):
    return float(keras.ops.convert_to_numpy(x))


def f32(*rows):
    return np.array(rows, np.float32)


def test_binary_cross_entropy_by_hand():
    found = losses.binary_cross_entropy(f32(0.0, 2.0, 99.0), f32(1.0, 0.0, 0.0), f32(1.0, 1.0, 0.0))
    assert value(found) == pytest.approx((np.log(2) + np.log(1 + np.exp(2))) / 2, rel=1e-5)


def test_cross_entropy_by_hand():
    logits = f32([0.0, np.log(3.0)], [5.0, 0.0])
    found = losses.cross_entropy(logits, np.array([1, 0], np.int32), f32(1.0, 0.0))
    assert value(found) == pytest.approx(-np.log(0.75), rel=1e-5)


def test_smooth_l1_is_square_near_and_straight_far():
    deltas = f32([0.5, 0, 0, 0], [0, 3.0, 0, 0], [9, 9, 9, 9])
    found = losses.smooth_l1(deltas, np.zeros((3, 4), np.float32), f32(1, 1, 0), f32(1, 1, 1))
    assert value(found) == pytest.approx((0.125 + 2.5) / 3, rel=1e-5)


def test_nothing_sampled_costs_nothing():
    assert value(losses.weighted_mean(f32(1, 2), f32(0, 0))) == 0.0
    zeros = np.zeros((2, 4), np.float32)
    assert value(losses.smooth_l1(zeros + 1, zeros, f32(0, 0), f32(0, 0))) == 0.0

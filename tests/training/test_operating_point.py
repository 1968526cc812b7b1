from collections import Counter

import pytest

from pothole.training.operating_point import FalseMarks, operating_point, rounded_up


def alone(scores):
    """Negative pictures, each a scene with one false mark."""
    return FalseMarks(list(enumerate(scores)), Counter(range(len(scores))))


def test_a_threshold_is_just_above_the_marks_that_negatives_may_not_show():
    false = alone([i / 100 for i in range(41)])
    thresholds = (false.threshold(2), false.threshold(0), false.threshold(2, without=40))
    assert thresholds == (0.3801, 0.4001, 0.3701)
    assert [rounded_up(t) for t in (0.3801, 0.38, 0.07, 0.9901, 1.0001)] == [0.39, 0.38, 0.07, 0.99, 0.99]
    assert operating_point(FalseMarks([], Counter())) is None
    assert operating_point(alone([1.0] * 40)).confidence > 1.0
    assert operating_point(FalseMarks([], Counter([1]))).confidence == 0.0011


def test_a_scene_is_judged_by_a_threshold_that_was_chosen_without_it():
    # Of 69 pictures 3 may be marked. Scene 0 has five marks that the others' threshold lets through.
    marks = [
        *((0, 0.9 - i / 100) for i in range(5)),
        *((scene, 0.5 - scene / 1000) for scene in range(1, 60)),
    ]
    false = FalseMarks(marks, Counter({scene: 10 if scene == 0 else 1 for scene in range(60)}))
    assert false.threshold(3) == pytest.approx(0.8701)
    assert false.held_out(3)[0] >= 5 / 69
    point = operating_point(false)  # no threshold keeps the promise: none of the marks is let through
    assert point.confidence == pytest.approx(0.9001) and point.held_out == 5 / 69


def test_the_standard_error_is_that_of_scenes():
    marks = [(0, 0.9), (1, 0.8), *((scene, 0.1) for scene in range(2, 10))]
    even = FalseMarks(marks, Counter(range(10)))
    rate, error = even.held_out(2)
    assert rate == 0.2 and error == pytest.approx((0.2 * 0.8 / 9) ** 0.5)
    of_two = FalseMarks([(0, 0.9), (0, 0.8)], Counter({0: 5, 1: 5}))
    assert of_two.held_out(0) == (0.2, pytest.approx(0.2))


def test_the_promise_is_kept_with_a_standard_error_to_spare():
    false = alone([i / 400 for i in range(400)])
    point = operating_point(false)
    shares = {allowed: false.held_out(allowed) for allowed in range(21)}
    assert shares[20][0] <= 0.05 < sum(shares[20])
    assert point.held_out + shares[round(point.held_out * 400)][1] <= 0.05
    low, high = (operating_point(false, most).confidence for most in (0.01, 0.25))
    assert low > point.confidence > high

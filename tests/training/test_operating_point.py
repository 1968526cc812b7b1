from collections import Counter

from pothole.training.operating_point import FalseMarks, operating_point


def alone(scores):
    """Negative pictures, each a scene with one false mark."""
    return FalseMarks(list(enumerate(scores)), Counter(range(len(scores))))


def test_the_confidence_is_just_above_what_negatives_may_not_show():
    false = alone([i / 100 for i in range(41)])
    assert false.threshold(2) == 0.39
    # Without one of the two highest the other 40 pictures would let one through that is above the third.
    point = operating_point(false)
    assert point.confidence == 0.39 and point.held_out <= 0.05
    assert operating_point(FalseMarks([], Counter())) is None
    assert operating_point(alone([1.0] * 40)).confidence == 0.99
    assert operating_point(FalseMarks([], Counter([1]))).confidence == 0.02


def test_a_scene_with_many_false_marks_does_not_choose_its_own_threshold():
    # Of 69 pictures 3 may be marked. Scene 0 has five marks that the others' threshold lets through.
    marks = [
        *((0, 0.9 - i / 100) for i in range(5)),
        *((scene, 0.5 - scene / 1000) for scene in range(1, 60)),
    ]
    false = FalseMarks(marks, Counter({scene: 10 if scene == 0 else 1 for scene in range(60)}))
    assert false.threshold(3) == 0.88
    assert false.held_out(3) >= 5 / 69
    point = operating_point(false)  # no threshold keeps the promise: none of the marks is let through
    assert point.confidence == 0.91 and point.held_out == 5 / 69


def test_more_may_be_let_through_where_more_is_asked_for():
    false = alone([i / 100 for i in range(80)])
    low, high = (operating_point(false, most).confidence for most in (0.01, 0.25))
    assert low > high

from fractions import Fraction

import numpy as np
import pytest

from pothole.detections import Detections
from pothole.pipeline.waiting import WaitingFrames
from pothole.tracking.observation import Observation, TrackedFrame
from pothole.tracking.optical_flow import View
from support.clips import frame_of

GREY = np.zeros((16, 16), np.uint8)
NOTHING = Detections.empty((16, 16))


def pairs(count: int):
    for i in range(count):
        yield frame_of(GREY, i), Observation(i, Fraction(i), (16, 16), View.of(GREY), None)


def test_frames_come_out_with_what_is_said_of_them():
    waiting = WaitingFrames(first=2)
    told = list(waiting.observations(pairs(5)))
    assert [o.index for o in told] == [0, 1, 2, 3, 4]
    joined = list(waiting.join(TrackedFrame(i, NOTHING) for i in range(2, 5)))
    assert [(frame.index, said.index) for frame, said in joined] == [(2, 2), (3, 3), (4, 4)]


def test_a_frame_never_gets_the_marks_of_another():
    waiting = WaitingFrames()
    list(waiting.observations(pairs(2)))
    with pytest.raises(AssertionError, match="expected frame 1, got 0"):
        list(waiting.join([TrackedFrame(1, NOTHING)]))

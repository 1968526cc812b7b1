"""What is measured of a frame when it is marked."""

from fractions import Fraction

import numpy as np
import pytest

from pothole.detections import Detections
from pothole.geo.flow import FlowMeter
from pothole.pipeline.segments import mark
from pothole.tracking.observation import TrackedFrame
from pothole.tracking.state import TrackerState
from support.clips import frame_of
from support.moving_road import MovingRoad

ROAD = MovingRoad([])


@pytest.mark.parametrize("checkpoint", [False, True])
def test_no_flow_is_measured_over_a_checkpoint(checkpoint: bool) -> None:
    """Whoever goes on from there knows no frame before, and has to come to the same places."""
    state = TrackerState() if checkpoint else None
    frames = [ROAD.picture(index)[0] for index in range(2)]
    tracked = [
        (frame, TrackedFrame(frame.index, Detections.empty(ROAD.size), state if frame.index == 0 else None))
        for frame in frames
    ]
    first, second = (marked for marked, _ in mark(tracked, True, meter=FlowMeter(Fraction(30))))
    assert first.flow is None
    assert (second.flow is None) == checkpoint


def test_without_a_meter_nothing_is_measured() -> None:
    frame = frame_of(np.full((48, 64), 100, np.uint8))
    [(marked, _)] = mark([(frame, TrackedFrame(0, Detections.empty((48, 64))))], False)
    assert marked.flow is None

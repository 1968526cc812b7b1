from fractions import Fraction

import numpy as np
import pytest

from pothole.tracking.interpolation import FollowedTrack, interpolate
from pothole.tracking.optical_flow import Motion
from pothole.tracking.tracks import Track, TrackState, as_detections

SIZE = (100, 200)


def track_at(box: tuple[float, ...]) -> TrackState:
    track = Track(1, 0, 0, Fraction(0), Fraction(0), 1, 0.9, 0, box)
    mask = np.ones((int(box[3] - box[1]), int(box[2] - box[0])), bool)
    corners = np.array(box, np.float32)
    return TrackState(1, track, 0.9, corners, mask, (int(box[0]), int(box[1])), Motion(), 0)


@pytest.mark.parametrize("after", [(10, 60, 50, 100), (10, 40, 50, 100), (10, 0, 50, 100)])
def test_sides_that_two_key_frames_see_apart_never_cross(after):
    """At the first the upper edge cuts it, at the second the lower: neither knows the side of the other."""
    first, second = track_at((10, 0, 50, 20)), track_at(after)
    places = [{1: FollowedTrack(first, Motion())} for _ in range(4)]
    steps = [object()] * 4  # only asked whether it is there, as the motions are known
    for frame in interpolate([first], places, [second], steps, SIZE):
        detections = as_detections(frame, SIZE, ("pothole",))
        assert len(detections) == 1
        assert (detections.boxes[:, 2:] > detections.boxes[:, :2]).all()

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from pothole.detections import Detections
from pothole.media import Frame
from pothole.tracking.association import associate, associate_grown, known_tracks
from pothole.tracking.optical_flow import Step, View
from pothole.tracking.tracks import TrackState
from support.clips import frame_of
from support.moving_road import MovingRoad, rectangles

# Three metres and more from picture to picture: flow is lost.
ROAD = MovingRoad([(-0.8, 9.0, 0.5), (1.2, 8.0, 0.35), (0.3, 11.0, 0.4)], rate=5, speed=15)
OTHER_PLACE = MovingRoad([], rate=1).picture(9)[0]


def tracks_of(found: Detections) -> list[TrackState]:
    return [TrackState.of(i + 1, found, i, 0, Fraction(0), None) for i in range(len(found))]


def step_of(before: Frame, after: Frame) -> Step:
    return Step(View.of(before.planes[0]), View.of(after.planes[0]))


def two_pictures() -> tuple[list[TrackState], Detections, Step]:
    """The tracks of a picture, what is found in the next one, in another order, and the step between them."""
    (before, found), (after, later) = ROAD.picture(0), ROAD.picture(1)
    assert len(found) == len(later) == 3
    return tracks_of(found), later[[2, 0, 1]], step_of(before, after)


def test_what_the_car_has_come_nearer_to_is_found_by_its_growth_where_flow_has_lost_it():
    tracks, found, step = two_pictures()
    boxes = [track.box for track in tracks]
    followed = [track.move(m) for track, m in zip(tracks, step.forward(boxes), strict=True)]
    assert associate(followed, found) != [2, 0, 1]
    assert associate_grown(tracks, found, step) == [2, 0, 1]


@pytest.mark.parametrize(
    ("after", "is_same"),
    [
        ((280, 220, 360, 260), True),  # nearer, on the way from the middle of the horizon
        ((340, 220, 420, 260), True),  # in a bend
        ((480, 220, 560, 260), False),  # on a way from the side
        ((280, 100, 360, 140), False),  # upward
        ((300, 220, 340, 240), False),  # no larger
    ],
)
def test_way_and_growth_tell_what_is_the_same_where_all_looks_alike(after, is_same):
    before, size = (300, 150, 340, 170), (360, 640)
    pictures = [frame_of(pattern_in(box, size)) for box in (before, after)]
    tracks = tracks_of(rectangles(size, np.array([before])))
    found = rectangles(size, np.array([after]))
    assert associate_grown(tracks, found, step_of(*pictures)) == [0 if is_same else None]


def pattern_in(box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """The same pattern in and around a box, whatever its size."""
    left, top, right, bottom = box
    pattern = np.random.default_rng(0).integers(0, 255, (6, 6), dtype=np.uint8)
    shown = cv2.resize(pattern, (2 * (right - left), 2 * (bottom - top)), interpolation=cv2.INTER_LINEAR)
    picture = np.full(size, 99, np.uint8)
    top, left = top - (bottom - top) // 2, left - (right - left) // 2
    picture[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return picture


def test_what_does_not_grow_or_looks_different_or_is_of_another_class_is_another_object():
    tracks, found, step = two_pictures()
    backward = Step(step.after, step.before)
    assert associate_grown(tracks_of(found), ROAD.picture(0)[1], backward) == [None] * 3
    elsewhere = step_of(ROAD.picture(0)[0], OTHER_PLACE)
    assert associate_grown(tracks, found, elsewhere) == [None] * 3
    others = replace(found, class_ids=np.array([1, 0, 0], np.int32), class_names=("pothole", "crack"))
    assert associate_grown(tracks, others, step) == [None, 0, 1]


def test_a_track_that_was_followed_is_not_looked_for_elsewhere():
    """Of two detections, the one where flow leads is the followed track's, the other one the lost track's."""
    tracks, found, step = two_pictures()
    followed = replace(tracks[2], box=found.boxes[0])
    astray = [(track, track) for track in tracks[:2]]
    known = known_tracks([followed], astray, found, step)
    assert [track and track.key for track in known] == [3, 1, 2]


def test_flow_has_the_last_word_on_what_does_not_grow():
    """A car that stands still, in front of which much moves."""
    _, found, step = two_pictures()
    tracks = tracks_of(found)
    known = known_tracks([], [(track, track) for track in tracks], found, step)
    assert [track and track.key for track in known] == [1, 2, 3]


def test_nothing_is_known_before_the_first_frame():
    _, found, _ = two_pictures()
    assert known_tracks([], [], found, None) == [None] * 3

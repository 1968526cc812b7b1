import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from pydantic import ValidationError

from pothole.detections import Detections
from pothole.media import Frame
from pothole.tracking.observation import EarlierFrame, Observation, TrackedFrame
from pothole.tracking.optical_flow import Motion, View
from pothole.tracking.places import MAX_FRAMES
from pothole.tracking.state import TrackerRecord, TrackerState
from pothole.tracking.tracker import Tracker
from pothole.tracking.tracks import Track, TrackState
from support.clips import frame_of
from support.moving_road import MovingRoad, both, rectangles

POTHOLES = [(0.7 * (i % 3) - 0.7, 7.0 + 2.5 * i, 0.5) for i in range(16)]
ROAD = MovingRoad(POTHOLES, rate=15, speed=8, size=(180, 320))
FRAMES = 76  # five seconds, and the frame that ends them


def observed(frame: Frame, found: Detections | None) -> Observation:
    return Observation(frame.index, frame.time, frame.size, View.of(frame.planes[0]), found)


@pytest.fixture(scope="module")
def drive() -> list[Observation]:
    """A drive past many potholes, each missed now and then; the detector looks at every third frame.

    It sees some that are none, too, and never again.
    """
    rng, observations = np.random.default_rng(1), []
    for index in range(FRAMES):
        frame, truth = ROAD.picture(index)
        found = None
        if index % 3 == 0:
            corner = rng.uniform(20, 150, 2).round()
            flash = rectangles(ROAD.size, np.array([[*corner, *corner + 12]]))
            found = both(truth[rng.random(len(truth)) < 0.7], flash)
        observations.append(observed(frame, found))
    return observations


@pytest.fixture(scope="module")
def survey() -> list[Observation]:
    """Frames so far apart that each shows other potholes, some in one frame alone, and parts of them."""
    potholes = [(2.2 * (i % 3) - 2, 8.0 + 12 * i + i % 4, 0.5) for i in range(40)]
    road = MovingRoad(potholes, rate=5, speed=60, size=(180, 320))
    seen = []
    for frame, truth in (road.picture(index) for index in range(31)):
        left, top, right, bottom = truth.boxes.T
        halves = np.stack([left, top, (left + right) / 2, bottom], axis=1)
        seen.append(observed(frame, both(truth, rectangles(road.size, halves))))
    return seen


def again(drive: list[Observation], state: TrackerState) -> Iterator[Observation | EarlierFrame]:
    """The drive from a checkpoint on, as the tracker is told of it then."""
    for seen in drive[state.first :]:
        earlier = EarlierFrame(seen.index, seen.time, seen.size, seen.view)
        yield earlier if seen.index <= state.last_key_frame else seen


def marks(tracked: TrackedFrame) -> tuple[object, ...]:
    potholes = tracked.detections
    arrays = (potholes.boxes, potholes.scores, potholes.track_ids, *potholes.masks)
    return tracked.index, tuple(a.tobytes() for a in arrays)


def through_json(state: TrackerState) -> TrackerState:
    return TrackerRecord.model_validate_json(TrackerRecord.of(state).model_dump_json()).state()


def test_a_survey_goes_on_from_every_checkpoint(survey: list[Observation]) -> None:
    tracker = Tracker(segment_s=1)
    whole = list(tracker.track(survey))
    assert tracker.count > 10
    states = [tracked.state for tracked in whole if tracked.state]
    assert any(state.parts for state in states)
    for state in states:
        resumed = Tracker(segment_s=1, state=through_json(state))
        rest = list(resumed.track(again(survey, state)))
        assert [marks(f) for f in rest] == [marks(f) for f in whole[state.released :]]
        assert (resumed.tracks(), resumed.uncounted) == (tracker.tracks(), tracker.uncounted)


@pytest.mark.parametrize("max_waiting", [64, 2])
def test_all_that_follows_from_a_checkpoint_follows_from_its_json(
    drive: list[Observation], max_waiting: int
) -> None:
    tracker = Tracker(max_waiting, 1)
    whole = list(tracker.track(drive))
    states = [tracked.state for tracked in whole if tracked.state]
    assert len(states) == 4
    assert any(state.waiting and state.tracks and state.ended for state in states)
    for state in states:
        resumed = Tracker(max_waiting, 1, through_json(state))
        rest = list(resumed.track(again(drive, state)))
        assert [marks(f) for f in rest] == [marks(f) for f in whole[state.released :]]
        assert resumed.tracks() == tracker.tracks()
        assert [f.index for f in rest if f.state] == [f.index for f in whole[state.released :] if f.state]


def test_checkpoints_change_nothing(drive: list[Observation]) -> None:
    without, often = Tracker(), Tracker(segment_s=1)
    assert list(map(marks, without.track(drive))) == list(map(marks, often.track(drive)))
    assert not any(tracked.state for tracked in Tracker().track(drive))


def test_a_checkpoint_may_lie_where_no_frame_waits() -> None:
    """As on a road without potholes; the frame looked at last is needed all the same, for the motion."""
    grey = np.full((48, 64), 99, np.uint8)
    still = [observed(frame_of(grey, i), Detections.empty((48, 64))) for i in range(40)]
    states = [tracked.state for tracked in Tracker(segment_s=1).track(still) if tracked.state]
    assert [(s.released, s.last_key_frame, s.first) for s in states] == [(31, 30, 30)]
    resumed = Tracker(segment_s=1, state=states[0])
    assert [f.index for f in resumed.track(again(still, states[0]))] == list(range(31, 40))


def test_frames_that_follow_one_another_in_no_time_make_segments_too() -> None:
    frame = frame_of(np.full((16, 16), 99, np.uint8))
    found = Detections.empty((16, 16))
    one = observed(frame, found)
    crowd = (replace(one, index=i, time=Fraction(i, 10**6)) for i in range(11_000))
    ends = [f.index for f in Tracker(segment_s=20).track(crowd) if f.state]
    assert ends == [MAX_FRAMES, 2 * MAX_FRAMES + 1]


def track_state(mask: np.ndarray) -> TrackState:
    track = Track(3, 1, 2, Fraction(1001, 30000), Fraction(1, 3), 2, 0.1 + 0.2, 2, (0.1, 1.0, 2.0, 3.0))
    box = np.array([0.1, 1 / 3, 1e6, -7.7], np.float32)
    motion = Motion((1 / 3, 1.1), (-0.0, 1e-9), float("nan"))
    return TrackState(7, track, 0.30000001192092896, box, mask, (-3, 4), motion, 5)


def test_numbers_and_masks_come_back_bit_for_bit() -> None:
    masks = [np.random.default_rng(0).random(size) > 0.5 for size in ((5, 7), (8, 8), (0, 3), (1, 1))]
    held = tuple((track_state(mask), track_state(mask)) for mask in masks)
    state = TrackerState(last_key_frame=9, waiting=held, tracks=held[0], ids={7: 3}, updated=Fraction(2, 7))
    data = TrackerRecord.of(state).model_dump_json()
    assert len(json.loads(data)["masks"]) == len(masks), "a mask is written once"
    back = TrackerRecord.model_validate_json(data).state()
    for before, after in zip([p for f in held for p in f], [p for f in back.waiting for p in f], strict=True):
        assert (after.box.dtype, after.box.tobytes()) == (before.box.dtype, before.box.tobytes())
        assert (after.mask.dtype, after.mask.shape) == (np.dtype(bool), before.mask.shape)
        assert (after.mask == before.mask).all()
        assert repr(replace(after, box=0, mask=0)) == repr(replace(before, box=0, mask=0))  # NaN is not NaN
    assert (back.ids, back.updated, back.released) == ({7: 3}, Fraction(2, 7), 6)


@pytest.mark.parametrize(
    "change",
    [
        {"last_key_frame": "9"},
        {"last_key_frame": -2},
        {"last_key_frame": 1},
        {"more": 1},
        {"masks": []},
        {"masks": [{"height": 100, "width": 100, "bits": "AAAA"}]},
        {"masks": [{"height": 5, "width": 7, "bits": "no base64"}]},
        {"updated": "1/0"},
        {"ids": {"x": 1}},
        {"tracks": [{}]},
    ],
    ids=str,
)
def test_what_cannot_be_a_state_is_refused(change: dict[str, object]) -> None:
    one = track_state(np.ones((5, 7), bool))
    content = json.loads(
        TrackerRecord.of(
            TrackerState(last_key_frame=9, waiting=((one,),) * 3, tracks=(one,))
        ).model_dump_json()
    )
    TrackerRecord.model_validate_json(json.dumps(content)).state()
    with pytest.raises((ValidationError, ValueError)):
        TrackerRecord.model_validate_json(json.dumps(content | change)).state()

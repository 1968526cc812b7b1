from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pothole.detections import Detections
from pothole.errors import ModelError
from pothole.media import Frame
from pothole.tracking.keyframes import MAX_TIME, KeyFrames, detect_key_frames
from pothole.tracking.observation import Observation
from pothole.types import Image, Size
from support.clips import frame_of
from support.moving_road import MovingRoad


class Witness:
    """A detector that finds nothing, looks at pictures of half the size, and remembers what it was asked."""

    name = "witness"
    min_confidence = 0.5
    class_names = ("pothole",)

    def __init__(self) -> None:
        self.asked: list[tuple[Image, float | None, Size]] = []

    def input_size(self, size: Size) -> Size:
        return size[0] // 2, size[1] // 2

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        assert sizes is not None
        self.asked += [(image, min_confidence, size) for image, size in zip(images, sizes, strict=True)]
        return [Detections.empty(size) for size in sizes]


def looked_at(frames: Sequence[Frame], keys: KeyFrames | None = None) -> list[int]:
    """Indices of the frames that the detector looked at; all of them have to come out, in order."""
    observed = list(detect_key_frames(frames, Witness(), keys or KeyFrames()))
    assert [frame for frame, _ in observed] == list(frames)
    seen = [observation for _, observation in observed if isinstance(observation, Observation)]
    assert [o.index for o in seen] == [frame.index for frame in frames]
    return [o.index for o in seen if o.detections is not None]


@pytest.mark.parametrize(("batch_size", "calls"), [(1, [1] * 8), (3, [3, 3, 2]), (100, [5, 3])])
def test_several_key_frames_are_seen_in_one_call_as_far_as_memory_goes(
    batch_size: int, calls: list[int]
) -> None:
    class Counting(Witness):
        def predict(self, images: Sequence[Image], *args: Any) -> list[Detections]:
            made.append(len(images))
            return super().predict(images, *args)

    made: list[int] = []
    frames = drive(22)
    keys = KeyFrames(3, max_frames=15)
    observed = list(detect_key_frames(frames, Counting(), keys, batch_size=batch_size))
    assert [frame for frame, _ in observed] == frames
    seen = [o.index for _, o in observed if isinstance(o, Observation) and o.detections is not None]
    assert seen == [0, 3, 6, 9, 12, 15, 18, 21]
    assert made == calls


def drive(frames: int, rate: int = 30, speed: float = 0) -> list[Frame]:
    road = MovingRoad([], rate=rate, speed=speed, size=(180, 320))
    return [road.picture(i)[0] for i in range(frames)]


def test_standing_car_looks_by_time():
    assert looked_at(drive(30)) == [0, 8, 16, 24, 29]
    assert looked_at(drive(8, rate=10)) == [0, 3, 6, 7]
    assert looked_at(drive(8, rate=5)) == list(range(8))
    assert looked_at(drive(5, rate=1)) == [0, 1, 2, 3, 4]


def test_time_counts_by_the_time_stamps_not_by_the_frames():
    frames = [replace(f, time=f.time + (f.index >= 3) * MAX_TIME) for f in drive(8)]
    assert looked_at(frames) == [0, 3, 7]


def test_the_faster_the_road_moves_the_more_often_it_is_looked_at():
    looks = [len(looked_at(drive(31, speed=speed))) for speed in (0, 5, 10)]
    assert looks[0] < looks[1] < looks[2] < 31


def test_road_moves_about_as_far_between_two_looks_at_any_speed():
    """A car twice as fast, filmed twice as often, gives the same pictures, and is looked at in the same."""
    slow, fast = drive(31, rate=30, speed=10), drive(31, rate=60, speed=20)
    assert looked_at(slow) == looked_at(fast)
    *slower, _ = looked_at(drive(31, rate=30, speed=5))  # the last is looked at because it is the last
    assert np.diff(slower).mean() == pytest.approx(2 * np.diff(looked_at(slow)).mean(), rel=0.25)


@pytest.mark.parametrize(("interval", "expected"), [(1, range(12)), (5, [0, 5, 10, 11]), (99, [0, 11])])
def test_every_nth_frame_is_looked_at_whatever_happens_where_so_asked(interval, expected):
    for speed in (0, 60):
        assert looked_at(drive(12, rate=5, speed=speed), KeyFrames(interval)) == list(expected)


@pytest.mark.parametrize("interval", [100_000, None])
def test_no_more_frames_wait_than_fit_into_memory(interval):
    assert looked_at(drive(8), KeyFrames(interval, max_frames=3)) == [0, 3, 6, 7]


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_last_frame_is_always_looked_at_and_once(frames):
    detector = Witness()
    *_, (_, last) = detect_key_frames(drive(frames), detector, KeyFrames())
    assert isinstance(last, Observation)
    assert last.detections is not None
    assert len(detector.asked) == len({0, frames - 1})


def test_video_without_frames_is_not_looked_at():
    assert looked_at([]) == []


def test_detector_sees_a_small_picture_and_answers_in_pixels_of_the_frame():
    image = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8).repeat(24, 0).repeat(24, 1)
    detector = Witness()
    ((_, seen_last),) = detect_key_frames([frame_of(image)], detector, KeyFrames(), 0.3)
    ((seen, confidence, size),) = detector.asked
    assert (seen.shape, confidence, size) == ((48, 72, 3), 0.3, (96, 144))
    middles = slice(6, None, 12)
    assert np.abs(seen[middles, middles].astype(int) - image[12::24, 12::24]).max() < 8
    assert isinstance(seen_last, Observation)
    assert seen_last.detections is not None
    assert seen_last.detections.image_size == (96, 144)


def test_failure_to_read_on_comes_out_after_the_frames_before_it():
    def damaged():
        yield from drive(3)
        raise OSError("no more")

    seen: list[Fraction] = []
    with pytest.raises(OSError, match="no more"):
        seen.extend(f.time for f, _ in detect_key_frames(damaged(), Witness(), KeyFrames()))
    assert len(seen) == 2


ONE = Detections(
    image_size=(64, 64),
    boxes=np.array([[10, 10, 20, 20]], np.float32),
    scores=np.array([0.9], np.float32),
    masks=(np.ones((10, 10), np.bool_),),
)


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (None, "NoneType"),
        ([], "a list of 0"),
        ([None], "a list with NoneType"),
        ([Detections.empty((64, 64))] * 2, "a list of 2"),
        ([Detections.empty((10, 10))], "one in a picture of \\(10, 10\\)"),
        ([replace(ONE, class_names=("crack", "pothole"))], "objects of the classes \\('crack', 'pothole'\\)"),
    ],
)
def test_a_detector_that_answers_with_something_else_is_named(answer: Any, named: str) -> None:
    class Careless(Witness):
        def predict(self, *_: Any) -> Any:
            return answer

    frames = [frame_of(np.zeros((64, 64, 3), np.uint8))]
    with pytest.raises(ModelError, match=f"The detector 'witness' answered frame 0 with {named}"):
        list(detect_key_frames(frames, Careless(), KeyFrames()))


@pytest.mark.parametrize("size", [(0, 0), (99, 64), (32.5, 32), (32,), None, "32"])
def test_a_detector_that_wants_a_size_that_cannot_be_is_named(size: Any) -> None:
    class Careless(Witness):
        def input_size(self, _: Any) -> Any:
            return size

    frames = [frame_of(np.zeros((64, 64, 3), np.uint8))]
    with pytest.raises(ModelError, match=r"'witness' wants frame 0 in the size .*\(64, 64\)"):
        list(detect_key_frames(frames, Careless(), KeyFrames()))

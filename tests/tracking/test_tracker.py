from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from pothole.detections import Detections
from pothole.media import Frame
from pothole.tracking.observation import Observation
from pothole.tracking.optical_flow import View
from pothole.tracking.tracker import MAX_WAIT_S, Tracker
from support.clips import frame_of
from support.moving_road import MovingRoad, both, rectangles

POTHOLES = [(-0.8, 9.0, 0.5), (1.2, 11.0, 0.35), (-2.0, 14.0, 0.4), (0.4, 16.0, 0.5), (2.2, 17.0, 0.5)]
ONE = [(0.3, 12.0, 0.5)]

Pair = tuple[Frame, Detections | None]  # a frame, and what was found in it where the detector looked
See = Callable[[int, Detections], Detections | None]


def observed(pairs: Iterable[Pair]) -> Iterator[Observation]:
    for frame, found in pairs:
        yield Observation(frame.index, frame.time, frame.size, View.of(frame.planes[0]), found)


def follow(pairs: Iterable[Pair]) -> tuple[list[Detections], Tracker]:
    """What is marked in each frame, and the tracker after the last."""
    tracker = Tracker()
    return [tracked.detections for tracked in tracker.track(observed(pairs))], tracker


def ids(marked: Iterable[Detections]) -> list[list[int]]:
    return [sorted(marks.track_ids.tolist()) for marks in marked]


def drive(road: MovingRoad, frames: int, see: See) -> list[Pair]:
    """Drive on a road; `see` gives what is found in frame i, of whose potholes it is told the truth."""
    pictures = [road.picture(index) for index in range(frames)]
    return [(frame, see(frame.index, truth)) for frame, truth in pictures]


def nothing(truth: Detections) -> Detections:
    return Detections.empty(truth.image_size)


def noisy(truth: Detections, rng: np.random.Generator, miss: float = 0.0) -> tuple[Detections, list[int]]:
    """What a detector makes of the truth: misses, boxes a little off, other scores. And which it found."""
    kept = np.nonzero(rng.random(len(truth)) >= miss)[0]
    sizes = np.tile(truth.boxes[kept, 2:] - truth.boxes[kept, :2], 2)
    boxes = truth.boxes[kept] + rng.normal(0, 0.05, (len(kept), 4)) * sizes
    return rectangles(truth.image_size, boxes, rng.uniform(0.5, 1, len(kept))), kept.tolist()


def full_masks(detections: Detections) -> list[np.ndarray]:
    masks = []
    for mask, (left, top, right, bottom) in zip(detections.masks, detections.mask_boxes, strict=True):
        masks.append(np.zeros(detections.image_size, bool))
        masks[-1][top:bottom, left:right] = mask
    return masks


def ids_by_pothole(
    rate: int, speed: float, interval: int, miss: float
) -> tuple[dict[int, set[int]], Tracker]:
    """Drive past all potholes; return the ids that each got where it was detected."""
    rng = np.random.default_rng(0)
    found, numbers = {}, {}

    def see(index: int, truth: Detections) -> Detections | None:
        if index % interval:
            return None
        found[index], kept = noisy(truth, rng, miss)
        numbers[index] = truth.track_ids[kept].tolist()
        return found[index]

    frames = int(16 * rate / speed) // interval * interval + 1
    marked, tracker = follow(drive(MovingRoad(POTHOLES, rate=rate, speed=speed), frames, see))
    given: dict[int, set[int]] = {}
    for index, detections in found.items():
        where = {tuple(box): number for box, number in zip(boxes_of(detections), numbers[index], strict=True)}
        for box, track_id in zip(boxes_of(marked[index]), marked[index].track_ids.tolist(), strict=True):
            if tuple(box) in where:
                given.setdefault(where[tuple(box)], set()).add(track_id)
    return given, tracker


def boxes_of(detections: Detections) -> list[list[float]]:
    height, width = detections.image_size
    return np.clip(detections.boxes, 0, [width, height, width, height]).round(1).tolist()


@pytest.mark.parametrize(
    ("rate", "speed", "interval", "miss"),
    [
        (30, 10, 1, 0.0),
        (30, 10, 1, 0.25),
        (30, 10, 3, 0.1),
        (30, 10, 6, 0.1),
        (10, 10, 1, 0.1),
        (5, 5, 1, 0.1),
        (5, 15, 1, 0.0),
        (5, 20, 1, 0.0),
        (2, 8, 1, 0.0),
        (1, 4, 1, 0.0),
    ],
)
def test_each_pothole_has_one_id_from_far_to_near(rate, speed, interval, miss):
    given, tracker = ids_by_pothole(rate, speed, interval, miss)
    assert {number: len(i) for number, i in given.items()} == dict.fromkeys(range(1, 6), 1)
    assert [t.id for t in tracker.tracks()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("rate", "speed"), [(5, 10), (5, 30), (1, 20)])
def test_potholes_that_jump_too_far_get_new_ids_at_worst(rate, speed):
    given, tracker = ids_by_pothole(rate, speed, 1, 0.1)
    assert len(tracker.tracks()) <= 2 * len(given)
    assert [t.id for t in tracker.tracks()] == list(range(1, len(tracker.tracks()) + 1))
    assert tracker.count == len(tracker.tracks())


@pytest.mark.parametrize("max_waiting", [1, 3, 64])
@pytest.mark.parametrize("interval", [1, 4, 7])
def test_every_frame_comes_out_once_and_in_order(max_waiting, interval):
    """Whether what they show comes, goes, or counts."""
    rng = np.random.default_rng(1)
    pairs = drive(
        MovingRoad(POTHOLES, speed=20),
        29,
        lambda i, truth: None if i % interval else noisy(truth, rng, 0.5)[0],
    )
    out = [tracked.index for tracked in Tracker(max_waiting).track(observed(pairs))]
    assert out == [frame.index for frame, _ in pairs]


@pytest.mark.parametrize(("max_waiting", "behind"), [(64, 30 * MAX_WAIT_S + 4), (5, 5 + 4)])
def test_frames_wait_no_longer_than_they_may(max_waiting, behind):
    """However long it stays open whether a pothole counts: memory is for so many frames."""
    taken = 0

    def counted() -> Iterator[Pair]:
        nonlocal taken
        pairs = drive(
            MovingRoad(ONE, speed=2),
            61,
            lambda i, truth: None if i % 4 else truth if i % 16 == 4 else nothing(truth),
        )
        for pair in pairs:
            taken += 1
            yield pair

    waited = [taken - tracked.index for tracked in Tracker(max_waiting).track(observed(counted()))]
    assert max(waited) <= behind
    assert max(waited) > behind / 2


def test_marks_between_key_frames_lie_on_the_potholes():
    road, interval = MovingRoad(POTHOLES, speed=12), 6
    marked, _ = follow(drive(road, 43, lambda i, truth: None if i % interval else truth))
    overlaps: dict[int, list[float]] = {}
    for index, marks in enumerate(marked):
        true = full_masks(road.picture(index)[1])
        for mask in full_masks(marks):
            iou = max(((mask & t).sum() / (mask | t).sum() for t in true), default=0.0)
            overlaps.setdefault(index % interval, []).append(float(iou))
    assert sorted(overlaps) == [0, 1, 2, 3, 4, 5]
    assert min(len(o) for o in overlaps.values()) > 15
    assert all(np.median(o) > 0.8 for o in overlaps.values()), overlaps
    assert np.mean(np.concatenate(list(overlaps.values())) > 0.5) > 0.95


def test_marks_neither_flicker_nor_slide_nor_jump_at_key_frames():
    """Though the detector's box is a little off each time."""
    road, off = MovingRoad([(0.3, 7.0, 0.5)], speed=4), np.random.default_rng(4).normal(0, 3, (5, 4))
    pairs = drive(road, 25, lambda i, t: None if i % 6 else rectangles(t.image_size, t.boxes + off[i // 6]))
    marked, _ = follow(pairs)
    assert ids(marked) == [[1]] * 25
    boxes = np.concatenate([marks.boxes for marks in marked])
    error = boxes - np.concatenate([road.picture(i)[1].boxes for i in range(25)])
    assert np.abs(error).max() < 1.2 * np.abs(off).max()
    assert np.abs(np.diff(error, axis=0)).max() < 0.4 * np.abs(np.diff(off, axis=0)).max()
    areas = [int(marks.masks[0].sum()) for marks in marked]
    assert np.abs(areas / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - 1).max() < 0.1


@pytest.mark.parametrize("backward", [False, True])
def test_pothole_that_the_edge_cuts_at_one_key_frame_is_whole_until_there(backward):
    """Forward it leaves the picture, backward it comes into it."""
    road, last = MovingRoad([(0.3, 3.5, 0.5)], speed=4), 6
    pictures = [road.picture(last - i if backward else i) for i in range(last + 1)]
    truth = [found for _, found in pictures]
    assert {found.boxes[0, 3] >= 359 for found in truth} == {False, True}
    pairs = [
        (replace(frame, index=i, pts=i, time=Fraction(i, 30)), truth[i] if i in {0, last} else None)
        for i, (frame, _) in enumerate(pictures)
    ]
    marked, _ = follow(pairs)
    for marks, true in zip(marked, truth, strict=True):
        (mask,), (expected,) = full_masks(marks), full_masks(true)
        assert (mask & expected).sum() / (mask | expected).sum() > 0.85
        assert marks.boxes[0, 3] == pytest.approx(true.boxes[0, 3], abs=4)


def test_what_only_one_of_two_key_frames_shows_is_marked_before_it_and_half_way_after_it():
    """Frame 8 shows it first, and frame 24 no more: it was last seen too long ago."""
    pairs = drive(
        MovingRoad(ONE, speed=3),
        33,
        lambda i, t: None if i % 8 else t if i in {8, 16} else nothing(t),
    )
    marked, _ = follow(pairs)
    assert [i for i, marks in enumerate(ids(marked)) if marks] == list(range(1, 29))


def test_pothole_that_leaves_between_key_frames_is_marked_to_the_edge():
    road = MovingRoad([(0.3, 3.0, 0.5)], speed=4)
    assert [len(road.picture(i)[1]) for i in range(9)] == [1] * 7 + [0] * 2
    marked, _ = follow(drive(road, 9, lambda i, truth: None if i % 8 else truth))
    assert ids(marked)[:6] == [[1]] * 6
    assert ids(marked)[7:] == [[]] * 2


def test_pothole_that_comes_in_over_the_edge_is_not_marked_before():
    road = MovingRoad([(0.3, 3.0, 0.5)], speed=4)
    pairs = []
    for index, (frame, truth) in enumerate(road.picture(12 - i) for i in range(13)):
        found = truth if index in {8, 12} else nothing(truth) if index == 0 else None
        pairs.append((replace(frame, index=index, pts=index, time=Fraction(index, 30)), found))
    marked, _ = follow(pairs)
    assert ids(marked)[7:] == [[1]] * 6
    for marks in marked:
        assert (marks.boxes[:, 2:] > marks.boxes[:, :2]).all()


def other_scene(index: int) -> Frame:
    """Further along: what was found is nowhere, though much looks as if it had hardly moved."""
    frame, _ = MovingRoad([]).picture(150)
    return replace(frame, index=index, pts=index, time=Fraction(index, 30))


def test_after_a_cut_nothing_floats_over_the_new_scene():
    pairs = drive(MovingRoad(ONE), 10, lambda i, truth: None if i % 3 else truth)
    pairs += [(other_scene(i), nothing(pairs[0][1]) if i == 13 else None) for i in range(10, 14)]
    marked, _ = follow(pairs)
    assert ids(marked) == [[1]] * 10 + [[]] * 4


def test_before_a_cut_nothing_is_there_of_the_scene_to_come():
    after = drive(MovingRoad(ONE), 19, lambda i, truth: None if i % 6 else truth)[11:]
    empty = Detections.empty((360, 640))
    before = [(other_scene(i), None if i % 6 else empty) for i in range(11)]
    marked, _ = follow(before + after)
    assert ids(marked) == [[]] * 11 + [[1]] * 8


def test_nothing_is_marked_half_way_between_two_scenes():
    """A pothole of the second scene, where one of the first was, is not led up to from there."""
    road, size = MovingRoad(ONE), (360, 640)
    first = drive(road, 10, lambda i, truth: None if i % 4 else truth)
    shift = np.array([40, 30, 40, 30])
    boxes = first[8][1].boxes
    later = [(other_scene(i), rectangles(size, boxes + shift) if i >= 12 else None) for i in range(10, 17)]
    marked, _ = follow(first + later)
    assert ids(marked[:10]) == [[1]] * 10
    for marks in marked[10:]:
        assert (np.abs(marks.boxes - boxes - shift) < 2).all()


def test_missed_pothole_stays_drawn_for_a_moment_and_keeps_its_id():
    pairs = drive(MovingRoad(ONE), 28, lambda i, truth: nothing(truth) if 10 <= i < 18 else truth)
    marked, tracker = follow(pairs)
    assert ids(marked) == [[1]] * 28
    (track,) = tracker.tracks()
    assert track.hits == 20


def test_long_missed_pothole_is_neither_drawn_nor_remembered():
    pairs = drive(MovingRoad(ONE, speed=4), 60, lambda i, truth: nothing(truth) if 10 <= i < 45 else truth)
    marked, _ = follow(pairs)
    assert ids(marked)[:20] == [[1]] * 20
    assert ids(marked)[23:45] == [[]] * 22
    assert ids(marked)[45:] == [[2]] * 15


def test_few_detections_count_when_they_are_far_apart_in_time():
    for rate, potholes in ((30, 0), (5, 1)):
        road = MovingRoad(ONE, rate=rate, speed=rate)
        _, tracker = follow(drive(road, 8, lambda i, truth: truth if i in {3, 4} else nothing(truth)))
        assert len(tracker.tracks()) == potholes


@pytest.mark.parametrize(
    ("rate", "speed", "score", "counted"),
    [
        (5, 40, 0.93, 1),  # a survey: nothing can be followed from one frame to the next
        (5, 40, 0.91, 0),
        (5, 2, 0.99, 0),  # a walk: it would be seen again
        (30, 40, 0.99, 0),
    ],
)
def test_one_sure_detection_counts_where_nothing_can_be_followed(rate, speed, score, counted):
    road = MovingRoad([(0.3, 8 + 3 * speed / rate, 0.5)], rate=rate, speed=speed)

    def see(i: int, truth: Detections) -> Detections:
        return replace(truth, scores=np.full(len(truth), score, np.float32)) if i == 3 else nothing(truth)

    tracker = Tracker(min_confidence=0.9)
    marked = [tracked.detections for tracked in tracker.track(observed(drive(road, 8, see)))]
    assert [len(marks) for marks in marked] == [0, 0, 0, counted, 0, 0, 0, 0]
    assert (tracker.count, tracker.uncounted) == (counted, 1 - counted)


@pytest.mark.parametrize(("every", "needed"), [(1, 5), (2, 3), (3, 2), (6, 2)])
def test_pothole_counts_by_how_long_it_is_seen_however_often_the_detector_looks(every, needed):
    """At 30 frames a second, more than two fifteenths of a second are five frames."""

    def tracks(looks: int) -> int:
        def see(i: int, truth: Detections) -> Detections | None:
            if i % every:
                return None
            return truth if 6 <= i // every < 6 + looks else nothing(truth)

        _, tracker = follow(drive(MovingRoad(ONE, rate=30, speed=2), 12 * every + 1, see))
        return len(tracker.tracks())

    assert (tracks(needed - 1), tracks(needed)) == (0, 1)


def test_single_frame_counts_its_potholes():
    (marks,), tracker = follow(drive(MovingRoad(POTHOLES), 1, lambda i, truth: truth))
    assert len(marks) >= 3
    assert sorted(marks.track_ids.tolist()) == list(range(1, len(marks) + 1))
    assert [t.hits for t in tracker.tracks()] == [1] * len(marks)


@pytest.mark.parametrize("interval", [1, 3])
def test_flash_is_neither_drawn_nor_counted(interval):
    flash = rectangles((360, 640), np.array([[20, 200, 60, 220]]))

    def see(index: int, truth: Detections) -> Detections | None:
        if index % interval:
            return None
        return both(truth, flash) if index == 9 else truth

    marked, tracker = follow(drive(MovingRoad(ONE), 28, see))
    assert ids(marked) == [[1]] * 28
    assert [t.id for t in tracker.tracks()] == [1]


@pytest.mark.parametrize("rate", [30, 5, 1])
def test_what_counts_is_drawn_with_its_id_from_its_first_detection_on(rate):
    pairs = drive(
        MovingRoad(ONE, rate=rate, speed=rate / 5), 14, lambda i, truth: truth if i >= 5 else nothing(truth)
    )
    marked, _ = follow(pairs)
    assert ids(marked) == [[]] * 5 + [[1]] * 9


@pytest.mark.parametrize(("shown_in", "potholes"), [(1, 0), (2, 1)])
def test_what_the_detector_misses_more_often_than_it_finds_is_not_counted(shown_in, potholes):
    """One that comes and goes is not drawn; one that is seen in two frames of three is, in all of them."""
    pairs = drive(
        MovingRoad(ONE, speed=4),
        61,
        lambda i, truth: truth if i % 3 < shown_in and i > 5 else nothing(truth),
    )
    marked, tracker = follow(pairs)
    assert len(tracker.tracks()) == potholes
    assert ids(marked) == [[]] * 6 + [list(range(1, potholes + 1))] * 55


def test_box_around_two_potholes_is_neither_drawn_nor_counted():
    def see(index: int, truth: Detections) -> Detections:
        around = np.concatenate([truth.boxes[:, :2].min(0), truth.boxes[:, 2:].max(0)])[None]
        return both(rectangles(truth.image_size, around, 0.95), truth) if index > 2 else truth

    marked, tracker = follow(drive(MovingRoad([(-0.5, 12.0, 0.4), (0.5, 12.0, 0.4)]), 15, see))
    assert ids(marked) == [[1, 2]] * 15
    assert [t.hits for t in tracker.tracks()] == [15, 15]


def test_part_of_a_pothole_is_neither_drawn_nor_counted_again():
    def see(index: int, truth: Detections) -> Detections:
        left, top, right, bottom = truth.boxes[0]
        part = rectangles(truth.image_size, np.array([[left, top, (left + right) / 2, bottom]]), 0.7)
        return both(truth, part)

    marked, tracker = follow(drive(MovingRoad([(0.3, 12.0, 0.6)]), 15, see))
    assert ids(marked) == [[1]] * 15
    assert len(tracker.tracks()) == 1


def test_missed_pothole_is_not_hidden_by_what_does_not_count():
    """Such as a part of it that flashes up, too small to be taken for it."""

    def see(index: int, truth: Detections) -> Detections:
        left, top, right, bottom = truth.boxes[0]
        corner = left + (right - left) / 8, top + (bottom - top) / 4
        return rectangles(truth.image_size, np.array([[left, top, *corner]])) if index in {8, 9} else truth

    marked, tracker = follow(drive(MovingRoad([(0.3, 6.0, 0.6)], speed=1), 15, see))
    assert ids(marked) == [[1]] * 15
    assert tracker.count == 1


def test_missed_pothole_is_not_drawn_over_one_that_is_detected():
    """Such as when what was found as two now is one."""

    def see(index: int, truth: Detections) -> Detections:
        left, top, right, bottom = truth.boxes[0]
        split = left + 0.6 * (right - left)
        halves = rectangles(
            truth.image_size, np.array([[left, top, split, bottom], [split, top, right, bottom]])
        )
        return halves if index < 6 else truth

    marked, _ = follow(drive(MovingRoad([(0.3, 6.0, 0.6)], speed=1), 15, see))
    assert ids(marked) == [[1, 2]] * 6 + [[1]] * 9


def test_next_pothole_at_the_same_place_of_the_picture_is_another():
    road = MovingRoad([(0.0, 7.0, 0.4), (0.0, 19.0, 0.4)], rate=15)
    _, tracker = follow(drive(road, 36, lambda i, truth: truth[truth.boxes[:, 3] > 180]))
    first, second = tracker.tracks()
    assert first.last_frame < second.first_frame


def test_track_tells_where_its_pothole_was_and_when_best_seen():
    road = MovingRoad(ONE, rate=10)

    def see(index: int, truth: Detections) -> Detections:
        score = np.array([0.97 if index == 6 else 0.6], np.float32)
        return replace(truth, scores=score) if index >= 2 else nothing(truth)

    _, tracker = follow(drive(road, 9, see))
    best_box = road.picture(6)[1].boxes[0]
    (track,) = tracker.tracks()
    assert (track.first_frame, track.last_frame, track.hits, track.best_frame) == (2, 8, 7, 6)
    assert (track.first_time, track.last_time) == (Fraction(2, 10), Fraction(8, 10))
    assert track.max_score == pytest.approx(0.97)
    assert track.best_box == pytest.approx(best_box.tolist())
    assert track.to_json() == {
        "id": 1,
        "first_frame": 2,
        "last_frame": 8,
        "first_time_s": 0.2,
        "last_time_s": 0.8,
        "hits": 7,
        "max_score": 0.97,
        "best_frame": 6,
        "best_box": [round(float(v), 1) for v in best_box],
    }


def test_pothole_that_left_the_picture_is_not_drawn_but_counted():
    road = MovingRoad([(0.3, 3.0, 0.5)], speed=3)
    marked, tracker = follow(drive(road, 30, lambda i, truth: truth))
    gone = [i for i in range(30) if not len(road.picture(i)[1])]
    assert len(gone) > 5
    assert not any(len(marked[i]) for i in gone)
    assert len(tracker.tracks()) == 1


def test_same_video_is_marked_the_same_each_time():
    def run() -> list[list[dict[str, object]]]:
        rng = np.random.default_rng(2)
        pairs = drive(MovingRoad(POTHOLES), 31, lambda i, truth: None if i % 5 else noisy(truth, rng, 0.2)[0])
        return [marks.to_json() for marks in follow(pairs)[0]]

    first = run()
    assert sum(map(len, first)) > 60
    assert first == run()


def test_boxes_outside_the_picture_are_no_trouble():
    boxes = np.array([[645, 10, 670, 20], [10, 10, 10, 30]])
    pairs = drive(MovingRoad([]), 9, lambda i, t: None if i % 2 else rectangles(t.image_size, boxes))
    assert len(follow(pairs)[0]) == 9


def test_nothing_found_nothing_counted():
    marked, tracker = follow(drive(MovingRoad([]), 9, lambda i, truth: None if i % 2 else truth))
    assert ids(marked) == [[]] * 9
    assert tracker.tracks() == []


def test_no_frames_no_trouble():
    marked, tracker = follow([])
    assert (marked, tracker.tracks()) == ([], [])


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (16, 16), (48, 64), (20, 400), (400, 2)])
def test_tiny_pictures_are_followed_too(size):
    height, width = size
    found = rectangles(size, np.array([[0, 0, width / 2, height / 2]]))
    rng = np.random.default_rng(0)
    pairs = [
        (frame_of(rng.integers(0, 255, size, dtype=np.uint8), i), found if i % 2 == 0 else None)
        for i in range(5)
    ]
    marked, tracker = follow(pairs)
    assert ids(marked)[0] == [1]
    assert tracker.count == 1


def test_parts_of_what_counts_are_not_told_of_and_flashes_are():
    def see(index: int, truth: Detections) -> Detections:
        left, top, right, bottom = truth.boxes[0]
        part = rectangles(truth.image_size, np.array([[left, top, (left + right) / 2, bottom]]), 0.7)
        flash = rectangles(truth.image_size, np.array([[20, 200, 60, 220]]))
        return both(both(truth, part), flash) if index == 6 else truth

    _, tracker = follow(drive(MovingRoad([(0.3, 12.0, 0.6)]), 15, see))
    assert (tracker.count, tracker.uncounted) == (1, 1)


def test_what_was_a_part_and_then_is_apart_counts():
    whole, size = np.array([100, 200, 200, 250]), (360, 640)

    def see(index: int, _: Detections) -> Detections:
        left = 170 + 8 * index
        return rectangles(size, np.array([whole, [left, 210, left + 40, 240]]))

    _, tracker = follow(drive(MovingRoad([], speed=0), 12, see))
    assert (tracker.count, tracker.uncounted) == (2, 0)


def test_part_of_what_one_frame_shows_alone_neither_counts_nor_is_told_of():
    road = MovingRoad([(0.3, 32.0, 0.5)], rate=5, speed=40)

    def see(index: int, truth: Detections) -> Detections:
        if index != 3:
            return nothing(truth)
        left, top, right, bottom = truth.boxes[0]
        part = rectangles(truth.image_size, np.array([[left, top, (left + right) / 2, bottom]]), 0.96)
        return both(part, replace(truth, scores=np.full(len(truth), 0.97, np.float32)))

    tracker = Tracker(min_confidence=0.9)
    marked = [tracked.detections for tracked in tracker.track(observed(drive(road, 6, see)))]
    assert ids(marked) == [[], [], [], [1], [], []]
    assert (tracker.count, tracker.uncounted) == (1, 0)

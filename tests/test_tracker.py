from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from moving_road import MovingRoad
from pothole.detections import Detections, pixel_boxes
from pothole.tracker import Tracker
from pothole.video import Frame

POTHOLES = [(-0.8, 9.0, 0.5), (1.2, 11.0, 0.35), (-2.0, 14.0, 0.4), (0.4, 16.0, 0.5), (2.2, 17.0, 0.5)]


def noisy(truth: Detections, rng: np.random.Generator, miss: float) -> tuple[Detections, list[int]]:
    """What a detector makes of the truth: misses, boxes a little off, other scores. And who is who."""
    kept = np.nonzero(rng.random(len(truth)) >= miss)[0]
    sizes = np.tile(truth.boxes[kept, 2:] - truth.boxes[kept, :2], 2)
    boxes = truth.boxes[kept] + rng.normal(0, 0.05, (len(kept), 4)) * sizes
    areas = pixel_boxes(boxes.astype(np.float32), truth.image_size)
    found = Detections(
        image_size=truth.image_size,
        boxes=boxes.astype(np.float32),
        scores=rng.uniform(0.5, 1, len(kept)).astype(np.float32),
        masks=tuple(np.ones((b - t, r - l), bool) for l, t, r, b in areas),  # noqa: E741
    )
    return found, truth.track_ids[kept].tolist()


def untracked(detections: Detections) -> Detections:
    return replace(detections, track_ids=np.zeros(len(detections), np.int32))


def full_masks(detections: Detections) -> dict[int, np.ndarray]:
    masks = {}
    for number, mask, (left, top, right, bottom) in zip(
        detections.track_ids.tolist(), detections.masks, detections.mask_boxes, strict=True
    ):
        masks[number] = np.zeros(detections.image_size, bool)
        masks[number][top:bottom, left:right] = mask
    return masks


@pytest.mark.parametrize(
    ("rate", "speed", "interval", "miss"),
    [(30, 10, 1, 0.0), (30, 10, 1, 0.25), (30, 10, 3, 0.1), (10, 10, 1, 0.1), (5, 5, 1, 0.1)],
)
def test_each_pothole_has_one_id_from_far_to_near(rate, speed, interval, miss):
    ids, tracker = drive(rate, speed, interval, miss)
    assert {number: len(i - {0}) for number, i in ids.items()} == dict.fromkeys(range(1, 6), 1)
    assert [t.id for t in tracker.tracks()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("rate", "speed"), [(5, 10), (5, 30), (1, 20)])
def test_potholes_that_jump_too_far_get_new_ids_at_worst(rate, speed):
    ids, tracker = drive(rate, speed, 1, 0.1)
    assert len(tracker.tracks()) <= 2 * len(ids)
    assert [t.id for t in tracker.tracks()] == list(range(1, len(tracker.tracks()) + 1))
    assert tracker.count == len(tracker.tracks())


def drive(rate: int, speed: float, interval: int, miss: float) -> tuple[dict[int, set[int]], Tracker]:
    """Track a drive past all potholes; return the ids that each got."""
    rng = np.random.default_rng(0)
    road, tracker = MovingRoad(POTHOLES, rate=rate, speed=speed), Tracker()
    ids: dict[int, set[int]] = {}
    for index in range(int(16 * rate / speed)):
        frame, truth = road.picture(index)
        if index % interval:
            tracker.propagate(frame)
            continue
        found, numbers = noisy(truth, rng, miss)
        out = tracker.update(found, frame)
        for number, track_id in zip(numbers, out.track_ids.tolist(), strict=False):
            ids.setdefault(number, set()).add(track_id)
    return ids, tracker


def test_after_a_cut_nothing_floats_over_the_new_scene():
    road, tracker = MovingRoad([(0.3, 12.0, 0.5)]), Tracker()
    for index in range(10):
        frame, truth = road.picture(index)
        tracker.update(untracked(truth), frame)
    other = cv2.resize(np.random.default_rng(5).integers(0, 255, (9, 16), dtype=np.uint8), (640, 360))
    cut = replace(frame, index=10, time=Fraction(10, 30), image=np.stack([other] * 3, 2))
    assert len(tracker.propagate(cut)) == 0
    cut = replace(cut, index=11, time=Fraction(11, 30))
    assert len(tracker.update(Detections.empty(truth.image_size), cut)) == 0


def test_potholes_between_detections_move_with_the_road():
    road, tracker = MovingRoad(POTHOLES), Tracker()
    overlaps: dict[int, list[float]] = {}
    for index in range(36):
        frame, truth = road.picture(index)
        if index % 6 == 0:
            out = tracker.update(untracked(truth), frame)
            number_of = dict(zip(out.track_ids.tolist(), truth.track_ids.tolist(), strict=False))
            continue
        out = tracker.propagate(frame)
        true = full_masks(truth)
        for track_id, mask in full_masks(out).items():
            if track_id and number_of.get(track_id) in true:
                expected = true[number_of[track_id]]
                overlaps.setdefault(index % 6, []).append((mask & expected).sum() / (mask | expected).sum())
    assert sorted(overlaps) == [1, 2, 3, 4, 5]
    assert np.median(overlaps[1]) > 0.8
    assert np.median(overlaps[5]) > 0.65


def test_propagated_potholes_neither_shake_nor_shrink():
    road, tracker = MovingRoad([(0.3, 8.0, 0.5)], size=(720, 1280)), Tracker()
    frame, truth = road.picture(0)
    tracker.update(untracked(truth), frame)
    boxes, areas = [], []
    for index in range(1, 10):
        frame, truth = road.picture(index)
        out = tracker.propagate(frame)
        boxes.append(out.boxes[0])
        areas.append(int(out.masks[0].sum()))
    bottoms = np.array(boxes)[:, 3]
    assert (np.diff(bottoms) > 0).all()
    assert np.diff(bottoms, 2).max() < 4
    assert (np.diff(areas) > 0).all()
    assert bottoms[-1] == pytest.approx(truth.boxes[0, 3], abs=10)


def test_missed_pothole_stays_drawn_for_a_moment_and_keeps_its_id():
    road, tracker = MovingRoad([(0.3, 12.0, 0.5)]), Tracker()
    drawn = []
    for index in range(30):
        frame, truth = road.picture(index)
        seen = not 10 <= index < 18
        out = tracker.update(untracked(truth) if seen else Detections.empty(truth.image_size), frame)
        drawn.append(out.track_ids.tolist())
    assert drawn == [[1]] * 30
    (track,) = tracker.tracks()
    assert track.hits == 22


def test_long_missed_pothole_is_neither_drawn_nor_remembered():
    road, tracker = MovingRoad([(0.3, 12.0, 0.5)], speed=4), Tracker()
    drawn = []
    for index in range(60):
        frame, truth = road.picture(index)
        seen = index < 10 or index >= 45
        out = tracker.update(untracked(truth) if seen else Detections.empty(truth.image_size), frame)
        drawn.append(out.track_ids.tolist())
    assert drawn[9:20] == [[1]] * 11
    assert drawn[23:45] == [[]] * 22
    assert drawn[50] == [2]


def test_few_detections_count_when_they_are_far_apart_in_time():
    for rate, potholes in ((30, 0), (5, 1)):
        road, tracker = MovingRoad([(0.3, 12.0, 0.5)], rate=rate, speed=rate), Tracker()
        for index in range(8):
            frame, truth = road.picture(index)
            seen = index in {3, 4}
            tracker.update(untracked(truth) if seen else Detections.empty(truth.image_size), frame)
        assert len(tracker.tracks()) == potholes


def test_single_frame_counts_its_potholes():
    frame, truth = MovingRoad(POTHOLES).picture(0)
    tracker = Tracker()
    out = tracker.update(untracked(truth), frame)
    assert sorted(out.track_ids.tolist()) == [1, 2, 3, 4, 5][: len(truth)]
    assert [t.hits for t in tracker.tracks()] == [1] * len(truth)
    assert len(truth) >= 3


def test_flash_in_one_frame_is_drawn_without_id_and_not_counted():
    road, tracker = MovingRoad([(0.3, 12.0, 0.5)]), Tracker()
    for index in range(20):
        frame, truth = road.picture(index)
        found = untracked(truth)
        if index == 9:
            found = replace(
                found,
                boxes=np.concatenate([found.boxes, np.array([[20, 200, 60, 220]], np.float32)]),
                scores=np.array([0.9, 0.8], np.float32),
                masks=(*found.masks, np.ones((20, 40), bool)),
                track_ids=np.zeros(2, np.int32),
            )
        out = tracker.update(found, frame)
        assert out.track_ids.tolist() == ([1, 0] if index == 9 else [1])
    assert [t.id for t in tracker.tracks()] == [1]


@pytest.mark.parametrize(("shown_in", "potholes"), [(1, 0), (2, 1)])
def test_what_the_detector_misses_more_often_than_it_finds_is_not_counted(shown_in, potholes):
    """One that comes and goes is drawn where it is seen; one that is seen in two frames of three counts."""
    road, tracker = MovingRoad([(0.3, 12.0, 0.5)], speed=4), Tracker()
    for index in range(1, 61):
        frame, truth = road.picture(index)
        seen = index % 3 < shown_in and index > 3
        out = tracker.update(untracked(truth) if seen else Detections.empty(truth.image_size), frame)
        assert len(out) >= seen
    assert len(tracker.tracks()) == potholes


def test_box_around_two_potholes_is_not_counted():
    road, tracker = MovingRoad([(-0.5, 12.0, 0.4), (0.5, 12.0, 0.4)]), Tracker()
    for index in range(15):
        frame, truth = road.picture(index)
        found = untracked(truth)
        if index > 2:
            around = np.concatenate([truth.boxes[:, :2].min(0), truth.boxes[:, 2:].max(0)])[None]
            (l, t, r, b), *_ = pixel_boxes(around, truth.image_size)  # noqa: E741
            found = replace(
                found,
                boxes=np.concatenate([around, truth.boxes]),
                scores=np.array([0.95, 0.9, 0.9], np.float32),
                masks=(np.ones((b - t, r - l), bool), *truth.masks),
                track_ids=np.zeros(3, np.int32),
            )
        tracker.update(found, frame)
    assert [t.hits for t in tracker.tracks()] == [15, 15]


def test_part_of_a_pothole_is_not_counted_again():
    road, tracker = MovingRoad([(0.3, 12.0, 0.6)]), Tracker()
    for index in range(15):
        frame, truth = road.picture(index)
        left, top, right, bottom = truth.boxes[0]
        part = np.array([[left, top, (left + right) / 2, bottom]], np.float32)
        (l, t, r, b), *_ = pixel_boxes(part, truth.image_size)  # noqa: E741
        both = replace(
            truth,
            boxes=np.concatenate([truth.boxes, part]),
            scores=np.array([0.9, 0.7], np.float32),
            masks=(*truth.masks, np.ones((b - t, r - l), bool)),
            track_ids=np.zeros(2, np.int32),
        )
        out = tracker.update(both, frame)
    assert len(out) == 2
    assert len(tracker.tracks()) == 1


def test_missed_pothole_is_not_drawn_over_one_that_is_detected():
    """Such as when the detector now finds a larger part of it."""
    road, tracker = MovingRoad([(0.3, 6.0, 0.6)], speed=3), Tracker()
    for index in range(12):
        frame, truth = road.picture(index)
        found = untracked(truth)
        if index < 6:
            left, top, right, bottom = truth.boxes[0]
            corner = left + (right - left) / 6, top + (bottom - top) / 4
            part = np.array([[left, top, *corner]], np.float32)
            (l, t, r, b), *_ = pixel_boxes(part, truth.image_size)  # noqa: E741
            found = replace(found, boxes=part, masks=(np.ones((b - t, r - l), bool),))
        out = tracker.update(found, frame)
        assert len(out) == 1


def test_next_pothole_at_the_same_place_of_the_picture_is_another():
    road, tracker = MovingRoad([(0.0, 7.0, 0.4), (0.0, 19.0, 0.4)], rate=15), Tracker()
    for index in range(36):
        frame, truth = road.picture(index)
        near = np.nonzero(truth.boxes[:, 3] > 180)[0]
        tracker.update(untracked(truth)[near], frame)
    first, second = tracker.tracks()
    assert first.last_frame < second.first_frame


def test_track_tells_where_its_pothole_was_and_when_best_seen():
    road, tracker = MovingRoad([(0.3, 12.0, 0.5)], rate=10), Tracker()
    boxes = []
    for index in range(9):
        frame, truth = road.picture(index)
        score = np.array([0.97 if index == 6 else 0.6], np.float32)
        seen = replace(untracked(truth), scores=score) if index >= 2 else Detections.empty(truth.image_size)
        tracker.update(seen, frame)
        boxes.append(truth.boxes[0])
    (track,) = tracker.tracks()
    assert (track.first_frame, track.last_frame, track.hits, track.best_frame) == (2, 8, 7, 6)
    assert (track.first_time, track.last_time) == (Fraction(2, 10), Fraction(8, 10))
    assert track.max_score == pytest.approx(0.97)
    assert track.best_box == pytest.approx(boxes[6].tolist())
    assert track.to_json() == {
        "id": 1,
        "first_frame": 2,
        "last_frame": 8,
        "first_time_s": 0.2,
        "last_time_s": 0.8,
        "hits": 7,
        "max_score": 0.97,
        "best_frame": 6,
        "best_box": [round(float(v), 1) for v in boxes[6]],
    }


def test_pothole_that_left_the_picture_is_not_drawn_but_counted():
    road, tracker = MovingRoad([(0.3, 3.0, 0.5)], speed=3), Tracker()
    drawn = []
    for index in range(30):
        frame, truth = road.picture(index)
        out = tracker.update(untracked(truth), frame)
        if not len(truth):
            drawn.append(len(out))
    assert len(drawn) > 5
    assert not any(drawn)
    assert len(tracker.tracks()) == 1


def test_each_job_counts_from_one():
    frame, truth = MovingRoad(POTHOLES).picture(0)
    ids = [Tracker().update(untracked(truth), frame).track_ids.tolist() for _ in range(2)]
    assert ids[0] == ids[1]


def test_boxes_outside_the_picture_are_no_trouble():
    road, tracker = MovingRoad([]), Tracker()
    for index in range(3):
        frame, truth = road.picture(index)
        width = truth.image_size[1]
        outside = Detections(
            image_size=truth.image_size,
            boxes=np.array([[width + 5, 10, width + 30, 20], [10, 10, 10, 30]], np.float32),
            scores=np.array([0.9, 0.9], np.float32),
            masks=(np.zeros((10, 0), bool), np.zeros((20, 0), bool)),
        )
        tracker.update(outside, frame)
        tracker.propagate(frame)


def test_nothing_found_nothing_counted():
    road, tracker = MovingRoad([]), Tracker()
    for index in range(5):
        frame, truth = road.picture(index)
        assert len(tracker.update(truth, frame)) == 0
        assert len(tracker.propagate(frame)) == 0
    assert tracker.tracks() == []


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (48, 64), (20, 400)])
def test_tiny_pictures_are_followed_too(size):
    height, width = size
    tracker = Tracker()
    for index in range(4):
        image = np.random.default_rng(index).integers(0, 255, (*size, 3), dtype=np.uint8)
        found = Detections(
            image_size=size,
            boxes=np.array([[0, 0, width / 2, height / 2]], np.float32),
            scores=np.array([0.9], np.float32),
            masks=(np.ones((-(-height // 2), -(-width // 2)), bool),),
        )
        frame = Frame(index, index, Fraction(index, 30), image)
        tracker.update(found, frame) if index % 2 == 0 else tracker.propagate(frame)
    assert tracker.tracks()

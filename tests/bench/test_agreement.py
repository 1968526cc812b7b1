"""How well two jobs agree, on hand-made data."""

import pytest

from agreement import Agreement, agree


def data_of(*frames: list[tuple[int, int, int, int]]) -> dict:
    """A job's data with rectangles, the far edge inclusive, and one pothole counted."""

    def mark(left: int, top: int, right: int, bottom: int) -> dict:
        return {"polygons": [[left, top, right, top, right, bottom, left, bottom]]}

    return {
        "video": {"width": 64, "height": 48},
        "frames": [{"potholes": [mark(*box) for box in boxes]} for boxes in frames],
        "tracks": [{"id": 1}],
    }


def test_the_same_marks_agree_altogether():
    data = data_of([(0, 0, 9, 9), (20, 20, 39, 29)], [], [(5, 5, 14, 14)])
    agreed = agree(data, data)
    assert (agreed.pixels, agreed.marks, agreed.same_marks) == (1, 1, 1)
    assert agreed.either == 100 + 200 + 100
    assert agreed.counted == (1, 1)


def test_what_only_one_shows_counts_against_it():
    both, more, off = (0, 0, 9, 9), (20, 20, 29, 29), (5, 0, 14, 9)
    missing = agree(data_of([both, more]), data_of([both]))
    assert (missing.pixels, missing.marks, missing.same_marks) == (0.5, 0.5, 1)
    assert agree(data_of([both]), data_of([both, more])).pixels == 0.5
    moved = agree(data_of([both]), data_of([off]))
    assert moved.each == (pytest.approx(50 / 150),)
    assert (moved.shared, moved.either) == (50, 150)


def test_videos_add_up():
    one = agree(data_of([(0, 0, 9, 9)]), data_of([]))
    other = agree(data_of([(0, 0, 9, 9)]), data_of([(0, 0, 9, 9)]))
    assert Agreement.pooled([one, other]) == Agreement(100, 200, (0.0, 1.0), (2, 2))

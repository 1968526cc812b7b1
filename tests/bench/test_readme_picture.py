"""The README's picture shows right marks alone, and misses nothing."""

from typing import Any

from readme_picture import best_frame

BOX = [100, 100, 180, 140]
ELSEWHERE = [300, 200, 380, 240]


def frame(*boxes: list[int], decoys: tuple[str, ...] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """A frame of the truth with potholes, and one of a report in which all are marked."""
    potholes = [{"id": i, "box": box, "plain": True} for i, box in enumerate(boxes)]
    marks = [{"track_id": i, "box": box} for i, box in enumerate(boxes)]
    return {"potholes": potholes, "decoys": [[kind, [5, 5]] for kind in decoys]}, {"potholes": marks}


def chosen(*frames: tuple[dict[str, Any], dict[str, Any]]) -> int | None:
    truth, report = zip(*frames, strict=True)
    best = best_frame({"width": 640, "height": 360, "frames": truth}, {"frames": report})
    return best[1] if best else None


def test_more_marks_are_better_and_then_a_manhole_in_view_and_then_their_size() -> None:
    larger = [100, 100, 200, 160]
    assert chosen(frame(BOX), frame(BOX, ELSEWHERE), frame(BOX)) == 1
    assert chosen(frame(BOX), frame(BOX, decoys=("manhole",)), frame(larger)) == 1
    assert chosen(frame(BOX), frame(larger), frame(BOX, decoys=("crack",))) == 1


def test_a_frame_with_a_false_a_missed_a_cut_or_an_ill_fitting_mark_is_not_taken() -> None:
    false, missed, none, uncounted = (frame(BOX, ELSEWHERE) for _ in range(4))
    false[0]["potholes"].pop()
    missed[1]["potholes"].pop()
    none[0]["potholes"].clear(), none[1]["potholes"].clear()
    uncounted[1]["potholes"][0]["track_id"] = None
    ill = frame(BOX)
    ill[1]["potholes"][0]["box"] = [100, 100, 180, 122]
    cut = frame([0, 100, 80, 140])
    assert chosen(false, missed, none, uncounted, ill, cut) is None
    far = frame(BOX, ELSEWHERE)
    far[0]["potholes"][1]["plain"] = False  # nobody would miss it
    far[1]["potholes"].pop()
    assert chosen(false, far) == 1

"""The figures of videos: hand-made truths and marks, and the command on a road of a few frames."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import demo
import video_figures
from matching import VideoFigures, compare, pool, taken_for_potholes
from support.fakes import MAGENTA, MagentaDetector
from video_figures import Drive, RememberingDetector

WIDTH = 640
LEFT, MIDDLE, RIGHT = (0, 100, 40, 120), (200, 100, 240, 120), (400, 100, 440, 120)


def truth_of(*frames: dict[int, tuple[int, int, int, int]], plain: bool = True) -> dict:
    """The truth of frames in which each pothole has a box; they come a metre nearer in each."""
    records = [
        [{"id": k, "box": box, "distance_m": 20.0 - i, "plain": plain} for k, box in potholes.items()]
        for i, potholes in enumerate(frames)
    ]
    return {
        "width": WIDTH,
        "rate": "2",
        "frames": [{"index": i, "potholes": r} for i, r in enumerate(records)],
    }


def report_of(*frames: list[tuple[int | None, tuple[int, int, int, int]]]) -> dict:
    """A job's data with the track and the box of each mark."""
    tracks = sorted({track for marks in frames for track, _ in marks if track})
    return {
        "frames": [{"potholes": [{"track_id": t, "box": box} for t, box in marks]} for marks in frames],
        "tracks": [{"id": t} for t in tracks],
    }


def test_each_kind_of_track_is_told_apart():
    truth = truth_of(*[{1: LEFT, 2: MIDDLE, 3: RIGHT, 4: (500, 100, 510, 104)}] * 6)
    small, nothing = (500, 100, 510, 104), (300, 300, 340, 320)
    report = report_of(
        [(None, LEFT)],
        [(1, LEFT)],
        [(1, LEFT), (2, small)],
        [(5, LEFT), (2, small), (3, nothing)],
        [(5, LEFT), (4, RIGHT)],
        [(4, RIGHT)],
    )
    figures = compare(truth, report)
    assert figures == VideoFigures(
        seconds=3.0,
        there=3,
        found=2,
        twice=1,
        false_tracks=1,
        smaller=1,
        switches=1,
        first_distances=(19.0, 16.0),
    )
    assert (figures.counted, figures.missed, figures.false_per_minute) == (4, 1, 20)


def test_pothole_that_nobody_would_mark_is_not_there():
    assert compare(truth_of({1: LEFT}, plain=False), report_of([])).there == 0


def test_track_that_soon_leaves_its_pothole_is_false():
    away = (LEFT[0] + 30, LEFT[1], LEFT[2] + 30, LEFT[3])
    figures = compare(truth_of(*[{1: LEFT}] * 5), report_of([(1, LEFT)], [(1, LEFT)], *[[(1, away)]] * 3))
    assert (figures.found, figures.false_tracks) == (0, 1)


def test_pair_holds_even_where_another_mark_overlaps_more():
    near = (LEFT[0] + 10, LEFT[1], LEFT[2] + 10, LEFT[3])
    figures = compare(truth_of(*[{1: LEFT}] * 3), report_of([(1, near)], *[[(1, near), (2, LEFT)]] * 2))
    assert (figures.found, figures.false_tracks, figures.switches) == (1, 1, 0)


def test_marks_go_to_the_potholes_where_they_overlap_most_in_all():
    """The best single pair would leave the other pothole without a mark."""
    truth = truth_of({1: (0, 100, 40, 120), 2: (20, 100, 60, 120)})
    report = report_of([(1, (11, 100, 51, 120)), (2, (25, 100, 65, 120))])
    figures = compare(truth, report)
    assert (figures.found, figures.false_tracks) == (2, 0)


def test_figures_of_videos_add_up():
    one = compare(truth_of({1: LEFT, 2: MIDDLE}), report_of([(1, LEFT)]))
    assert pool([one, one]) == VideoFigures(1.0, 4, 2, 0, 0, 0, 0, (20.0, 20.0))


def test_potholes_are_there_that_any_frame_shows_though_the_job_was_given_every_third_alone():
    truth = truth_of({1: LEFT}, {1: LEFT, 2: MIDDLE}, {}, {1: LEFT}, {}, {})
    figures = compare(truth, report_of([(1, LEFT)], [(1, LEFT)]), 3)
    assert (figures.there, figures.found, figures.false_tracks, figures.seconds) == (2, 1, 0, 3.0)


def test_detections_are_remembered_for_the_next_run(tmp_path: Path):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:20, 20:40] = MAGENTA
    first = RememberingDetector(MagentaDetector(), tmp_path / "model" / "clip.pickle")
    [found] = first.predict([picture])
    first.save()

    class Broken(MagentaDetector):
        def predict(self, *args):
            raise AssertionError("the network ran again")

    again = RememberingDetector(Broken(), tmp_path / "model" / "clip.pickle")
    [remembered] = again.predict([picture])
    assert remembered.boxes.tolist() == found.boxes.tolist() == [[20, 10, 40, 20]]
    with pytest.raises(AssertionError, match="ran again"):
        again.predict([picture], 0.7)
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["clip.pickle"]


def test_command_prints_tables_of_what_the_job_counts(tmp_path: Path, monkeypatch, capsys):
    drives = (Drive(4, 12, Fraction(6), 10, 8),)
    monkeypatch.setattr(video_figures, "SIZE", (180, 320))
    monkeypatch.setattr(video_figures, "DRIVES", drives)
    monkeypatch.setattr(video_figures, "load_model", lambda folder: MagentaDetector())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "cache" / "roads").mkdir(parents=True)
    empty, _ = video_figures.render(drives[0], tmp_path / "cache" / "roads")
    figures_file = tmp_path / "figures.json"
    command = f"--model {tmp_path}/model --cache {tmp_path}/cache --json {figures_file}"
    video_figures.main([*command.split(), "--empty", str(empty), str(tmp_path / "gone.mp4")])

    printed = capsys.readouterr()
    head, rule, road, pooled, _, summary, _, agreed, _, _, _, empty_head, *_ = printed.out.splitlines()
    assert head.startswith("| road | light | m/s |") and rule.startswith("| --- |")
    assert head.count("|") == rule.count("|") == road.count("|") == pooled.count("|")
    figures = json.loads(figures_file.read_text())
    assert figures["roads"]["4"]["there"] > 0
    assert summary == f"Counted 0 where there are {figures['all']['there']}: -100%."
    assert agreed.startswith("| IoU with every frame: all pixels |")
    assert figures["agreement"]["counted"] == figures["agreement"]["counted_every_frame"] == 0
    assert empty_head.startswith("| video without potholes |")
    assert figures["empty"] == {empty.name: {"seconds": 2.0, "false_tracks": 0, "marked_frames": 0}}
    assert "gone.mp4 is not there" in printed.err.replace("\n", "")

    video_figures.main([*command.split(), "--thin", "3"])
    road = capsys.readouterr().out.splitlines()[2]
    assert road.split(" | ")[3:5] == ["2", "2.0"]


def test_what_was_taken_for_a_pothole_is_named_and_the_demo_says_so():
    truth = truth_of(*[{1: LEFT, 2: RIGHT}] * 3)
    for frame in truth["frames"]:
        frame["decoys"] = [["manhole", (220.0, 110.0)], ["stain", (20.0, 110.0)]]
    nothing = (300, 300, 340, 320)
    report = report_of(*[[(1, LEFT), (2, MIDDLE), (3, nothing), (None, nothing)]] * 3)
    assert taken_for_potholes(truth, report) == {"manhole": 1, "other": 1}
    assert demo.verdict(truth, report) == "1 of 2 found, 2 false (manhole, other)"
    assert demo.verdict(truth, report_of(*[[(1, LEFT), (2, RIGHT)]] * 3)) == "2 of 2 found"

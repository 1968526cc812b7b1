"""The figures of speed: arithmetic by hand, and the command on a clip of a few frames."""

import argparse
import io
import json
import re
import sys
import time
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

import speed_cost
import speed_figures
import speed_plot
from pothole.media import Video
from speed import serving
from speed import steps as steps_module
from speed.clips import Clip, mixed, repeated
from speed.figures import memory_table, row_figures, rows_table, spread
from speed.process import Failed, Run, memory_mb, run, started_process
from speed.rows import Row, smart_rows
from support.clips import make_clip

CLIP = Clip(Path("clip.mp4"), 1280, 720, Fraction(30), 300)


def took(seconds: float, cpu_seconds: float = 4.0) -> Run:
    return Run({"frames": 300, "seconds": seconds, "cpu_seconds": cpu_seconds}, seconds + 1, 500.0)


def test_ratio_is_taken_within_a_round_so_that_drift_does_not_count():
    """The machine is four times slower in the second round: the ratio of each round is 0.5 all the same."""
    rows = [Row("transcode", "transcode only", CLIP, []), Row("job", "whole job", CLIP, [])]
    runs = {"transcode": [took(3), took(12), took(3)], "job": [took(6), took(24), took(4)]}
    transcode, job = row_figures(rows, runs)
    assert transcode["ratio"]["all"] == [1, 1, 1]
    assert job["ratio"] == {"median": 0.5, "low": 0.5, "high": 0.75, "all": [0.5, 0.5, 0.75]}
    assert job["fps"] == {"median": 50, "low": 12.5, "high": 75, "all": [50, 12.5, 75]}
    assert job["cpu_ms"]["median"] == pytest.approx(13.33, abs=0.01)
    assert "| whole job | 1280×720 | 50.0 (12.5 to 75.0) | 0.500 (0.500 to 0.750) | 13.3 | 500 | 7.0 |" in (
        rows_table([transcode, job])
    )


def test_growth_of_memory_is_of_the_longest_over_the_shortest():
    memory = [
        {"minutes": 1, "frames": 1800, "peak_mb": 500.0},
        {"minutes": 10, "frames": 9, "peak_mb": 520.0},
    ]
    assert memory_table(memory).endswith("| growth |  | +4.0% |")


def test_plot_is_a_picture_with_a_bar_for_each_row_on_the_shared_clip():
    names = {"transcode": 120.0, "new": 90.0, "job_1080p": 40.0}
    rows = [
        {
            "name": name,
            "title": f"<{name}>",
            "reference": "transcode" if name != "job_1080p" else "transcode_1080p",
            "fps": spread([fps, 1.1 * fps, 0.9 * fps]),
        }
        for name, fps in names.items()
    ]
    measured = {
        "rows": rows,
        "clip": {"size": [1280, 720], "rate": "30"},
        "machine": {"cores": 2},
        "rounds": 3,
    }
    picture = ET.fromstring(speed_plot.svg(measured))
    texts = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert texts[1:] == ["read and write, nothing found: the limit", "4.0×", "<new>", "3.0×"]
    bars = [float(e.attrib["width"]) for e in picture.iter() if e.tag.endswith("rect") and "y" in e.attrib]
    assert bars[1] / bars[0] == pytest.approx(0.75, abs=0.01)


def test_cost_of_an_hour_of_video_follows_the_formula(tmp_path: Path, capsys):
    figures = tmp_path / "speed.json"
    figures.write_text(json.dumps({"rows": [{"name": "job", "fps": spread([60.0])}]}))
    speed_cost.main([str(figures), "slow=0.2", "fast=0.3:120", "--rate", "30"])
    _, _, slow, fast = capsys.readouterr().out.splitlines()
    assert slow == "| slow | 60.0 | 0.500 | 0.2 | 0.1000 |"
    assert fast == "| fast | 120.0 | 0.250 | 0.3 | 0.0750 |"
    with pytest.raises(SystemExit):
        speed_cost.main([str(figures), "fast=0.3:0"])
    assert "'fast=0.3:0' is not NAME=PRICE or NAME=PRICE:FPS" in capsys.readouterr().err


def test_repeated_clip_goes_on_without_a_gap_and_keeps_its_audio(tmp_path: Path):
    clip = Clip.of(make_clip(tmp_path / "clip.mp4", frames=30, audio="aac"))
    assert (clip.frames, clip.seconds) == (30, 1.0)
    path = repeated(clip, 0.05, tmp_path)
    with Video.open(path) as video:
        times = [frame.time for frame in video.frames()]
        assert video.info.scan.sounds
    assert times == [Fraction(i, 30) for i in range(90)]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_without_a_clip_a_rendered_road_is_shown_some_times_over_in_each_size(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(speed_figures, "SIZES", ((96, 160), (128, 224)))
    clips = speed_figures.roads(argparse.Namespace(cache=tmp_path, seconds=0.2))
    assert [(clip.height, clip.width, clip.frames) for clip in clips] == [(96, 160, 18), (128, 224, 18)]


def test_a_partly_marked_road_has_its_potholes_in_so_many_of_its_gops(tmp_path: Path):
    def dark(number: int):
        return np.full((48, 64, 3), 20, np.uint8)

    def bright(number: int):
        return np.full((48, 64, 3), 200, np.uint8)

    plain, marked = (
        Clip.of(make_clip(tmp_path / f"{picture.__name__}.mp4", 240, picture=picture))
        for picture in (dark, bright)
    )
    for percent, gops in ((0, 0), (25, 2), (100, 8)):
        path = mixed(marked, plain, percent, tmp_path)
        with av.open(path) as container:
            is_bright = [frame.to_ndarray()[0, 0] > 100 for frame in container.decode(video=0)]
        assert is_bright == [False] * (240 - 30 * gops) + [True] * 30 * gops
        with av.open(path) as container:
            firsts = [packet.pts * packet.time_base for packet in container.demux() if packet.is_keyframe]
        assert firsts == list(range(8))
    rows = smart_rows({25: Clip.of(path)})
    assert [row.reference for row in rows] == [rows[0].name] * 2


def test_memory_of_children_counts_and_none_outlives_its_row(tmp_path: Path):
    hold = "import os, time; b = bytearray(80 << 20); print(f'held by {os.getpid()}.'); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-uc', {hold!r}])"
    log = tmp_path / "log"
    with started_process([sys.executable, "-c", parent], {}, log) as process:
        while not (held := re.search(r"held by (\d+)\.", log.read_text())):
            assert process.poll() is None
        assert memory_mb(process.pid) > 80
    child = Path("/proc", held[1], "stat")
    deadline = time.monotonic() + 10
    while child.exists() and child.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline


def test_failed_row_says_what_it_wrote_last():
    with pytest.raises(Failed, match=r"ended with status 1\.\nno such thing"):
        run([sys.executable, "-c", "raise SystemExit('no such thing')"], {})


@pytest.mark.slow
def test_command_measures_in_turn_and_goes_on_without_a_peer_that_fails(tmp_path: Path, monkeypatch, capsys):
    clip = make_clip(tmp_path / "clip.mp4", frames=6, size=(128, 96), audio="aac")
    broken = Row("supervision", "broken", CLIP, [sys.executable, "-c", "raise SystemExit('no wheel')"])
    monkeypatch.setattr(speed_figures, "peer_rows", lambda *_: ([broken], {"ultralytics": "not installed"}))
    monkeypatch.setattr(speed_figures, "CLIENTS", (2,))
    monkeypatch.setattr(serving, "ASKED_S", 0.2)
    out = tmp_path / "speed.json"
    only = ["job", "opencv", "stages", "server", "supervision", "ultralytics"]
    command = [str(clip), "--rounds", "1", "--cache", str(tmp_path), "--json", str(out), "--only", *only]
    assert speed_figures.main(command) == 0

    measured = json.loads(out.read_text())
    rows = {row["name"]: row for row in measured["rows"]}
    assert list(rows) == ["transcode", "job", "opencv"]
    assert {row["frames"] for row in rows.values()} == {6}
    speeds = [rows[name]["fps"]["median"] for name in ("job", "transcode")]
    assert rows["job"]["ratio"]["median"] == pytest.approx(speeds[0] / speeds[1])
    assert rows["job"]["peak_mb"]["median"] > 100
    assert "no wheel" in measured["skipped"]["supervision"] and "ultralytics" in measured["skipped"]
    assert set(measured["stages"]) == {"decode", "flow", "detect", "track", "draw", "encode"}
    [server] = measured["server"]
    assert server["clients"]["median"] == 2 and server["start_s"]["median"] > 0
    assert server["p99_ms"]["median"] >= server["p50_ms"]["median"] > 0
    printed = capsys.readouterr()
    assert re.search(r"^\| whole job \| 128×96 \| [\d.]+ \(", printed.out, re.MULTILINE)
    assert "ultralytics is left out: not installed" in printed.err
    assert "round 1 of 1, whole job" in printed.err

    assert speed_figures.main([*command[:-6], "jobs"]) == 1
    assert "There is no jobs. Known are transcode, job," in capsys.readouterr().err


def test_clip_that_is_not_there_is_named(tmp_path: Path, capsys):
    assert speed_figures.main([str(tmp_path / "gone.mp4"), "--cache", str(tmp_path)]) == 1
    assert "gone.mp4" in capsys.readouterr().err


def test_each_step_says_which_it_is_and_what_is_left(monkeypatch):
    now = iter([0.0, 300.0, 330.0])
    monkeypatch.setattr(steps_module.time, "monotonic", lambda: next(now))
    console = Console(file=io.StringIO(), width=100)
    steps = steps_module.Steps(3, console)
    for title in ("a", "b", "c"):
        with steps.step(title):
            pass
    lines = console.file.getvalue().splitlines()
    assert lines == ["1 of 3: a", "2 of 3: b; about 10 min left", "3 of 3: c; about 3 min left"]


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("fpu avx2 avx512f avx512_vnni", "AVX-512 with VNNI"),
        ("fpu avx2 avx_vnni", "AVX2 with VNNI"),
        ("fpu avx2", "AVX2 without VNNI"),
        ("fpu", "no AVX2 without VNNI"),
    ],
)
def test_the_kind_of_cpu_is_said(flags, kind):
    assert speed_figures.cpu_kind(f"model name\t: X\nflags\t\t: {flags}\n") == kind

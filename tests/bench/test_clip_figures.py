"""Thinned videos, and the figures of clips whose frames are annotated pictures."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import clip_figures
from pothole import Video
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector
from thinning import thinned

SIZE = 96, 128


def pictures_of(path: Path) -> list[np.ndarray]:
    with av.open(path) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


@pytest.mark.parametrize(("every", "kept"), [(2, [0, 2, 4, 6]), (5, [0, 5]), (9, [0])])
def test_a_thinned_video_has_every_nth_frame_pixel_for_pixel(tmp_path, every, kept):
    clip = make_clip(tmp_path / "clip.mp4", 7, rate=Fraction(30000, 1001))
    thin = thinned(clip, every, tmp_path / "thin")
    assert len(pictures_of(thin)) == len(kept)
    for index, picture in zip(kept, pictures_of(thin), strict=True):
        assert (picture == pictures_of(clip)[index]).all()
    with Video.open(thin) as video:
        assert [frame.time for frame in video.frames()] == [Fraction(1001 * i, 30000) for i in kept]


def test_all_frames_are_the_video_itself(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 2)
    assert thinned(clip, 1, tmp_path) == clip


def street(number: int) -> np.ndarray:
    """A street with two potholes, one of which nobody has outlined."""
    picture = np.full((*SIZE, 3), 99, np.uint8)
    picture[40:60, 20:50] = picture[70:90, 80:110] = MAGENTA
    return picture


def test_command_prints_a_row_for_each_clip_and_rate(tmp_path: Path, monkeypatch, capsys):
    """The outlines are of pictures of half the size."""
    clip = make_clip(tmp_path / "street.mp4", 6, rate=4, size=SIZE[::-1], picture=street)
    empty = make_clip(tmp_path / "empty.mp4", 6, rate=4, size=SIZE[::-1], picture=street)
    frames = [{"frame": i, "file_name": f"{i}.jpg"} for i in range(6)]
    (tmp_path / "street.frames.json").write_text(json.dumps(frames))
    images = [{"id": i, "file_name": f"images/{i}.jpg", "width": 64, "height": 48} for i in range(6)]
    outlines = [{"id": i + 1, "image_id": i, "bbox": [10, 20, 15, 10]} for i in range(5)]
    annotations = tmp_path / "annotations.json"
    annotations.write_text(json.dumps({"images": images, "annotations": outlines}))
    monkeypatch.setattr(clip_figures, "load_model", lambda folder: MagentaDetector())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    command = f"--model {tmp_path}/model --cache {tmp_path}/cache --json {tmp_path}/figures.json --thin 1 2"
    clip_figures.main([str(clip), str(empty), "--annotations", str(annotations), *command.split()])

    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|") == rows[0].count("|")
    assert rows == [
        "| street.mp4 | 1 | 4 | 6 | 5 | 5 | 1 | 1 | 0 |",
        "| street.mp4 | 2 | 2 | 3 | 3 | 3 | 1 | 1 | 0 |",
        "| empty.mp4 | 1 | 4 | 6 | 0 | 0 | 0 | 2 | 0 |",
        "| empty.mp4 | 2 | 2 | 3 | 0 | 0 | 0 | 2 | 0 |",
    ]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [f["right"] for f in figures] == [1, 1, 0, 0]

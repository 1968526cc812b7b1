"""Names of files are any bytes: neither UTF-8, nor free of what terminals and templates read as their own."""

import json
import os
import sys
from pathlib import Path

import pytest

from pothole.entrypoints.cli import common, main
from pothole.media.picture import encode_picture
from support.clips import make_clip
from support.datasets import write_dataset
from support.fakes import MagentaDetector
from support.pictures import road

LATIN = "straße".encode("latin-1")
SHOWN = r"stra\xdfe"


@pytest.fixture(autouse=True)
def magenta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "load_detector", lambda folder, _: MagentaDetector())


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["pothole", *map(str, words)])
    main.main()


def latin(folder: Path, suffix: str) -> Path:
    return folder / os.fsdecode(LATIN + suffix.encode())


def test_marks_a_video_whose_name_is_no_utf8(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    run(monkeypatch, "mark", make_clip(latin(tmp_path, ".mp4"), 3))
    seen = capsysbinary.readouterr()
    assert [Path(os.fsdecode(line)) for line in seen.out.splitlines()] == [
        latin(tmp_path, "_output.mp4"),
        latin(tmp_path, "_output.json"),
    ]
    assert f"{SHOWN}.mp4".encode() in seen.err
    report = json.loads(latin(tmp_path, "_output.json").read_text("utf-8"))
    assert report["source"] == f"{tmp_path}/{SHOWN}.mp4"
    run(monkeypatch, "mark", latin(tmp_path, ".mp4"))  # which it knows to be its own


def test_marks_pictures_whose_names_are_no_utf8(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    folder = latin(tmp_path, "")
    folder.mkdir()
    latin(folder, ".png").write_bytes(encode_picture(road(), "image/png"))
    latin(folder, ".jpg").write_text("no picture")
    run(monkeypatch, "mark", folder, "--output-dir", tmp_path / "out")
    report = json.loads(latin(tmp_path / "out", "_output.json").read_text("utf-8"))
    assert [taken["file"] for taken in report["pictures"]] == [f"{SHOWN}.png"]
    assert f"left out: {SHOWN}.jpg".encode() in capsysbinary.readouterr().err


def test_detects_in_pictures_whose_names_are_no_utf8(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    picture, out = latin(tmp_path, ".png"), latin(tmp_path, "")
    picture.write_bytes(encode_picture(road(), "image/png"))
    run(monkeypatch, "detect", picture, "--output-dir", out, "--json", tmp_path / "found.json")
    (marked,) = capsysbinary.readouterr().out.splitlines()
    assert Path(os.fsdecode(marked)) == out / latin(out, "_output.jpg")
    (found,) = json.loads((tmp_path / "found.json").read_text())
    assert found["file"] == f"{tmp_path}/{SHOWN}.png"


def test_measures_on_a_folder_whose_name_is_no_utf8(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = write_dataset(latin(tmp_path, ""), file_name=os.fsdecode(LATIN) + "{}.png")
    run(monkeypatch, "evaluate", data, "--page", latin(tmp_path, ".html"))
    assert "stra" in latin(tmp_path, ".html").read_text("utf-8")


@pytest.mark.parametrize("name", ["{b}.mp4", "[red]a.mp4", "100%s.mp4"])
def test_shows_names_with_brackets_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    run(monkeypatch, "mark", make_clip(tmp_path / name, 3))
    shown = capsys.readouterr().err
    assert shown.count(name) == 2, "in the bar and in the table"

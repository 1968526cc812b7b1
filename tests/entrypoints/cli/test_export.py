"""The pictures that a model is calibrated on."""

from itertools import pairwise
from pathlib import Path

import pytest

from pothole.detection.runtimes import export as exporting
from pothole.entrypoints.cli import main


def calibrated_on(monkeypatch, folder: Path) -> list[str]:
    """The names of the pictures with which `pothole export` calibrates; what it makes of them is left out."""
    used = []

    def export(model, pictures, max_pixels, update):
        used.extend(path.name for path in pictures)
        return model

    monkeypatch.setattr(exporting, "export", export)
    monkeypatch.setattr("sys.argv", ["pothole", "export", str(folder), "--calibrate", str(folder)])
    main.main()
    return used


def test_a_model_is_calibrated_on_pictures_from_all_of_a_folder(monkeypatch, tmp_path):
    for number in range(239):
        (tmp_path / f"{number:03}.jpg").touch()
    used = calibrated_on(monkeypatch, tmp_path)
    assert len(used) == len(set(used)) == 120
    steps = {int(b[:3]) - int(a[:3]) for a, b in pairwise(used)}
    assert steps == {1, 2}
    assert (used[0], used[-1]) == ("000.jpg", "237.jpg")


def test_a_model_is_calibrated_on_all_kinds_of_pictures_but_no_marked_ones(monkeypatch, tmp_path):
    for name in ("a.HEIC", "b.webp", "c.jpg", "c_output.jpg", "d.txt"):
        (tmp_path / name).touch()
    assert calibrated_on(monkeypatch, tmp_path) == ["a.HEIC", "b.webp", "c.jpg"]


def test_a_folder_without_pictures_is_refused_before_anything_is_calibrated(monkeypatch, tmp_path):
    (tmp_path / "note.txt").touch()
    with pytest.raises(SystemExit, match="holds no picture"):
        calibrated_on(monkeypatch, tmp_path)

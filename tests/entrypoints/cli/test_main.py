"""The `pothole` command on real files, with a detector that sees magenta."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.entrypoints.cli import common, main
from pothole.media import Video
from pothole.media.picture import encode_picture
from support.clips import make_clip, numbered_image
from support.datasets import write_dataset, write_regions
from support.fakes import MAGENTA, MagentaDetector, Oracle


@pytest.fixture(autouse=True)
def magenta(monkeypatch, tmp_path):
    """Every model folder holds the magenta detector."""
    asked = []
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(common, "load_detector", lambda folder, _: asked.append(folder) or MagentaDetector())
    return asked


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["pothole", *map(str, words)])
    main.main()


def patched(number):
    """A numbered picture with one pothole that stays where it is."""
    image = numbered_image(number, (128, 96))
    image[40:60, 30:70] = MAGENTA
    return image


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "road.mov", frames=8, size=(128, 96), picture=patched, audio="aac")


def test_mark_writes_video_and_data_and_names_them(monkeypatch, capsys, clip, tmp_path):
    run(monkeypatch, "mark", clip, "--output-dir", tmp_path / "out", "--model", tmp_path / "mine")
    named = capsys.readouterr().out.split()
    assert sorted(Path(n).name for n in named) == ["road_output.json", "road_output.mp4"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["road_output.json", "road_output.mp4"]
    with Video.open(tmp_path / "out" / "road_output.mp4") as marked:
        assert len(list(marked.frames())) == 8
        assert marked.info.scan.sounds
    report = json.loads((tmp_path / "out" / "road_output.json").read_text())
    assert len(report["tracks"]) == 1 and len(report["frames"]) == 8


def test_mark_uses_the_model_that_is_asked_for(monkeypatch, clip, tmp_path, magenta):
    run(monkeypatch, "mark", clip, "--model", tmp_path / "mine", "--preview")
    assert magenta == [tmp_path / "mine"]


def test_preview_marks_the_first_frame_only(monkeypatch, clip):
    run(monkeypatch, "mark", clip, "--preview", "--frame-interval", "2", "--min-confidence", "0.3")
    with Video.open(clip.with_name("road_preview_output.mp4")) as marked:
        assert len(list(marked.frames())) == 1


def test_a_missing_video_is_one_sentence(monkeypatch, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "mark", tmp_path / "none.mp4")
    assert str(stopped.value.code).startswith("pothole: There is no file") and "none.mp4" in str(
        stopped.value.code
    )


@pytest.mark.parametrize(
    "flags", [("--frame-interval", "0"), ("--min-confidence", "1.5"), ("--frame-interval", "two")]
)
def test_a_wrong_flag_is_refused_by_name(monkeypatch, capsys, clip, flags):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "mark", clip, *flags)
    assert stopped.value.code == 2 and flags[0] in capsys.readouterr().err


@pytest.mark.parametrize("flags", [("--count", "1001"), ("--random", "-1"), ("--gap", "nan")])
def test_no_more_is_collected_than_a_person_corrects(monkeypatch, capsys, clip, tmp_path, flags):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "collect", clip, "--out", tmp_path / "out", *flags)
    assert stopped.value.code == 2 and flags[0] in capsys.readouterr().err


def test_detect_writes_marked_pictures_and_json(monkeypatch, capsys, tmp_path):
    pictures = []
    for i in range(2):
        image = np.full((96, 128, 3), 90, np.uint8)
        image[40:60, 30 : 70 + 10 * i] = MAGENTA
        pictures.append(tmp_path / f"{i}.png")
        pictures[i].write_bytes(encode_picture(image, "image/png"))
    run(monkeypatch, "detect", *pictures, "--output-dir", tmp_path / "out", "--json", tmp_path / "found.json")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0_output.jpg", "1_output.jpg"]
    records = json.loads((tmp_path / "found.json").read_text())
    assert [r["file"] for r in records] == [str(p) for p in pictures]
    assert records[1]["potholes"][0]["box"] == [30.0, 40.0, 80.0, 60.0]
    capsys.readouterr()
    run(monkeypatch, "detect", pictures[0])
    assert json.loads(capsys.readouterr().out)[0]["potholes"][0]["box"] == [30.0, 40.0, 70.0, 60.0]


def test_evaluate_prints_the_figures(monkeypatch, capsys, tmp_path):
    run(monkeypatch, "evaluate", write_dataset(tmp_path / "data"), "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    wanted = {"mask_ap", "mask_ap50", "box_ap", "box_ap50", "precision", "recall", "f1"}
    wanted |= {"false_positives_per_negative_image"}
    assert wanted <= figures.keys() and wanted <= figures["by_source"]["a"].keys()
    assert wanted <= figures["by_size"]["small"].keys()
    seen = capsys.readouterr().err
    assert "Score threshold 0.50;" in seen and "These pictures" in seen
    assert all(name in seen for name in ("pictures", "mask AP", "recall", "small", "large"))


def test_a_sensitivity_is_a_score_threshold_of_the_model(monkeypatch, capsys, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(encode_picture(patched(0), "image/png"))
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "detect", picture, "--sensitivity", "low")
    assert "has no score threshold for the sensitivity low" in str(stopped.value.code)
    monkeypatch.setattr(MagentaDetector, "sensitivities", {"low": 0.95, "high": 0.4}, raising=False)
    capsys.readouterr()
    for name, count in (("low", 0), ("high", 1)):  # the score is 0.9
        run(monkeypatch, "detect", picture, "--sensitivity", name)
        assert len(json.loads(capsys.readouterr().out)[0]["potholes"]) == count
    with pytest.raises(SystemExit):
        run(monkeypatch, "detect", picture, "--sensitivity", "low", "--min-confidence", "0.5")


def test_calibrate_writes_thresholds_into_the_models_configuration(monkeypatch, capsys, tmp_path):
    data, model = write_dataset(tmp_path / "data"), tmp_path / "mine"
    MaskRCNNConfig(name="ours").save(model)
    before = (model / "config.json").read_text()
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "calibrate", model, data)  # nothing there is magenta
    assert "cannot be calibrated" in str(stopped.value.code)
    assert (model / "config.json").read_text() == before
    monkeypatch.setattr(common, "load_detector", lambda folder, _: Oracle(score_of_false=0.7))
    capsys.readouterr()
    run(monkeypatch, "calibrate", model, data)
    config = MaskRCNNConfig.load(model)
    assert config.name == "ours" and config.calibration[0] > 1.0  # 0.7 is none, 0.9 is right
    assert config.min_confidence < 0.7 and set(config.sensitivities) == {"low", "normal", "high"}
    assert json.loads(capsys.readouterr().out)["min_confidence"] == config.min_confidence


def test_evaluate_takes_regions(monkeypatch, capsys, tmp_path):
    write_regions(tmp_path / "lanes.json", "0.png", [("lane", [20, 0, 80, 0, 80, 60, 20, 60])])
    data, figures = write_dataset(tmp_path / "data"), tmp_path / "figures.json"
    flags = ["--regions", tmp_path / "lanes.json", "--json", figures, "--page", tmp_path / "page.html"]
    run(monkeypatch, "evaluate", data, *flags)
    assert json.loads(figures.read_text())["plain"].keys() >= {"mask_ap", "froc", "by_source"}
    assert "without regions" in capsys.readouterr().err
    assert "false marks per picture" in (tmp_path / "page.html").read_text()


def test_compare_prints_and_writes_the_differences(monkeypatch, capsys, tmp_path):
    data = write_dataset(tmp_path / "data")
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    models = (tmp_path / "old", tmp_path / "new")
    run(monkeypatch, "compare", *models, "--data", data, "--json", tmp_path / "paired.json")
    assert json.loads((tmp_path / "paired.json").read_text())["difference"]["mask_ap"] == 0.0
    seen = capsys.readouterr().err
    assert "mask AP50" in seen and "unclear" in seen and "6 scenes" in seen


def test_evaluate_writes_the_page_at_the_confidence_that_is_asked_for(monkeypatch, tmp_path):
    page = tmp_path / "pages" / "roads.html"
    run(monkeypatch, "evaluate", write_dataset(tmp_path / "data"), "--page", page, "--min-confidence", "0.7")
    assert "<b>0.70</b>" in page.read_text() and "missed: 4" in page.read_text()


def test_a_page_that_cannot_be_written_is_refused_before_the_work(monkeypatch, tmp_path, magenta):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "evaluate", write_dataset(tmp_path / "data"), "--page", tmp_path)
    assert "is not a file" in str(stopped.value.code) and not magenta


def test_collect_writes_a_data_set_to_correct(monkeypatch, capsys, clip, tmp_path):
    out = tmp_path / "doubtful"
    run(monkeypatch, "collect", clip, "--output-dir", out, "--random", "2", "--gap", "0.1")
    assert capsys.readouterr().out.split() == [str(out / "annotations.json")]
    coco = json.loads((out / "annotations.json").read_text())
    assert len(coco["images"]) == len(coco["annotations"]) == len(list((out / "images").iterdir())) == 2
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "collect", clip, "--out", out)
    assert "exists already" in str(stopped.value.code)


def test_the_command_is_installed():
    command = shutil.which("pothole", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    assert command
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.strip()


def test_a_command_that_fails_leaves_its_reason_where_sagemaker_reads_it(monkeypatch, tmp_path):
    """sagemaker/latest/dg/build-your-own-processing-container.html: the first kilobyte of a file."""
    (tmp_path / "text.mp4").write_text("no video")
    message = tmp_path / "message"
    monkeypatch.setenv("EXIT_MESSAGE_FILE", str(message))
    with pytest.raises(SystemExit):
        run(monkeypatch, "mark", tmp_path / "text.mp4")
    assert "text.mp4 is not a video" in message.read_text()
    main.leave_exit_message("x" * 2000)
    assert message.stat().st_size == 1024

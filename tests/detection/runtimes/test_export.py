"""The same network on OpenVINO as on Keras, and which of the two runs a model folder."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest

from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.registry import load_detector
from pothole.detection.runtimes import keras as keras_runtime
from pothole.detection.runtimes.export import export
from pothole.detection.runtimes.openvino import EXPORTED, compile_ahead
from pothole.errors import ConfigError, ModelError
from pothole.media.picture import read_picture
from pothole.settings import SHIPPED_MODEL
from roads.output import write_dataset
from support.networks import SMALL


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model folder with an export in float32; its weights say something else for each picture."""
    folder = tmp_path_factory.mktemp("model")
    MaskRCNN(replace(SMALL, proposals=20, detections=10)).save_folder(folder)
    export(folder)
    return folder


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(7)
    return [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((64, 96), (180, 320), (100, 60))]


def test_openvino_finds_what_keras_finds(exported, pictures):
    ours, reference = (load_detector(exported, r) for r in ("openvino", "tensorflow"))
    for score_threshold in (0.0, 0.5):
        for picture in pictures:
            ([found], [wanted]) = (d.predict([picture], score_threshold) for d in (ours, reference))
            assert len(found) == len(wanted)
            assert found.scores == pytest.approx(wanted.scores, abs=1e-4)
            assert found.boxes == pytest.approx(wanted.boxes, abs=0.05)
            different = sum(int((a != b).sum()) for a, b in zip(found.masks, wanted.masks, strict=True))
            assert different <= 0.01 * sum(mask.size for mask in wanted.masks)


def test_the_export_enlarges_maps_as_convolutions_have_them(exported):
    """To turn a map there and back costs as much as to enlarge it."""
    nodes = openvino.Core().read_model(exported / EXPORTED).get_ops()
    enlarged = [n.get_output_shape(0) for n in nodes if n.get_type_name() == "Interpolate"]
    assert enlarged
    assert {shape[1] for shape in enlarged} == {SMALL.fpn_channels}
    assert all(n.input_value(0).get_node().get_type_name() != "Transpose" for n in nodes if is_turn(n))


def is_turn(node):
    return node.get_type_name() == "Transpose" and len(node.get_output_partial_shape(0)) == 4


def test_pictures_of_a_batch_do_not_mix(exported, pictures):
    detector = load_detector(exported, "openvino")
    together = detector.predict(pictures, 0.3)
    for picture, found in zip(pictures, together, strict=True):
        [alone] = detector.predict([picture], 0.3)
        assert (found.boxes == alone.boxes).all() and (found.scores == alone.scores).all()


def test_the_shipped_export_finds_on_roads_what_the_shipped_weights_find(tmp_path):
    """In 8 bits, so not the same to the last digit."""
    write_dataset(tmp_path / "roads", pictures=8, negatives=0.0, seed=901, size=(384, 640))
    ours, reference = (load_detector(SHIPPED_MODEL, r) for r in ("openvino", "tensorflow"))
    overlaps = []
    for path in sorted((tmp_path / "roads" / "images").iterdir()):
        with path.open("rb") as file:
            picture = read_picture(file, path.name, 10**7)
        [sure], [every] = reference.predict([picture], 0.8), ours.predict([picture], 0.5)
        for box, mask in zip(sure.boxes, sure.masks, strict=True):
            others = zip(every.boxes, every.masks, strict=True)
            overlaps.append(max((iou(box, mask, *other) for other in others), default=0))
    assert len(overlaps) >= 4
    assert np.mean(overlaps) > 0.85


def test_the_shipped_export_takes_pixels_for_unsigned_numbers():
    """With signed ones, the first convolution takes more than twice as long."""
    nodes = openvino.Core().read_model(SHIPPED_MODEL / EXPORTED).get_ordered_ops()
    first = next(n for n in nodes if "fq_output" in n.get_friendly_name())
    low, high = (first.input_value(i).get_node().get_data().item() for i in (1, 2))
    assert (low, high) == pytest.approx((-1, 128 / 127), abs=1e-3)


def iou(box, mask, other_box, other_mask):
    """Of two masks at their boxes, on a picture large enough for both."""
    whole = np.zeros((2, 400, 700), bool)
    for layer, corner, small in zip(whole, (box, other_box), (mask, other_mask), strict=True):
        left, top = (int(np.floor(v)) for v in corner[:2])
        layer[top : top + small.shape[0], left : left + small.shape[1]] = small
    return (whole[0] & whole[1]).sum() / (whole[0] | whole[1]).sum()


def test_an_export_of_other_weights_is_refused_and_the_way_out_told(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    MaskRCNN(replace(SMALL, proposals=20, detections=10)).save_folder(folder)
    with pytest.raises(ModelError, match="pothole export"):
        load_detector(folder)


def test_another_default_confidence_needs_no_new_export(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"min_confidence": 0.77, "name": "mine"}))
    detector = load_detector(folder, "openvino")
    assert (detector.name, detector.min_confidence) == ("mine", 0.77)


def test_a_damaged_export_is_told(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    (folder / "openvino.xml").write_text("<net")
    with pytest.raises(ModelError, match=r"openvino\.xml cannot be read"):
        load_detector(folder)


@pytest.fixture
def compiled(exported, tmp_path):
    """A model folder of one's own with what was compiled of its export, and the path of that."""
    folder = shutil.copytree(exported, tmp_path / "model")
    return folder, compile_ahead(folder)


def test_what_was_compiled_ahead_finds_the_same_and_is_not_compiled_again(
    exported, compiled, pictures, monkeypatch
):
    folder, _ = compiled
    wanted = load_detector(exported, "openvino").predict(pictures, 0.3)
    monkeypatch.setattr(openvino.Core, "compile_model", None)
    found = load_detector(folder, "openvino").predict(pictures, 0.3)
    for ours, reference in zip(found, wanted, strict=True):
        assert len(ours) == len(reference) > 0
        assert (ours.boxes == reference.boxes).all() and (ours.scores == reference.scores).all()
        assert all((a == b).all() for a, b in zip(ours.masks, reference.masks, strict=True))


@pytest.mark.parametrize("why", ["another model", "another release", "cut short"])
def test_what_was_compiled_of_something_else_is_compiled_anew(compiled, pictures, caplog, why):
    folder, path = compiled
    kept = path.read_bytes()
    if why == "another model":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"min_confidence": 0.123}))
    elif why == "another release":
        path.write_bytes(kept.replace(b"ov=20", b"ov=19", 1))
        assert path.read_bytes() != kept
    else:
        path.write_bytes(kept[:-1000])
    with caplog.at_level("INFO"):
        detector = load_detector(folder, "openvino")
    said = "is of another model" if why == "another model" else "is compiled once more"
    assert said in caplog.text
    assert (detector.min_confidence == 0.123) == (why == "another model")
    assert sum(len(found) for found in detector.predict(pictures, 0.3)) > 0


def test_without_an_export_tensorflow_runs_and_openvino_says_what_to_do(tmp_path, pictures):
    MaskRCNN(SMALL).save_folder(tmp_path)
    assert load_detector(tmp_path).predict(pictures[:1])
    with pytest.raises(ModelError, match="pothole export"):
        load_detector(tmp_path, "openvino")


def test_the_shipped_model_starts_without_tensorflow_and_reports_to_nobody():
    code = (
        "import sys; from pothole.detection.registry import load_detector;"
        "from pothole.settings import SHIPPED_MODEL;"
        "load_detector(SHIPPED_MODEL, 'openvino');"
        "print([m for m in ('tensorflow', 'keras', 'openvino_telemetry') if sys.modules.get(m)])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_device_file_alone_does_not_bring_tensorflow_for_cpus(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: True)  # /dev/nvidiactl, too
    network = load_detector(SHIPPED_MODEL)._network
    assert type(network).__name__ == "OpenVINONetwork"


def test_an_installation_for_gpus_that_sees_none_says_so_unless_told_to_use_the_cpu(monkeypatch, tmp_path):
    """TensorFlow takes the CPU without a word, so a GPU would be paid for and not used."""
    (tmp_path / "nvidia").mkdir()  # as nvidia-cublas-cu12 and its like make it
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"made for NVIDIA GPUs and sees none.*POTHOLE_RUNTIME"):
        load_detector(SHIPPED_MODEL)
    for runtime, network in (("openvino", "OpenVINONetwork"), ("tensorflow", "KerasNetwork")):
        assert type(load_detector(SHIPPED_MODEL, runtime)._network).__name__ == network
    monkeypatch.setattr(keras_runtime, "has_gpu", lambda: True)
    assert type(load_detector(SHIPPED_MODEL)._network).__name__ == "KerasNetwork"


@pytest.mark.slow
def test_calibration_computes_in_whole_numbers(exported, tmp_path):
    pytest.importorskip("nncf")
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    write_dataset(tmp_path / "roads", pictures=2, negatives=0.0, seed=3, size=(64, 96))
    export(folder, sorted((tmp_path / "roads" / "images").iterdir()), 10**6)
    assert 'type="FakeQuantize"' in (folder / "openvino.xml").read_text()
    assert load_detector(folder, "openvino").predict([np.zeros((64, 96, 3), np.uint8)], 0.0)


def test_the_command_needs_pictures_to_calibrate_on(tmp_path):
    (tmp_path / "empty").mkdir()
    command = [Path(sys.executable).parent / "pothole", "export", tmp_path, "--calibrate", tmp_path / "empty"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "holds no picture" in run.stderr

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from pothole.detection.mask_rcnn import backbone
from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.entrypoints.cli.train import main
from pothole.errors import ConfigError, DatasetError, ModelError
from pothole.training.callbacks import averaged_weights
from pothole.training.checkpoint import Checkpoint, TrainingProgress
from pothole.training.options import Hyperparameters, add_flags, read_folders, read_hyperparameters
from pothole.training.start import load_backbone, load_pretrained
from pothole.training.train import compiled, description, read_potholes, train
from support.datasets import write_dataset, write_regions
from support.networks import SMALL
from support.shallow_train import SHALLOW

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "train.md").read_text()
STEPS, EPOCHS = 12, 2
TESTS = Path(__file__).parents[1]
START = replace(SMALL, own_last_look=True)
MODEL_FILES = ["config.json", "metrics.json", "weights.npz"]


def channels(root):
    """What SageMaker would mount, with a small network to start from."""
    data = root / "input" / "data"
    for channel in ("train", "validation"):
        write_dataset(data / channel)
    keras.utils.set_random_seed(0)
    MaskRCNN(START).save_folder(data / "pretrained")
    (root / "output").mkdir()
    (root / "input" / "config").mkdir()
    values = {"epochs": EPOCHS, "steps-per-epoch": STEPS, "batch_size": 2, "window": "64x96", "seed": 3}
    text = json.dumps({name: str(value) for name, value in values.items()})
    (root / "input" / "config" / "hyperparameters.json").write_text(text)
    return root


def train_below(root, *more):
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_flags(parser)
    flags = parser.parse_args(["--root", str(root), *more])
    train(read_hyperparameters(flags), read_folders(flags, os.environ))


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def run_train(*arguments, stop_after=None):
    """Run `train` in a process of its own; with a file to wait for, end it by SIGTERM once the file is there.

    Returns:
        What it logged.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "support.shallow_train", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        while stop_after and not stop_after.exists() and process.poll() is None:
            time.sleep(0.01)
        if stop_after:
            process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=250)
    assert process.returncode == 0, log
    return log


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One training that ran through, and one that SIGTERM stopped and that was started again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone, "BLOCKS", SHALLOW)
        yield run_trainings(tmp_path_factory)


def run_trainings(tmp_path_factory):
    whole, parted = (channels(tmp_path_factory.mktemp(name)) for name in ("whole", "parted"))
    log = run_train("--root", whole)
    first = parted / "checkpoints" / "checkpoint.npz"
    often = ("--checkpoint-minutes", 0, "--workers", 2)
    stopped_log = run_train("--root", parted, *often, stop_after=first)
    stopped_model = MaskRCNNConfig.load(parted / "model")
    stopped_files = sorted(path.name for path in (parted / "model").iterdir())
    run_train("--root", parted)
    return SimpleNamespace(
        whole=whole,
        parted=parted,
        log=log,
        stopped_log=stopped_log,
        stopped_model=stopped_model,
        stopped_files=stopped_files,
    )


@pytest.mark.slow
def test_sigterm_stops_after_the_step_with_a_checkpoint_and_a_model(trained):
    said = rf"stopped at step (\d+) of {STEPS * EPOCHS}; the next start goes on from {trained.parted}"
    [step] = re.findall(said, trained.stopped_log)
    assert 0 < int(step) < STEPS
    assert trained.stopped_model == START  # nothing was evaluated yet
    assert trained.stopped_files == MODEL_FILES


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_where_one_ends_that_was_not(trained):
    whole, parted = (arrays(r / "checkpoints" / "checkpoint.npz") for r in (trained.whole, trained.parted))
    assert whole.keys() == parted.keys()
    assert [name for name in whole if not np.array_equal(whole[name], parted[name])] == []
    for name in ("config.json", "metrics.json"):
        assert (trained.whole / "model" / name).read_text() == (trained.parted / "model" / name).read_text()
    whole, parted = (arrays(r / "model" / "weights.npz") for r in (trained.whole, trained.parted))
    assert all(np.array_equal(whole[name], parted[name]) for name in whole)


@pytest.mark.slow
def test_the_loss_falls_and_the_model_is_the_best_of_the_history(trained):
    history = json.loads((trained.whole / "model" / "metrics.json").read_text())
    assert [h["epoch"] for h in history] == [1, 2]
    assert history[1]["train"]["loss"] < history[0]["train"]["loss"]
    assert set(history[1]["validation"]) >= {"mask_ap", "mask_ap50"}
    config = MaskRCNN.load_folder(trained.whole / "model").config
    assert config.min_confidence == history[1]["validation"]["best_min_confidence"]


@pytest.mark.slow
def test_the_head_of_each_look_learns(trained):
    before = arrays(trained.whole / "input" / "data" / "pretrained" / "weights.npz")
    after = arrays(trained.whole / "model" / "weights.npz")
    heads = [name for name in before if "box_head" in name and name.endswith("kernel")]
    assert len(heads) == 8
    # Decay alone would change no weight by as much as half precision tells apart.
    changed = {name: float((before[name] != after[name]).mean()) for name in heads}
    assert min(changed.values()) > 0.1, changed


@pytest.mark.slow
def test_the_documented_expressions_find_the_metrics_in_the_log(trained):
    definitions = re.findall(r'\{"Name": "([\w:]+)", "Regex": "(.+?)"\}', PAGE)
    history = json.loads((trained.whole / "model" / "metrics.json").read_text())
    text = trained.log
    assert {"train:loss", "validation:mask_ap", "validation:mask_ap50"} <= {name for name, _ in definitions}
    for name, expression in definitions:
        kind, _, key = name.partition(":")
        found = re.findall(expression.replace(r"\\", "\\"), text)
        expected = history[-1][kind][key] if kind in history[-1] else history[-1][key]
        assert float(found[-1]) == pytest.approx(expected, abs=5e-5), name


@pytest.mark.slow
def test_another_training_does_not_go_on_with_this_ones_checkpoint(trained):
    with pytest.raises(ConfigError, match=r"made with batch_size 2, not 3\. .*remove .*checkpoint\.npz"):
        train_below(trained.whole, "--batch-size", "3")
    with pytest.raises(ConfigError, match="seed 3, not 4"):
        train_below(trained.whole, "--seed", "4")
    (trained.whole / "input" / "data" / "train" / "annotations.json").write_text(
        (trained.whole / "input" / "data" / "train" / "annotations.json").read_text().replace('"a"', '"c"')
    )
    with pytest.raises(ConfigError, match="train 6 pictures"):
        train_below(trained.whole)


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes(b"PK\x03\x04 cut short")
    network = MaskRCNN(SMALL)
    learner = compiled(network, Hyperparameters())
    checkpoint = Checkpoint(tmp_path, learner, description(Hyperparameters(), network, {}))
    with pytest.raises(ConfigError, match=r"checkpoint\.npz cannot be read"):
        checkpoint.restore()
    checkpoint.save(
        TrainingProgress(step=5, history=[{"epoch": 1}], best=[np.ones(3, np.float16)], best_confidence=0.7)
    )
    restored = checkpoint.restore()
    assert (restored.step, restored.history, restored.best_confidence) == (5, [{"epoch": 1}], 0.7)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_a_set_without_potholes_is_refused(tmp_path):
    folder = write_dataset(tmp_path, pictures=2, negatives=2)
    with pytest.raises(DatasetError, match=f"No picture in {folder} has a pothole"):
        read_potholes([folder])


@pytest.mark.parametrize("prefix", ["", "./", "model/"])
def test_a_training_starts_from_the_archive_of_another(tmp_path, prefix):
    MaskRCNN(SMALL).save_folder(tmp_path / "model")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        for name in ("config.json", "weights.npz"):
            tar.add(tmp_path / "model" / name, prefix + name)
    assert load_pretrained(tmp_path).config == SMALL


def test_what_cannot_be_started_from_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        load_pretrained(tmp_path)
    (tmp_path / "model.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ModelError, match=r"model\.tar\.gz cannot be read"):
        load_pretrained(tmp_path)
    np.savez(tmp_path / "kernels.npz", wrong=np.zeros(3))
    with pytest.raises(ModelError, match=r"kernels\.npz"):
        load_backbone(SMALL, tmp_path / "kernels.npz")


def test_regions_of_other_pictures_are_refused_before_anything_is_learnt(tmp_path):
    root = channels(tmp_path)
    write_regions(tmp_path / "lanes.json", "other.png", [("lane", [0, 0, 9, 0, 9, 9])])
    with pytest.raises(DatasetError, match="name none of the pictures"):
        train_below(root, "--regions", str(tmp_path / "lanes.json"))


def test_a_failure_is_one_sentence_where_sagemaker_looks_for_it(tmp_path):
    root = channels(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["--root", str(root), "--train", str(tmp_path / "none")])
    assert stopped.value.code == f"train: {(root / 'output' / 'failure').read_text().strip()}"
    assert f"There is no folder {tmp_path / 'none'}." in stopped.value.code


def test_a_training_has_one_start(tmp_path):
    root = channels(tmp_path)
    with pytest.raises(ConfigError, match="not from both"):
        train_below(root, "--backbone", "kernels.npz")


def test_a_wrong_hyperparameter_is_a_failure_too(tmp_path):
    root = channels(tmp_path)
    with pytest.raises(SystemExit):
        main(["--root", str(root), "--epochs", "0"])
    assert "epochs is '0'" in (root / "output" / "failure").read_text()


def test_an_unforeseen_failure_leaves_the_last_line_of_its_traceback(tmp_path, monkeypatch):
    root = channels(tmp_path)

    def fail(*_):
        raise MemoryError("too large")

    monkeypatch.setattr("pothole.training.train.train", fail)
    with pytest.raises(MemoryError):
        main(["--root", str(root)])
    assert (root / "output" / "failure").read_text() == "MemoryError: too large\n"


def test_a_model_with_boxes_as_matterports_is_not_trained():
    with pytest.raises(ModelError, match="not trained"):
        compiled(MaskRCNN(replace(SMALL, box_units="normalised")), Hyperparameters())


def test_what_is_measured_and_kept_is_the_average_over_the_steps():
    """Not the weights of the last step."""
    learner = compiled(MaskRCNN(SMALL), Hyperparameters())
    variables = learner.trainable_variables
    bias = max(range(len(variables)), key=lambda i: variables[i].shape[-1])
    steps = []
    for _ in range(6):
        learner.optimizer.apply([keras.ops.ones_like(v) for v in variables], variables)
        steps.append(np.array(variables[bias]))
    with averaged_weights(learner):
        lent = np.array(variables[bias])
    assert (np.array(variables[bias]) == steps[-1]).all(), "it was lent"
    assert (lent > steps[-1]).all() and (lent < steps[0]).all()

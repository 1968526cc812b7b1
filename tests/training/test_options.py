import argparse
import json
import os
from pathlib import Path

import pytest

from pothole.errors import ConfigError
from pothole.training.options import add_flags, read_folders, read_hyperparameters


def read_options(arguments):
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_flags(parser)
    flags = parser.parse_args(arguments)
    return read_hyperparameters(flags), read_folders(flags, os.environ)


def hyperparameters(root, **values):
    folder = root / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hyperparameters.json").write_text(json.dumps(values))
    return ["--root", str(root)]


def test_hyperparameters_are_strings_with_either_kind_of_dash_and_flags_go_before_them(tmp_path):
    values = {"batch-size": "3", "learning_rate": "2e-4", "epochs": '"7"', "window": "64x96", "seed": "5"}
    flags = hyperparameters(tmp_path, **values, _tuning_objective_metric="x", sagemaker_region="y")
    found, _ = read_options([*flags, "--seed", "6"])
    assert (found.batch_size, found.learning_rate, found.epochs, found.seed) == (3, 2e-4, 7, 6)
    assert found.window == (64, 96)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("batch_sise", "3", "batch_sise is not a known hyperparameter. Known are epochs, "),
        ("batch-size", "0", "Hyperparameter batch_size is '0': "),
        ("epochs", "many", "Hyperparameter epochs is 'many': "),
        ("learning_rate", "nan", "Hyperparameter learning_rate is 'nan': "),
        ("window", "100x100", "multiples of 32"),
    ],
)
def test_a_wrong_hyperparameter_is_named(tmp_path, name, value, said):
    with pytest.raises(ConfigError) as caught:
        read_options(hyperparameters(tmp_path, **{name: value}))
    assert said in str(caught.value)


def test_folders_are_sagemakers_below_the_root(tmp_path, monkeypatch):
    for channel in ("train", "validation"):
        (tmp_path / "input" / "data" / channel).mkdir(parents=True)
    _, folders = read_options(["--root", str(tmp_path)])
    assert folders.train == (tmp_path / "input/data/train",)
    assert folders.validation == tmp_path / "input/data/validation"
    assert folders.pretrained is None and folders.regions == ()
    assert (folders.model, folders.checkpoints) == (tmp_path / "model", tmp_path / "checkpoints")
    assert folders.failure == tmp_path / "output/failure"
    monkeypatch.setenv("SM_CHANNEL_PRETRAINED", str(tmp_path))
    monkeypatch.setenv("SM_MODEL_DIR", "/elsewhere")
    _, folders = read_options(["--root", str(tmp_path), "--train", "a", "b"])
    assert (folders.pretrained, folders.model) == (tmp_path, Path("/elsewhere"))
    assert folders.train == (Path("a"), Path("b"))


def test_regions_are_files_of_a_channel_or_named(tmp_path):
    channel = tmp_path / "input" / "data" / "regions"
    channel.mkdir(parents=True)
    for name in ("b.json", "a.json", "notes.txt"):
        (channel / name).touch()
    _, folders = read_options(["--root", str(tmp_path)])
    assert folders.regions == (channel / "a.json", channel / "b.json")
    _, folders = read_options(["--root", str(tmp_path), "--regions", "x.json", "y.json"])
    assert folders.regions == (Path("x.json"), Path("y.json"))

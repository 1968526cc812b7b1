import json
from dataclasses import replace

import keras
import pytest

from datasets import write_dataset
from networks import SMALL
from pothole.model.mask_rcnn import MaskRCNN
from pothole.training.train import main, parser, train


def arguments(tmp_path, data, *more):
    return parser().parse_args(
        [
            *("--train", str(data), "--validation", str(data), "--seed", "3"),
            *("--model-dir", str(tmp_path / "model"), "--checkpoint-dir", str(tmp_path / "checkpoints")),
            *("--steps-per-epoch", "3", "--batch-size", "2", "--evaluate-every", "9", *more),
        ]
    )


@pytest.mark.slow
def test_training_lowers_the_loss_stops_and_goes_on(tmp_path, monkeypatch):
    data = write_dataset(tmp_path / "data")
    losses = []
    seen = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: losses.append((epoch, logs["loss"]))
    )
    fit = keras.Model.fit
    monkeypatch.setattr(
        keras.Model, "fit", lambda self, *a, callbacks, **k: fit(self, *a, callbacks=[*callbacks, seen], **k)
    )
    model = tmp_path / "model"
    model.mkdir()
    (model / "metrics.json").write_text('[{"mask_ap50": 2.0}]')  # an earlier training's, which nothing beats
    train(arguments(tmp_path, data, "--epochs", "2"), SMALL)
    train(arguments(tmp_path, data, "--epochs", "4"), SMALL)
    assert [epoch for epoch, _ in losses] == [0, 1, 2, 3]  # the second call went on where the first stopped
    assert losses[-1][1] < losses[0][1]
    train(arguments(tmp_path, data, "--epochs", "4"), SMALL)
    assert len(losses) == 4  # nothing was left to do
    config = MaskRCNN.load_folder(model).config
    assert replace(config, min_confidence=SMALL.min_confidence) == SMALL
    history = json.loads((model / "metrics.json").read_text())
    assert [h["epoch"] for h in history] == [2, 4]


def test_missing_data_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "--train", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert "annotations.json cannot be read" in stopped.value.code

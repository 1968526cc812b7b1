"""The same code on JAX, which trains on a GPU: the weights of one backend give the other's answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.mask_rcnn_detector import MaskRCNNDetector
from pothole.detection.runtimes.keras import KerasNetwork
from support.datasets import write_dataset
from support.networks import SMALL

TESTS = Path(__file__).parents[2]
ON_JAX = """
import json, sys
from pathlib import Path
import keras, numpy as np
from pothole.detection.mask_rcnn_detector import MaskRCNNDetector
from pothole.detection.runtimes.keras import KerasNetwork
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.entrypoints.cli.train import main

assert keras.backend.backend() == "jax"
model, image, data, trained = map(Path, sys.argv[1:])
found = MaskRCNNDetector(KerasNetwork(MaskRCNN.load_folder(model))).predict([np.load(image)], 0.0)[0]
print(json.dumps({"boxes": found.boxes.tolist(), "scores": found.scores.tolist()}))
flags = f"--root {trained} --train {data} --validation {data} --pretrained {model} --model-dir {trained}"
flags += " --window 64x96 --epochs 1 --steps-per-epoch 2 --batch-size 2"
main(flags.split())
"""


@pytest.mark.slow
def test_jax_finds_what_tensorflow_finds_and_trains_what_tensorflow_loads(tmp_path):
    keras.utils.set_random_seed(0)
    MaskRCNN(SMALL).save_folder(tmp_path / "model")
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    np.save(tmp_path / "image.npy", image)
    data = write_dataset(tmp_path / "data")
    ours = MaskRCNNDetector(KerasNetwork(MaskRCNN.load_folder(tmp_path / "model"))).predict([image], 0.0)[0]

    arguments = [tmp_path / "model", tmp_path / "image.npy", data, tmp_path / "trained"]
    run = subprocess.run(
        [sys.executable, "-c", ON_JAX, *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    theirs = json.loads(run.stdout.splitlines()[0])
    assert len(ours) and np.allclose(theirs["scores"], ours.scores, atol=1e-4)
    assert np.allclose(theirs["boxes"], ours.boxes, atol=0.05)
    assert MaskRCNNDetector(KerasNetwork(MaskRCNN.load_folder(tmp_path / "trained"))).predict([image])

"""OpenVINO runs the network fastest on CPUs, and needs neither Keras nor TensorFlow."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.runtimes.compiled import keep_compiled, load_compiled
from pothole.detection.runtimes.network import Batch, Limits, NetworkOutputs
from pothole.detection.runtimes.source import source_digest
from pothole.errors import ModelError, reason

EXPORTED = "openvino.xml"
OUTPUTS = ("boxes", "scores", "classes", "mask_logits")
SOURCE = ["pothole", "source"]  # where the export says what it was made from
# Without the first, a CPU with bfloat16 computes with it, and box corners come out pixels away.
OPTIONS: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


class OpenVINONetwork:
    """This is a `Network` on OpenVINO, from a model folder with an export in it.

    Raises:
        ModelError: The export cannot be read, or was made from other weights.
    """

    def __init__(self, folder: Path) -> None:
        self.config = MaskRCNNConfig.load(folder)
        # Half of the cores: the others decode and encode, and threads that wait for one another cost a fifth.
        # All of them for a dense network such as Matterport's, for which a video's other stages wait anyway.
        share = 2 if self.config.separable else 1
        threads = max(1, (os.cpu_count() or 1) // share)
        compiled = load_compiled(folder, OPTIONS, threads) or _compiled(folder, threads)
        self._request = compiled.create_infer_request()

    def find(self, batch: Batch, limits: Limits, score_threshold: float) -> NetworkOutputs:
        """See `Network.find`; the pictures go one after the other, since a CPU gains nothing from more."""
        each = [
            self._find_one(batch[i : i + 1], limits[i : i + 1], score_threshold) for i in range(len(batch))
        ]
        count = max(outputs.scores.shape[1] for outputs in each)
        return NetworkOutputs(
            *(np.concatenate([_padded(a, count) for a in part]) for part in zip(*each, strict=True))
        )

    def _find_one(self, picture: Batch, limits: Limits, score_threshold: float) -> NetworkOutputs:
        self._request.infer({"images": picture, "limits": limits, "lowest": np.float32(score_threshold)})
        boxes, scores, classes, logits = (self._request.get_tensor(name).data for name in OUTPUTS)
        own = np.maximum(classes.astype(int) - 1, 0)[..., None, None, None]
        masks = 1 / (1 + np.exp(-np.take_along_axis(logits, own, axis=-1)[..., 0]))
        return NetworkOutputs(boxes.copy(), scores.copy(), classes.astype(np.int32), masks)

    def warm_up(self) -> None:
        """See `Network.warm_up`."""
        self.find(np.zeros((1, *self.config.image_size, 3), np.uint8), np.zeros((1, 4), np.float32), 0.0)


def compile_ahead(folder: Path) -> Path:
    """Compile the export of a model folder for CPUs like this one, and keep that beside the folder.

    Raises:
        ModelError: See `OpenVINONetwork`.
    """
    return keep_compiled(_compiled(folder, 1), folder, OPTIONS)


def _compiled(folder: Path, threads: int) -> ov.CompiledModel:
    path = folder / EXPORTED
    core = ov.Core()
    try:
        model = core.read_model(path)
        source = model.get_rt_info(SOURCE).astype(str)
    except RuntimeError as exc:
        raise ModelError(
            f"{path} cannot be read: {reason(exc)}.", "Write it anew by `pothole export` on the folder."
        ) from exc
    if source != source_digest(folder):
        raise ModelError(
            f"{path} was not made from the weights and the configuration beside it: "
            "run `pothole export` on the folder, or delete it."
        )
    return core.compile_model(model, "CPU", OPTIONS | {"INFERENCE_NUM_THREADS": threads})


def _padded(rows: NDArray[Any], count: int) -> NDArray[Any]:
    return np.pad(rows, [(0, 0), (0, count - rows.shape[1])] + [(0, 0)] * (rows.ndim - 2))

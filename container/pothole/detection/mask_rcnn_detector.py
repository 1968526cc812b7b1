"""A Mask R-CNN becomes a detector: one model, with a lock around each call of the network."""

import logging
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pothole.detection.detector import score_threshold
from pothole.detection.mask_rcnn.letterbox import fit, input_size, limits, to_picture
from pothole.detection.mask_rcnn.paste import paste_masks
from pothole.detection.mask_rcnn.scores import box_score_threshold, final_scores
from pothole.detections import Detections
from pothole.errors import ConfigError, ModelError, needs_tensorflow
from pothole.settings import Runtime
from pothole.types import Image, Size

if TYPE_CHECKING:
    from pothole.detection.runtimes.network import Network

_logger = logging.getLogger(__name__)


class MaskRCNNDetector:
    """This is a Mask R-CNN as a `Detector`, on the runtime that it was loaded in."""

    def __init__(self, network: "Network") -> None:
        self.name: str = network.config.name
        self.min_confidence: float = network.config.min_confidence
        self.sensitivities: dict[str, float] = network.config.sensitivities
        self.class_names: tuple[str, ...] = network.config.class_names
        self._network = network
        self._lock = threading.Lock()

    def input_size(self, size: Size) -> Size:
        """See `Detector.input_size`."""
        return input_size(size, self._network.config)

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """See `Detector.predict`."""
        config = self._network.config
        threshold = score_threshold(self, min_confidence)
        box_threshold = max(box_score_threshold(threshold, config), 1e-6)
        fitted = [fit(image, config) for image in images]
        batch = np.stack([canvas for canvas, _ in fitted])
        edges = np.stack([limits(window, config) for _, window in fitted])
        with self._lock:  # a network's session serves one caller at a time
            outputs = self._network.find(batch, edges, box_threshold)
        found = []
        for i, (_, window) in enumerate(fitted):
            size = sizes[i] if sizes else (images[i].shape[0], images[i].shape[1])
            boxes, scores, classes, masks = (part[i][outputs.scores[i] >= box_threshold] for part in outputs)
            scores = final_scores(scores, masks, config)
            chosen = np.argsort(-scores, kind="stable")[: np.sum(scores >= threshold)]
            boxes, scores, classes, masks = boxes[chosen], scores[chosen], classes[chosen], masks[chosen]
            boxes = to_picture(boxes, window, size, config)
            found.append(
                paste_masks(boxes, scores, masks, classes, self.class_names, size, config.mask_border)
            )
        return found


def load_mask_rcnn(model_dir: Path, runtime: Runtime = "auto") -> MaskRCNNDetector:
    """Load a model folder and warm it up, so that the first request is as fast as the others.

    Args:
        model_dir: The folder.
        runtime: `auto` is TensorFlow where the folder has no export, and where TensorFlow was installed for
            NVIDIA GPUs; else OpenVINO.

    Raises:
        ConfigError: TensorFlow is needed and not installed, or was installed for GPUs and sees none.
        ModelError: The folder is incomplete or does not fit this code, or there is no export for `openvino`.
    """
    network = _load(model_dir, runtime)
    network.warm_up()
    _logger.info("model loaded", extra={"model": network.config.name, "runtime": type(network).__name__})
    return MaskRCNNDetector(network)


def _load(model_dir: Path, runtime: Runtime) -> "Network":
    # Each import takes what the other runtime does not need: Keras and TensorFlow alone take seconds.
    exported = (model_dir / "openvino.xml").is_file()
    # TensorFlow for GPUs brings NVIDIA's libraries as packages. By a device's file, TensorFlow for CPUs would
    # be taken beside a GPU that it cannot use.
    for_gpu = all(find_spec(name) for name in ("tensorflow", "nvidia"))
    if runtime == "openvino" and not exported:
        raise ModelError(f"{model_dir} has no openvino.xml: run `pothole export` on it.")
    if runtime == "openvino" or (runtime == "auto" and exported and not for_gpu):
        from pothole.detection.runtimes.openvino import OpenVINONetwork  # noqa: PLC0415

        return OpenVINONetwork(model_dir)
    try:
        from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN  # noqa: PLC0415
        from pothole.detection.runtimes.keras import KerasNetwork, has_gpu  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise needs_tensorflow(exc) from exc

    if for_gpu and runtime == "auto" and not has_gpu():
        # TensorFlow would go on on the CPU without a word, many times slower, at the price of a GPU.
        raise ConfigError(
            "This installation is made for NVIDIA GPUs and sees none.",
            hint="Give it a GPU and a driver for CUDA 12, or set POTHOLE_RUNTIME to openvino or tensorflow, "
            "which use the CPU.",
        )
    return KerasNetwork(MaskRCNN.load_folder(model_dir))

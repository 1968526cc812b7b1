"""The detector: one model in a process, one lock around one `predict(batch)` call."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pothole.detection.mask_rcnn.letterbox import fit, input_size, limits, to_picture
from pothole.detection.mask_rcnn.paste import paste_masks
from pothole.detections import Detections
from pothole.errors import ModelError
from pothole.settings import Runtime
from pothole.types import Image, Size

if TYPE_CHECKING:
    from pothole.detection.runtimes.network import Network


logger = logging.getLogger(__name__)


class Detector(Protocol):
    """What finds potholes in pictures; the seam that tests replace.

    Attributes:
        name: The model's name, as written in reports.
        min_confidence: Score from which a detection counts, unless the caller says otherwise.
    """

    name: str
    min_confidence: float

    def input_size(self, size: Size) -> Size:
        """Return the size `(height, width)` to which a picture may be scaled down before `predict`."""
        ...

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """Find the potholes of each picture.

        Args:
            images: Pictures `(height, width, 3)` uint8 RGB; sizes may differ.
            min_confidence: Lowest score to keep; the model's own default when None.
            sizes: `(height, width)` of each picture before it was scaled down, in whose pixels the answer is;
                as they are when None.
        """
        ...


class MaskRCNNDetector:
    """A Mask R-CNN as a `Detector`, on the runtime it was loaded in."""

    def __init__(self, network: "Network") -> None:
        self.name: str = network.config.name
        self.min_confidence: float = network.config.min_confidence
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
        lowest = self.min_confidence if min_confidence is None else min_confidence
        fitted = [fit(image, config) for image in images]
        batch = np.stack([canvas for canvas, _ in fitted])
        within = np.stack([limits(window, config) for _, window in fitted])
        with self._lock:  # the network alone: a session serves one caller at a time
            boxes, scores, masks = self._network.find(batch, within, lowest)
        found = []
        for i, (_, window) in enumerate(fitted):
            size = sizes[i] if sizes else (images[i].shape[0], images[i].shape[1])
            count = scores[i] >= max(lowest, 1e-6)
            own = to_picture(boxes[i][count], window, size, config)
            found.append(paste_masks(own, scores[i][count], masks[i][count], size, config.mask_border))
        return found


def load_detector(model_dir: Path, runtime: Runtime = "auto") -> MaskRCNNDetector:
    """Load a model folder and warm it up, so that the first request is as fast as the others.

    Args:
        model_dir: The folder.
        runtime: `auto` is OpenVINO where the folder has an export and the machine no NVIDIA GPU, else
            TensorFlow.

    Raises:
        ModelError: The folder is incomplete or does not fit this code, or there is no export for `openvino`.
    """
    network = _load(model_dir, runtime)
    network.warm_up()
    logger.info("model loaded", extra={"model": network.config.name, "runtime": type(network).__name__})
    return MaskRCNNDetector(network)


def _load(model_dir: Path, runtime: Runtime) -> "Network":
    # Each import takes what the other runtime does not need: Keras and TensorFlow alone take seconds.
    exported = (model_dir / "openvino.xml").is_file()
    if runtime == "openvino" and not exported:
        raise ModelError(f"{model_dir} has no openvino.xml: run `pothole export` on it.")
    if runtime == "openvino" or (runtime == "auto" and exported and not Path("/dev/nvidiactl").exists()):
        from pothole.detection.runtimes.openvino import OpenVINONetwork  # noqa: PLC0415

        return OpenVINONetwork(model_dir)
    from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN  # noqa: PLC0415
    from pothole.detection.runtimes.keras import KerasNetwork  # noqa: PLC0415

    return KerasNetwork(MaskRCNN.load_folder(model_dir))

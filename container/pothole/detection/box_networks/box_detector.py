"""A box detector is a network that finds objects without their outlines."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pothole.detection.detector import score_threshold
from pothole.detection.runtimes.openvino import OPTIONS
from pothole.detections import Detections, pixel_boxes
from pothole.errors import ModelError, reason
from pothole.types import Image, Size

MAX_OBJECTS = 200  # of a picture
Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]
"""Boxes `(N, 4)` xyxy in parts of the picture's width and height, scores `(N,)` and class ids `(N,)`."""


class BoxDetector(ABC):
    """A box detector runs a network on all pictures of a call at once; the mask of an object is its box.

    Args:
        model: The network, which takes any number of pictures.
        max_overlap: IoU from which of two boxes of a class the one with the lower score is left out.
    """

    name: str
    min_confidence = 0.5
    class_names: tuple[str, ...]

    def __init__(self, model: Any, max_overlap: float) -> None:
        self._network = ov.Core().compile_model(model, "CPU", OPTIONS)
        self._max_overlap = max_overlap
        self._lock = threading.Lock()

    @abstractmethod
    def input_size(self, size: Size) -> Size:
        """See `Detector.input_size`."""

    @abstractmethod
    def batch(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Return the network's input for pictures."""

    @abstractmethod
    def candidates(self, outputs: Sequence[NDArray[Any]], image: Image, score_threshold: float) -> Found:
        """Return the objects of one picture, the same one several times.

        Args:
            outputs: The network's, for this picture.
            image: The picture.
            score_threshold: Lowest score of an object.
        """

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """See `Detector.predict`."""
        threshold = score_threshold(self, min_confidence)
        batch = self.batch(images)
        with self._lock:  # a network's session serves one caller at a time
            outputs = [array.copy() for array in self._network([batch]).values()]
        return [
            self._detections(
                self.candidates([output[i] for output in outputs], image, threshold),
                sizes[i] if sizes else (image.shape[0], image.shape[1]),
                threshold,
            )
            for i, image in enumerate(images)
        ]

    def _detections(self, found: Found, size: Size, threshold: float) -> Detections:
        """Return each object once, in pixels of a picture of that size."""
        boxes, scores, class_ids = found
        corners_and_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        kept = cv2.dnn.NMSBoxesBatched(
            corners_and_sizes.tolist(),
            scores.tolist(),
            class_ids.tolist(),
            threshold,
            self._max_overlap,
            top_k=MAX_OBJECTS,
        )
        # OpenCV leaves out a score that is just the threshold, so that there is none below it.
        boxes, scores, class_ids = (part[np.asarray(kept, int).ravel()] for part in found)
        boxes = (boxes.clip(0, 1) * np.tile(size[::-1], 2)).astype(np.float32)
        masks = [
            np.ones((bottom - top, right - left), bool)
            for left, top, right, bottom in pixel_boxes(boxes, size)
        ]
        return Detections(
            size, boxes, scores, tuple(masks), class_ids=class_ids, class_names=self.class_names
        )


def read_network(path: Path, outputs: int) -> Any:
    """Read a network in whatever format OpenVINO knows.

    Args:
        path: Its file.
        outputs: How many the network has to have.

    Raises:
        ModelError: It is not there, cannot be read, or is another one.
    """
    if not path.is_file():
        raise ModelError(f"There is no network {path}.", hint="Fetch it by `make detectors`.")
    try:
        model = ov.Core().read_model(path)
    except RuntimeError as exc:
        raise ModelError(f"{path} cannot be read: {reason(exc)}.", "Fetch it anew.") from exc
    got = len(model.inputs), len(model.outputs)
    if got != (1, outputs):
        raise ModelError(
            f"{path} has {got[0]} inputs and {got[1]} outputs, expected 1 and {outputs}.",
            hint="Is it the network of another kind of detector?",
        )
    return model

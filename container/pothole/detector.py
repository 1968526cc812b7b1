"""The detector: one model in a process, one lock around one `predict(batch)` call."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.detections import Detections

Image = NDArray[np.uint8]


class Detector(Protocol):
    """What finds potholes in pictures; the seam that tests replace.

    Attributes:
        name: The model's name, as written in reports.
        min_confidence: Score from which a detection counts, unless the caller says otherwise.
    """

    name: str
    min_confidence: float

    def predict(self, images: Sequence[Image], min_confidence: float | None = None) -> list[Detections]:
        """Find the potholes of each picture.

        Args:
            images: Pictures `(height, width, 3)` uint8 RGB; sizes may differ.
            min_confidence: Lowest score to keep; the model's own default when None.
        """
        ...


def letterbox(size: tuple[int, int], image_size: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    """Fit a picture into the network's input, aspect kept, at its top left corner.

    Args:
        size: Picture `(height, width)`.
        image_size: Input `(height, width)`.

    Returns:
        The scale, and the picture's size `(height, width)` inside the input; the rest is padding.
    """
    scale = min(image_size[0] / size[0], image_size[1] / size[1])
    fitted = (max(round(size[0] * scale), 1), max(round(size[1] * scale), 1))
    return scale, (min(fitted[0], image_size[0]), min(fitted[1], image_size[1]))


class KerasDetector:
    """A Mask R-CNN as a `Detector`, on the backend that Keras runs."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.name: str = network.config.name
        self.min_confidence: float = network.config.min_confidence
        self._lock = threading.Lock()

        def find(images: Any) -> Any:
            pyramid = network.pyramid(images)
            return pyramid, network.detect(pyramid)

        self._find = _compiled(find)
        self._masks = _compiled(network.masks)

    def predict(self, images: Sequence[Image], min_confidence: float | None = None) -> list[Detections]:
        """See `Detector.predict`."""
        lowest = self.min_confidence if min_confidence is None else min_confidence
        input_size = self.network.config.image_size
        batch = np.full((len(images), *input_size, 3), 127, np.uint8)
        scales = np.empty((len(images), 4), np.float32)
        for i, image in enumerate(images):
            _, (height, width) = letterbox(image.shape[:2], input_size)
            shrinks = height < image.shape[0]
            batch[i, :height, :width] = cv2.resize(
                image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
            scales[i] = np.tile([image.shape[1] / width, image.shape[0] / height], 2)
        boxes, scores, masks = self._run(batch, lowest)
        return [
            self._detections(image, boxes[i] * scales[i], scores[i], masks[i], lowest)
            for i, image in enumerate(images)
        ]

    def _run(self, batch: NDArray[np.uint8], lowest: float) -> tuple[Any, Any, Any]:
        """Run the network, the only part under the lock: a session serves one caller at a time."""
        with self._lock:
            pyramid, (boxes, scores, classes) = self._find(batch)
            scores = np.asarray(scores)
            # Fifty masks cost two thirds of all the rest, and most pictures hold few potholes: only
            # boxes that count get one.
            most = int((scores >= lowest).sum(axis=1).max(initial=0))
            count = self._padded(most)
            boxes, classes = boxes[:, :count], classes[:, :count]
            size = 2 * self.network.config.mask_pool
            masks = self._masks(pyramid, boxes, classes) if most else np.zeros((*boxes.shape[:2], size, size))
            return np.asarray(boxes), scores[:, :count], np.asarray(masks, np.float32)

    def _padded(self, most: int) -> int:
        """Round up to a power of two from 4 on: a backend may compile each new count anew."""
        limit: int = self.network.config.detections
        return min(1 << max(most - 1, 3).bit_length(), limit)

    def warm_up(self) -> None:
        """Compile all that a picture can need, so that no request waits for it under the lock."""
        config = self.network.config
        pyramid, (boxes, _, classes) = self._find(np.zeros((1, *config.image_size, 3), np.uint8))
        for count in sorted({self._padded(most) for most in range(1, config.detections + 1)}):
            self._masks(pyramid, boxes[:, :count], classes[:, :count])

    @staticmethod
    def _detections(image: Image, boxes: Any, scores: Any, masks: Any, lowest: float) -> Detections:
        from pothole.model.postprocess import paste_masks  # noqa: PLC0415  # Keras takes seconds to import

        count = scores >= max(lowest, 1e-6)
        return paste_masks(boxes[count], scores[count], masks[count], (image.shape[0], image.shape[1]))


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    import keras  # noqa: PLC0415

    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415

        return jax.jit(function)  # type: ignore[no-any-return]
    import tensorflow as tf  # noqa: PLC0415

    # After a second shape it compiles for any, instead of for each.
    return tf.function(function, reduce_retracing=True)  # type: ignore[no-any-return]


def load_detector(model_dir: Path) -> KerasDetector:
    """Load a model folder and warm it up, so that the first request is as fast as the others.

    Raises:
        ModelError: The folder is incomplete or does not fit this code.
    """
    from pothole.model.mask_rcnn import MaskRCNN  # noqa: PLC0415  # Keras takes seconds to import

    detector = KerasDetector(MaskRCNN.load_folder(model_dir))
    detector.warm_up()
    return detector

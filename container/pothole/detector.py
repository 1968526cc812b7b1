"""The detector: one model in a process, one lock around one `predict(batch)` call."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pothole.detections import Detections
from pothole.model.letterbox import Window, fit, limits, to_picture

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


class KerasDetector:
    """A Mask R-CNN as a `Detector`, on the backend that Keras runs."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.name: str = network.config.name
        self.min_confidence: float = network.config.min_confidence
        self._lock = threading.Lock()

        def find(images: Any, limits: Any) -> Any:
            pyramid = network.pyramid(images)
            return pyramid, network.detect(pyramid, limits)

        self._find = _compiled(find)
        self._masks = _compiled(network.masks)

    def predict(self, images: Sequence[Image], min_confidence: float | None = None) -> list[Detections]:
        """See `Detector.predict`."""
        lowest = self.min_confidence if min_confidence is None else min_confidence
        fitted = [fit(image, self.network.config) for image in images]
        windows = [window for _, window in fitted]
        boxes, scores, masks = self._run(np.stack([canvas for canvas, _ in fitted]), windows, lowest)
        return [
            self._detections(image, windows[i], boxes[i], scores[i], masks[i], lowest)
            for i, image in enumerate(images)
        ]

    def _run(self, batch: Image, windows: Sequence[Window], lowest: float) -> tuple[Any, Any, Any]:
        """Run the network, the only part under the lock: a session serves one caller at a time."""
        within = np.stack([limits(window, self.network.config) for window in windows])
        with self._lock:
            pyramid, (boxes, scores, classes) = self._find(batch, within)
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
        batch, within = np.zeros((1, *config.image_size, 3), np.uint8), np.zeros((1, 4), np.float32)
        pyramid, (boxes, _, classes) = self._find(batch, within)
        for count in sorted({self._padded(most) for most in range(1, config.detections + 1)}):
            self._masks(pyramid, boxes[:, :count], classes[:, :count])

    def _detections(
        self, image: Image, window: Window, boxes: Any, scores: Any, masks: Any, lowest: float
    ) -> Detections:
        from pothole.model.postprocess import paste_masks  # noqa: PLC0415  # Keras takes seconds to import

        config, size = self.network.config, (image.shape[0], image.shape[1])
        count = scores >= max(lowest, 1e-6)
        boxes = to_picture(boxes[count], window, size, config)
        return paste_masks(boxes, scores[count], masks[count], size, config.mask_border)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    import keras  # noqa: PLC0415

    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415

        return jax.jit(function)
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

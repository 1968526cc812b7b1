"""Keras runs the network on GPUs, and as the reference for other runtimes."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.runtimes.network import Batch, Limits, NetworkOutputs


class KerasNetwork:
    """This is a `Network` on TensorFlow or JAX."""

    def __init__(self, model: MaskRCNN) -> None:
        self.config: MaskRCNNConfig = model.config

        def find(images: Any, limits: Any) -> Any:
            pyramid = model.pyramid(images)
            return pyramid, model.detect(pyramid, limits)

        self._find = _compiled(find)
        self._masks = _compiled(model.masks)

    def find(self, batch: Batch, limits: Limits, score_threshold: float) -> NetworkOutputs:
        """See `Network.find`."""
        pyramid, (boxes, scores, classes) = self._find(batch, limits)
        scores = np.asarray(scores)
        # Fifty masks cost two thirds of all the rest, and most pictures hold few potholes: only
        # boxes that count get one.
        most = int((scores >= score_threshold).sum(axis=1).max(initial=0))
        count = self._padded(most)
        boxes, classes = boxes[:, :count], classes[:, :count]
        size = 2 * self.config.mask_pool
        masks = self._masks(pyramid, boxes, classes) if most else np.zeros((*boxes.shape[:2], size, size))
        return NetworkOutputs(
            np.asarray(boxes),
            scores[:, :count],
            np.asarray(classes, np.int32),
            np.asarray(masks, np.float32),
        )

    def _padded(self, most: int) -> int:
        """Round a count up to a power of two, at least 4, since a backend may compile each new count anew."""
        return min(1 << max(most - 1, 3).bit_length(), self.config.detections)

    def warm_up(self) -> None:
        """See `Network.warm_up`."""
        config = self.config
        batch, within = np.zeros((1, *config.image_size, 3), np.uint8), np.zeros((1, 4), np.float32)
        pyramid, (boxes, _, classes) = self._find(batch, within)
        for count in sorted({self._padded(most) for most in range(1, config.detections + 1)}):
            self._masks(pyramid, boxes[:, :count], classes[:, :count])


def has_gpu() -> bool:
    """Say whether Keras's backend sees a GPU."""
    return bool(keras.distribution.list_devices("gpu"))


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415

        return jax.jit(function)
    import tensorflow as tf  # noqa: PLC0415

    # After a second shape it compiles for any, instead of for each.
    return tf.function(function, reduce_retracing=True)  # type: ignore[no-any-return]

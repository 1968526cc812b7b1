"""The region proposal network (arXiv:1506.01497) has one head that all pyramid levels share.

Legend: B: batch, A: anchors of all levels, P: proposals.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import initializers, layers, ops

from pothole.detection.mask_rcnn import boxes
from pothole.detection.mask_rcnn.box_units import whole_input
from pothole.detection.mask_rcnn.config import MaskRCNNConfig


class RPNHead(keras.layers.Layer):  # type: ignore[misc]
    """The head has a 3×3 convolution (see `FPN`), then objectness and box deltas for each anchor of a cell.

    Objectness is one sigmoid instead of a softmax over two, as in Detectron; the same function.
    """

    def __init__(self, channels: int, anchors_per_cell: int, separable: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        small = initializers.RandomNormal(stddev=0.01)
        convolution = layers.SeparableConv2D if separable else layers.Conv2D
        self.shared = convolution(channels, 3, padding="same", activation="relu", name="shared")
        self.objectness = layers.Conv2D(anchors_per_cell, 1, kernel_initializer=small, name="objectness")
        self.deltas = layers.Conv2D(4 * anchors_per_cell, 1, kernel_initializer=small, name="deltas")

    def build(self, input_shape: Sequence[tuple[int, ...]]) -> None:
        """Build the three convolutions for levels of equal width."""
        self.shared.build(input_shape[0])
        for layer in (self.objectness, self.deltas):
            layer.build((*input_shape[0][:-1], self.shared.filters))

    def call(self, levels: Sequence[Any]) -> tuple[Any, Any]:
        """Return objectness logits `(B, A)` and deltas `(B, A, 4)`, in the order of `anchors()`."""
        logits, deltas = [], []
        for level in levels:
            shared = self.shared(level)
            rows, columns = level.shape[1:3]
            cells = rows * columns
            logits.append(ops.reshape(self.objectness(shared), (-1, cells * self.objectness.filters)))
            deltas.append(ops.reshape(self.deltas(shared), (-1, cells * self.objectness.filters, 4)))
        return ops.concatenate(logits, axis=1), ops.concatenate(deltas, axis=1)


def propose(
    logits: Any, deltas: Any, anchors: Any, image_size: tuple[int, int], config: MaskRCNNConfig
) -> Any:
    """Turn the head's answers into proposals.

    Args:
        logits: Objectness `(B, A)`.
        deltas: `(B, A, 4)`.
        anchors: `(A, 4)`.
        image_size: Input `(height, width)`.
        config: `pre_nms`, `proposals`, `rpn_nms_iou`, `rpn_box_std`.

    Returns:
        `(B, P, 4)` xyxy, best first; rows without a proposal are zero.
    """
    before = min(config.pre_nms, logits.shape[1])
    logits, index = ops.top_k(logits, before)
    chosen = boxes.decode(boxes.take(deltas, index), ops.take(anchors, index, axis=0), config.rpn_box_std)
    chosen = boxes.clip(chosen, whole_input(image_size, config))
    keep = boxes.nms_keep(chosen, config.rpn_nms_iou, most=config.proposals)
    scores = ops.where(keep, ops.sigmoid(logits), -1.0)
    scores, chosen = boxes.best(scores, min(config.proposals, before), chosen)
    return ops.where(scores[..., None] >= 0.0, chosen, 0.0)

"""This module says which layers of our network Matterport's layers (`mrcnn/model.py`) become.

Both are the same network; `MaskRCNNConfig` says where they differ. The weights change in four ways, none of
which changes an answer: batch norm is folded into the convolution before it, though not in the backbone, the
two logits of the RPN become their difference, box deltas get x before y, and the mask of the background goes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.backbone import RESNET_BLOCKS
from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.matterport.weights_file import Tensors

Array = NDArray[np.floating[Any]]

EPSILON = 1e-3
"""Of Keras's `BatchNormalization`, whose default Matterport takes."""

NORM = ("gamma", "beta", "moving_mean", "moving_variance")
"""The weights of a batch norm."""


@dataclass(frozen=True)
class LayerSource:
    """A layer source says which of Matterport's layers a layer of ours comes from.

    Attributes:
        ours: Name of our layer, as in the paths of its variables.
        theirs: Name of Matterport's.
        kernel: Shape of its kernel.
        norm: Name of the batch norm that follows, if one does.
        fold: Whether that is folded into our layer, or stays a layer of the same name.
        convert: Changes the last axis of kernel and bias.
    """

    ours: str
    theirs: str
    kernel: tuple[int, ...]
    norm: str | None = None
    fold: bool = True
    convert: Callable[[Array], Array] | None = None

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of each of Matterport's weights."""
        bias = (self.kernel[-1],)
        yield f"{self.theirs}/kernel", self.kernel
        yield f"{self.theirs}/bias", bias
        if self.norm:
            for kind in NORM:
                yield f"{self.norm}/{kind}", bias

    def weights(self, tensors: Tensors) -> Iterator[tuple[str, Array]]:
        """Yield path and value of each of our weights."""
        kernel: Array = tensors[f"{self.theirs}/kernel"].astype(np.float64)
        bias: Array = tensors[f"{self.theirs}/bias"].astype(np.float64)
        if self.norm:
            norm = {kind: tensors[f"{self.norm}/{kind}"] for kind in NORM}
            if self.fold:
                gamma, beta, mean, variance = (value.astype(np.float64) for value in norm.values())
                scale = gamma / np.sqrt(variance + EPSILON)
                kernel, bias = kernel * scale, (bias - mean) * scale + beta
            else:
                yield from ((f"{self.norm}/{kind}", value) for kind, value in norm.items())
        if self.convert:
            kernel, bias = self.convert(kernel), self.convert(bias)
        yield f"{self.ours}/kernel", kernel.astype(np.float32)
        yield f"{self.ours}/bias", bias.astype(np.float32)


def _difference(x: Array) -> Array:
    """Return object minus background, whose sigmoid is the softmax of the two."""
    return x[..., 1::2] - x[..., 0::2]


def _x_first(x: Array) -> Array:
    """Turn every `(dy, dx, dh, dw)` into `(dx, dy, dw, dh)`."""
    return x.reshape(*x.shape[:-1], -1, 4)[..., [1, 0, 3, 2]].reshape(x.shape)


def _foreground(x: Array) -> Array:
    return x[..., 1:]


def sources(config: MaskRCNNConfig) -> Iterator[LayerSource]:
    """Yield the source of each layer of a network, with Matterport's names (`mrcnn/model.py`)."""
    yield LayerSource("conv1", "conv1", (7, 7, 3, 64), "bn_conv1", fold=False)
    inputs = 64
    for stage, blocks in enumerate(RESNET_BLOCKS[config.backbone], start=2):
        width = 64 << (stage - 2)
        for block in range(blocks):
            name = f"{stage}{chr(ord('a') + block)}_branch"
            shapes = {"2a": (1, 1, inputs, width), "2b": (3, 3, width, width), "2c": (1, 1, width, 4 * width)}
            if block == 0:
                shapes["1"] = (1, 1, inputs, 4 * width)
            for branch, shape in shapes.items():
                layer = f"res{name}{branch}"
                yield LayerSource(layer, layer, shape, f"bn{name}{branch}", fold=False)
            inputs = 4 * width

    pyramid = config.fpn_channels
    for level in range(4):
        number = level + 2
        yield LayerSource(f"fpn/lateral_{level}", f"fpn_c{number}p{number}", (1, 1, 256 << level, pyramid))
        yield LayerSource(f"fpn/smooth_{level}", f"fpn_p{number}", (3, 3, pyramid, pyramid))

    shared, anchors = config.rpn_channels or pyramid, len(config.anchor_ratios)
    yield LayerSource("rpn/shared", "rpn_conv_shared", (3, 3, pyramid, shared))
    yield LayerSource("rpn/objectness", "rpn_class_raw", (1, 1, shared, 2 * anchors), convert=_difference)
    yield LayerSource("rpn/deltas", "rpn_bbox_pred", (1, 1, shared, 4 * anchors), convert=_x_first)

    pool, units, classes = config.box_pool, config.box_head_units, config.num_classes
    yield LayerSource(
        "box_head/dense_1", "mrcnn_class_conv1", (pool, pool, pyramid, units), "mrcnn_class_bn1"
    )
    yield LayerSource("box_head/dense_2", "mrcnn_class_conv2", (1, 1, units, units), "mrcnn_class_bn2")
    yield LayerSource("box_head/logits", "mrcnn_class_logits", (units, classes))
    yield LayerSource("box_head/deltas", "mrcnn_bbox_fc", (units, 4 * classes), convert=_x_first)

    width = config.mask_head_channels
    for i in range(config.mask_head_layers):
        shape = (3, 3, width if i else pyramid, width)
        yield LayerSource(f"mask_head/conv_{i}", f"mrcnn_mask_conv{i + 1}", shape, f"mrcnn_mask_bn{i + 1}")
    # The kernel of a transposed convolution has its outputs before its inputs.
    yield LayerSource("mask_head/upsample", "mrcnn_mask_deconv", (2, 2, width, width))
    yield LayerSource("mask_head/logits", "mrcnn_mask", (1, 1, width, classes), convert=_foreground)

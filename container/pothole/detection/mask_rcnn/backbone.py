"""Backbones turn a picture into features of several strides.

MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381) is this project's own; its batch norm is folded into the
kernels. ResNet-50 and ResNet-101 (He et al., 2015, arXiv:1512.03385) are Matterport's (`resnet_graph`), which
stride in the first 1×1 convolution of a stage as the paper does, not in the 3×3 one as later variants do.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import layers

from pothole.detection.mask_rcnn.resnet_layers import Convolution, FrozenBatchNorm

BLOCKS = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
"""Output channels, repeats, first stride (table 2 of the paper); the expansion is 6, in the first block 1."""

STAGE_ENDS = (1, 2, 4, 6)
"""Blocks whose output leaves the network: 24, 32, 96, 320 channels at stride 4, 8, 16, 32."""


def mobilenet_v2() -> keras.Model:
    """Build the backbone.

    Returns:
        A model from `(B, height, width, 3)` RGB in −1..1, of any size in multiples of 32, to the features at
        strides 4, 8, 16 and 32. Its convolutions are named `00_conv`, `01_dwconv` … in the order of the
        network.
    """
    numbers = iter(range(100))

    def conv(x: Any, filters: int, kernel: int, stride: int, relu: bool) -> Any:
        name = f"{next(numbers):02d}_conv"
        x = layers.Conv2D(filters, kernel, stride, padding="same", name=name)(x)
        return layers.ReLU(6.0)(x) if relu else x

    def depthwise(x: Any, stride: int) -> Any:
        name = f"{next(numbers):02d}_dwconv"
        x = layers.DepthwiseConv2D(3, stride, padding="same", name=name)(x)
        return layers.ReLU(6.0)(x)

    picture = keras.Input((None, None, 3), name="image")
    x = conv(picture, 32, 3, 2, relu=True)
    channels, stages = 32, []
    for block, (filters, repeats, first_stride) in enumerate(BLOCKS):
        for repeat in range(repeats):
            shortcut = x
            if block > 0:
                x = conv(x, channels * 6, 1, 1, relu=True)
            x = depthwise(x, first_stride if repeat == 0 else 1)
            x = conv(x, filters, 1, 1, relu=False)
            if repeat > 0:
                x = layers.Add()([shortcut, x])
            channels = filters
        if block in STAGE_ENDS:
            stages.append(x)
    return keras.Model(picture, stages, name="backbone")


RESNET_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
"""Bottleneck blocks of stages 2 to 5 (table 1 of that paper)."""


def resnet(name: str) -> keras.Model:
    """Build a backbone of `RESNET_BLOCKS`.

    Returns:
        A model from `(B, height, width, 3)`, of any size in multiples of 32, to the outputs of stages 2 to 5:
        256, 512, 1024, 2048 channels at strides 4, 8, 16, 32. Its layers have the names that they have had
        since the authors' own files, such as `res2a_branch2a` and `bn2a_branch2a`.
    """

    def conv(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
        padding = "valid" if kernel == 1 else "same"
        x = Convolution(filters, kernel, stride, padding=padding, name=f"res{name}")(x)
        return FrozenBatchNorm(name=f"bn{name}")(x)

    picture = keras.Input((None, None, 3), name="image")
    # "same" would pad 2 before and 3 after, and move the whole network by half a pixel.
    x = layers.ZeroPadding2D(3)(picture)
    x = layers.ReLU()(FrozenBatchNorm(name="bn_conv1")(Convolution(64, 7, 2, name="conv1")(x)))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    stages = []
    for stage, blocks in enumerate(RESNET_BLOCKS[name], start=2):
        filters = 64 << (stage - 2)
        for block in range(blocks):
            branch = f"{stage}{chr(ord('a') + block)}_branch"
            stride = 2 if block == 0 and stage > 2 else 1
            shortcut = x if block else conv(x, 4 * filters, 1, stride, f"{branch}1")
            x = layers.ReLU()(conv(x, filters, 1, stride, f"{branch}2a"))
            x = layers.ReLU()(conv(x, filters, 3, 1, f"{branch}2b"))
            x = layers.ReLU()(layers.Add()([conv(x, 4 * filters, 1, 1, f"{branch}2c"), shortcut]))
        stages.append(x)
    return keras.Model(picture, stages, name="backbone")


BACKBONES: dict[str, Callable[[], keras.Model]] = {
    "mobilenet_v2": mobilenet_v2,
    **{name: partial(resnet, name) for name in RESNET_BLOCKS},
}

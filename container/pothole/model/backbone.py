"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381) with batch norm folded into the kernels."""

from typing import Any

import keras
from keras import layers

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

"""The feature pyramid network makes all strides equally rich (Lin et al., 2017, arXiv:1612.03144)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops


class FPN(keras.layers.Layer):  # type: ignore[misc]
    """The pyramid has lateral 1×1 convolutions, a top-down path, and 3×3 convolutions that smooth each level.

    By default we differ from the paper in that the smoothing is separable: at stride 4 a dense 3×3 costs as
    much as a small backbone. The last level is the one before it subsampled, as there.
    """

    def __init__(self, channels: int, separable: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels
        self.convolution = layers.SeparableConv2D if separable else layers.Conv2D
        self.lateral: list[Any] = []
        self.smooth: list[Any] = []
        self.subsample = layers.MaxPooling2D(1, strides=2)

    def build(self, input_shape: Sequence[tuple[int, ...]]) -> None:
        """Make one lateral and one smoothing convolution for each stage of the backbone."""
        for level, shape in enumerate(input_shape):
            lateral = layers.Conv2D(self.channels, 1, name=f"lateral_{level}")
            smooth = self.convolution(self.channels, 3, padding="same", name=f"smooth_{level}")
            lateral.build(shape)
            smooth.build((*shape[:-1], self.channels))
            self.lateral.append(lateral)
            self.smooth.append(smooth)

    def call(self, stages: Sequence[Any]) -> list[Any]:
        """Turn the backbone's stages, finest first, into one level more of equal width."""
        tops = [lateral(stage) for lateral, stage in zip(self.lateral, stages, strict=True)]
        for level in range(len(tops) - 2, -1, -1):
            # Not UpSampling2D, which copies the map twice in TensorFlow.
            size = tops[level].shape[1:3]
            tops[level] = tops[level] + ops.image.resize(tops[level + 1], size, interpolation="nearest")
        levels = [smooth(top) for smooth, top in zip(self.smooth, tops, strict=True)]
        return [*levels, self.subsample(levels[-1])]

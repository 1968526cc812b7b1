"""Two heads judge pooled RoIs (He et al., 2017, arXiv:1703.06870, fig. 4, right).

Legend: B: batch, N: RoIs, P: bins per axis, C: channels, K: classes with background.
"""

from typing import Any

import keras
from keras import initializers, layers, ops


class BoxHead(keras.layers.Layer):  # type: ignore[misc]
    """The box head has two dense layers, then class logits and box deltas per class."""

    def __init__(self, units: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.dense_1 = layers.Dense(units, activation="relu", name="dense_1")
        self.dense_2 = layers.Dense(units, activation="relu", name="dense_2")
        self.logits = layers.Dense(
            num_classes, kernel_initializer=initializers.RandomNormal(stddev=0.01), name="logits"
        )
        self.deltas = layers.Dense(
            4 * num_classes, kernel_initializer=initializers.RandomNormal(stddev=0.001), name="deltas"
        )

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Build for pooled RoIs `(B, N, P, P, C)`."""
        self.dense_1.build((None, input_shape[2] * input_shape[3] * input_shape[4]))
        for layer in (self.dense_2, self.logits, self.deltas):
            layer.build((None, self.dense_1.units))

    def call(self, pooled: Any) -> tuple[Any, Any]:
        """Return class logits `(B, N, K)`, background first, and deltas `(B, N, K, 4)`."""
        batch, count = ops.shape(pooled)[:2]
        flat = ops.reshape(pooled, (-1, self.dense_1.kernel.shape[0]))
        features = self.dense_2(self.dense_1(flat))
        return (
            ops.reshape(self.logits(features), (batch, count, self.num_classes)),
            ops.reshape(self.deltas(features), (batch, count, self.num_classes, 4)),
        )


class MaskHead(keras.layers.Layer):  # type: ignore[misc]
    """The mask head has convolutions, one that doubles the size, and one mask per foreground class."""

    def __init__(self, channels: int, depth: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.convs = [
            layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv_{i}")
            for i in range(depth)
        ]
        self.upsample = layers.Conv2DTranspose(channels, 2, 2, activation="relu", name="upsample")
        self.logits = layers.Conv2D(num_classes - 1, 1, name="logits")

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Build for pooled RoIs `(B, N, P, P, C)`."""
        shape = (None, *input_shape[2:])
        for conv in self.convs:
            conv.build(shape)
            shape = (*shape[:-1], conv.filters)
        self.upsample.build(shape)
        self.logits.build(shape)

    def call(self, pooled: Any) -> Any:
        """Return mask logits `(B, N, 2P, 2P, K − 1)`."""
        batch, count = ops.shape(pooled)[:2]
        x = ops.reshape(pooled, (-1, *pooled.shape[2:]))
        for conv in self.convs:
            x = conv(x)
        x = self.logits(self.upsample(x))
        return ops.reshape(x, (batch, count, *x.shape[1:]))

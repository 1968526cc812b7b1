"""The layers of the ResNets round as those of TensorFlow 2.15 and Keras 2 do.

What is in the last bit of a first layer is a thousand times as large in the answers of a deep network. So
weights that were trained there give the same answers here only if each layer gives the same bits.
"""

from typing import Any

import keras
from keras import layers, ops

DEEP, WIDE = 512, 256


class Convolution(layers.Conv2D):  # type: ignore[misc]
    """This convolution adds up its inputs one after the other, as oneDNN did.

    Since then it adds up those of a 1×1 kernel in parts, if there are `DEEP` inputs or more and more than
    `WIDE` outputs. Fewer outputs at a time bring the old order back; the time is the same.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve `(B, height, width, inputs)` with `(rows, columns, inputs, filters)`."""
        in_parts = self.kernel_size == (1, 1) and kernel.shape[-2] >= DEEP and self.filters > WIDE
        if not in_parts or keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        groups = ops.split(kernel, self.filters // WIDE, axis=-1)
        convolved = [super(Convolution, self).convolution_op(inputs, group) for group in groups]
        return ops.concatenate(convolved, axis=-1)


class FrozenBatchNorm(layers.BatchNormalization):  # type: ignore[misc]
    """This is batch norm (arXiv:1502.03167) with the statistics of a finished training.

    It is neither folded into the convolution before it nor, as in Keras 3, composed of other operations: it
    is TensorFlow's own, which Keras 2 called.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise `(B, height, width, C)`; `training` and `mask` change nothing."""
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=False)
        import tensorflow as tf  # noqa: PLC0415

        normalised, *_ = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            self.gamma,
            self.beta,
            self.moving_mean,
            self.moving_variance,
            self.epsilon,
            is_training=False,
        )
        return normalised

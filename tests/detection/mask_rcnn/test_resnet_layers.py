import numpy as np
import tensorflow as tf
from keras import layers

from pothole.detection.mask_rcnn.resnet_layers import Convolution, FrozenBatchNorm

RNG = np.random.default_rng(0)


def test_many_outputs_have_the_bits_of_few():
    """Where oneDNN orders sums by the number of outputs; elsewhere it holds anyway."""
    x = RNG.normal(size=(1, 16, 16, 1024)).astype(np.float32)
    wide, halves = Convolution(512, 1, 2), [layers.Conv2D(256, 1, 2) for _ in range(2)]
    kernel, bias = RNG.normal(size=(1, 1, 1024, 512)).astype(np.float32), np.arange(512, dtype=np.float32)
    for layer, part in ((wide, slice(None)), (halves[0], slice(256)), (halves[1], slice(256, None))):
        layer.build(x.shape)
        layer.set_weights([kernel[..., part], bias[part]])
    assert (np.asarray(wide(x)) == np.concatenate([half(x) for half in halves], axis=-1)).all()


def test_batch_norm_has_the_bits_of_tensorflows_own_and_never_changes():
    x = RNG.normal(size=(2, 8, 8, 64)).astype(np.float32)
    norm = FrozenBatchNorm()
    norm.build(x.shape)
    assert not norm.trainable_weights
    weights = [RNG.uniform(0.5, 2.0, 64).astype(np.float32) for _ in range(4)]
    norm.set_weights(weights)
    wanted, *_ = tf.compat.v1.nn.fused_batch_norm(x, *weights, epsilon=1e-3, is_training=False)
    wanted = np.asarray(wanted)
    for training in (False, True):
        assert (np.asarray(norm(x, training=training)) == wanted).all()
        assert (np.asarray(tf.function(norm)(x, training=training)) == wanted).all()
    assert all((now == then).all() for now, then in zip(norm.get_weights(), weights, strict=True))

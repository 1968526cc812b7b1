import keras
import numpy as np
import pytest

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.roi_align import roi_align, roi_levels

CONFIG = MaskRCNNConfig(image_size=(128, 256), strides=(8, 16), roi_canonical_size=32.0)


def ramp(rows, columns, stride):
    """Each cell holds the x and y, in pixels, of its centre."""
    y, x = np.meshgrid((np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, indexing="ij")
    return np.stack([x, y], axis=-1)[None].astype(np.float32)


@pytest.mark.parametrize("sampling", [1, 2])
@pytest.mark.parametrize("box", [(20.0, 24.0, 44.0, 40.0), (33.3, 41.7, 95.1, 88.8)])
def test_each_bin_holds_the_value_at_its_centre(box, sampling):
    config = MaskRCNNConfig(
        image_size=(128, 256), strides=(8, 16), roi_canonical_size=32.0, roi_sampling=sampling
    )
    pyramid = [ramp(16, 32, 8), ramp(8, 16, 16)]
    pooled = keras.ops.convert_to_numpy(roi_align(pyramid, np.array([[box]], np.float32), 4, config))[0, 0]
    x1, y1, x2, y2 = box
    bins = (np.arange(4) + 0.5) / 4
    assert pooled[:, :, 0] == pytest.approx(np.tile(x1 + bins * (x2 - x1), (4, 1)), abs=1e-3)
    assert pytest.approx(np.tile(y1 + bins * (y2 - y1), (4, 1)), abs=1e-3) == pooled[:, :, 1].T


def test_a_roi_is_pooled_from_the_level_of_its_size_and_its_own_picture():
    fine, coarse = np.zeros((2, 16, 32, 1), np.float32), np.zeros((2, 8, 16, 1), np.float32)
    fine[0], fine[1], coarse[0], coarse[1] = 1.0, 2.0, 3.0, 4.0
    small, large = [0, 0, 30, 30], [0, 0, 40, 40]
    rois = np.array([[small, large], [large, small]], np.float32)
    pooled = keras.ops.convert_to_numpy(roi_align([fine, coarse], rois, 2, CONFIG))
    assert pooled[:, :, 0, 0, 0].tolist() == [[1.0, 3.0], [4.0, 2.0]]


def test_levels_double_with_the_size():
    config = MaskRCNNConfig()
    rois = np.array([[[0, 0, s, s] for s in (5, 27, 28, 55, 56, 111, 112, 223, 224, 600)]], np.float32)
    found = keras.ops.convert_to_numpy(roi_levels(rois, (1024, 1024), config, 4))[0]
    assert found.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]


def test_past_the_picture_the_edge_is_repeated():
    pyramid = [ramp(16, 32, 8), ramp(8, 16, 16)]
    rois = np.array([[[-30.0, -30.0, -2.0, -2.0], [250.0, 120.0, 256.0, 128.0]]], np.float32)
    pooled = keras.ops.convert_to_numpy(roi_align(pyramid, rois, 2, CONFIG))[0]
    assert (pooled[0] == 4.0).all()
    assert pooled[1, 1, 1].tolist() == [252.0, 124.0]


def test_normalised_boxes_are_pooled_as_tensorflow_crops_and_resizes():
    import tensorflow as tf

    config = MaskRCNNConfig(
        strides=(4, 8, 16), box_units="normalised", roi_canonical_size=224.0, roi_level_rounding="nearest"
    )
    rng = np.random.default_rng(0)
    level = rng.normal(size=(1, 64, 64, 3)).astype(np.float32)
    coarser = [np.full((1, 32, 32, 3), np.nan, np.float32), np.full((1, 16, 16, 3), np.nan, np.float32)]
    corners = rng.uniform(0.0, 0.9, (2000, 2))
    boxes = np.concatenate([corners, corners + 0.1], axis=1).astype(np.float32)
    boxes[0] = 0.0
    boxes[1:1000, :2] = rng.uniform(0.85, 0.95, (999, 2))
    boxes[1:1000, 2:] = 1.0
    theirs = tf.image.crop_and_resize(level, boxes[:, [1, 0, 3, 2]], np.zeros(2000, np.int32), (14, 14))
    ours = keras.ops.convert_to_numpy(roi_align([level, *coarser], boxes[None], 14, config))[0]
    assert np.allclose(ours, theirs, atol=1e-5)
    # Where rounding puts the last sample past the edge there is nothing.
    assert (ours[1:1000] == 0.0).any()


def test_levels_may_be_rounded_to_the_nearest():
    config = MaskRCNNConfig(
        strides=(4, 8, 16, 32), box_units="normalised", roi_canonical_size=224.0, roi_level_rounding="nearest"
    )
    sizes = np.array([0, 10, 79, 80, 158, 159, 316, 317, 1000]) / 1024
    rois = np.stack([sizes * 0, sizes * 0, sizes, sizes], axis=-1)[None].astype(np.float32)
    found = keras.ops.convert_to_numpy(roi_levels(rois, (1024, 1024), config, 4))[0]
    assert found.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]

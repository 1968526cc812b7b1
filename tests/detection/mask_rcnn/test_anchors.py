import numpy as np
import pytest

from pothole.detection.mask_rcnn.anchors import anchors
from pothole.detection.mask_rcnn.config import MaskRCNNConfig

CONFIG = MaskRCNNConfig(
    image_size=(64, 128), strides=(32, 64), anchor_sizes=(20.0, 40.0), anchor_ratios=(0.25, 1.0)
)


def test_one_anchor_per_ratio_and_cell_of_each_level():
    assert anchors(CONFIG, CONFIG.image_size).shape == ((2 * 4 + 1 * 2) * 2, 4)


def test_the_first_cell_comes_first_flat_before_square():
    flat, square = anchors(CONFIG, CONFIG.image_size)[:2]
    assert flat.tolist() == [16 - 20, 16 - 5, 16 + 20, 16 + 5]  # centre of the cell, 40 × 10
    assert square.tolist() == [6, 6, 26, 26]


def test_cells_go_along_the_row():
    found = anchors(CONFIG, CONFIG.image_size)
    assert (found[2] - found[0]).tolist() == [32, 0, 32, 0]
    assert (found[8] - found[0]).tolist() == [0, 32, 0, 32]


def test_every_anchor_has_the_area_of_its_level():
    found = anchors(CONFIG, CONFIG.image_size)
    areas = np.prod(found[:, 2:] - found[:, :2], axis=1)
    assert areas[:16] == pytest.approx(400) and areas[16:] == pytest.approx(1600)

import numpy as np
import pytest

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.letterbox import fit, letterbox, limits, to_picture

CENTRE = MaskRCNNConfig(image_size=(64, 64), letterbox="centre", min_side=32, box_units="normalised")


def test_letterbox_keeps_the_aspect_and_fits():
    assert letterbox((720, 1280), (384, 640)) == (0.5, (360, 640))
    assert letterbox((640, 640), (384, 640))[1] == (384, 384)
    assert letterbox((4, 1000), (384, 640))[1] == (3, 640)


def test_a_small_picture_stands_in_the_middle_on_black():
    canvas, window = fit(np.full((40, 51, 3), 9, np.uint8), CENTRE)
    assert window == (6, 12, 57, 52)
    assert (canvas[12:52, 6:57] == 9).all() and canvas.sum() == 9 * 40 * 51 * 3


def test_a_picture_is_reduced_by_bilinear_weights_cut_to_whole_numbers():
    image = np.zeros((80, 160, 3), np.uint8)
    image[:, 1::5] = 101  # each target pixel i lies at 2.5 i + 0.75
    canvas, window = fit(image, CENTRE)
    assert window == (0, 16, 64, 48)
    assert canvas[20, :4, 0].tolist() == [75, 0, 75, 0]
    assert (fit(np.full((333, 517, 3), 137, np.uint8), CENTRE)[0][20:40] == 137).all()


def test_the_shorter_side_is_enlarged_and_fades_to_black():
    canvas, window = fit(np.full((16, 20, 3), 200, np.uint8), CENTRE)
    assert window == (12, 16, 52, 48)
    assert canvas[17:47, 13:51].min() == 200
    assert canvas[16, 30, 0] == 150 and canvas[16, 12, 0] == int(200 * 0.75 * 0.75)


def test_enlarging_stops_where_the_longer_side_fits():
    assert fit(np.zeros((10, 40, 3), np.uint8), CENTRE)[1] == (0, 24, 64, 40)


def test_a_large_picture_is_averaged_and_a_small_one_drawn_out_evenly():
    """A pothole of few pixels must not fall between those that are taken."""
    config = MaskRCNNConfig(image_size=(64, 64))
    dotted = np.zeros((256, 256, 3), np.uint8)
    dotted[:, ::4] = 200
    assert (fit(dotted, config)[0] == 50).all()
    edge = np.zeros((16, 16, 3), np.uint8)
    edge[:, 8:] = 200
    assert 0 < np.unique(fit(edge, config)[0])[1] < 200


def test_normalised_boxes_become_whole_pixels_of_the_picture():
    window = (0, 16, 64, 48)
    within = limits(window, CENTRE)
    assert within == pytest.approx([0, 16 / 63, 1, 47 / 63])
    boxes = np.array([within, [0.25, 0.51, 0.75, 47 / 63], [0.9, 0.7, 1, 0.74]], np.float32)
    found = to_picture(boxes, window, (80, 160), CENTRE)
    # 0.25 · 159 = 39.75, 16.13 / 31 · 79 = 41.1, and the far edge is the pixel after 0.75 · 159 = 119.25.
    # 0.9 · 159 = 143.1, 28.1 / 31 · 79 = 71.6, and the pixel after 30.62 / 31 · 79 = 78.03.
    assert found.tolist() == [[0, 0, 160, 80], [40, 41, 120, 80], [143, 72, 160, 79]]


def test_boxes_in_pixels_are_scaled():
    config = MaskRCNNConfig()
    found = to_picture(np.array([[10, 20, 640, 360]], np.float32), (0, 0, 640, 360), (720, 1280), config)
    assert found.tolist() == [[20, 40, 1280, 720]]
    assert limits((0, 0, 640, 360), config).tolist() == [0, 0, 640, 384]

"""A frame's pictures in RGB, at its own size and smaller."""

import cv2
import numpy as np
import pytest

from pothole.media.frame import MATRIX_BT601, MATRIX_BT709
from support.clips import frame_of


def waves(height: int, width: int) -> np.ndarray:
    """Colours that change slowly from place to place, so that coding them loses little."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    channels = [np.sin(6 * x + 2 * y), np.cos(5 * y - x), np.sin(4 * x * y + 1)]
    return np.round(127 + 100 * np.stack(channels, axis=-1)).astype(np.uint8)


@pytest.mark.parametrize("matrix", [MATRIX_BT601, MATRIX_BT709])
@pytest.mark.parametrize("size", [(240, 320), (120, 160), (80, 107), (101, 135), (37, 50), (239, 319)])
def test_a_frame_in_rgb_looks_as_what_was_filmed(matrix, size):
    filmed = waves(240, 320)
    shown = frame_of(filmed, matrix=matrix).rgb(size)
    wanted = cv2.resize(filmed, size[::-1], interpolation=cv2.INTER_AREA)
    assert shown.shape == (*size, 3)
    different = shown.astype(int) - wanted
    assert np.abs(different.mean(axis=(0, 1))).max() < 0.7
    assert np.abs(different).mean() < 1.5
    assert np.abs(different).max() < 12


@pytest.mark.parametrize("size", [(33, 47), (32, 47), (1, 1), (2, 1), (1, 3)])
def test_a_frame_of_an_odd_size_has_all_its_rows_and_columns(size):
    filmed = np.full((*size, 3), (200, 120, 40), np.uint8)
    assert np.abs(frame_of(filmed).rgb().astype(int) - filmed).max() <= 3
    assert frame_of(filmed).rgb((1, 1)).shape == (1, 1, 3)

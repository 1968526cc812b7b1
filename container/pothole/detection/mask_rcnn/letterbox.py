"""This module fits a picture of any size into the network's input, and brings boxes back to its pixels.

A window is where the picture lies in the input: `(x0, y0, x1, y1)` in whole pixels, the far edge exclusive.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.box_units import from_pixels, whole_input
from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.resize import resize_to_black
from pothole.types import Image

Window = tuple[int, int, int, int]

GREY = 127


def letterbox(size: tuple[int, int], image_size: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    """Fit a picture into the network's input, aspect kept, at its top left corner.

    Args:
        size: Picture `(height, width)`.
        image_size: Input `(height, width)`.

    Returns:
        The scale, and the picture's size `(height, width)` inside the input; the rest is padding.
    """
    scale = min(image_size[0] / size[0], image_size[1] / size[1])
    fitted = (max(round(size[0] * scale), 1), max(round(size[1] * scale), 1))
    return scale, (min(fitted[0], image_size[0]), min(fitted[1], image_size[1]))


def input_size(size: tuple[int, int], config: MaskRCNNConfig) -> tuple[int, int]:
    """Return the size to which a picture may be scaled down, in whatever way, before it is fitted.

    Matterport's network asks for its own way of scaling, so its pictures stay as they are.

    Args:
        size: Picture `(height, width)`.
        config: `letterbox`, `image_size`.
    """
    if config.letterbox == "centre":
        return size
    _, (height, width) = letterbox(size, config.image_size)
    return min(height, size[0]), min(width, size[1])


def fit(image: Image, config: MaskRCNNConfig) -> tuple[Image, Window]:
    """Return the network's input `(height, width, 3)` uint8 RGB for a picture, and the picture's window."""
    return _fit_centre(image, config) if config.letterbox == "centre" else _fit_corner(image, config)


def _fit_corner(image: Image, config: MaskRCNNConfig) -> tuple[Image, Window]:
    _, (height, width) = letterbox(image.shape[:2], config.image_size)
    shrinks = height < image.shape[0]
    canvas = np.full((*config.image_size, 3), GREY, np.uint8)
    canvas[:height, :width] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return canvas, (0, 0, width, height)


def _fit_centre(image: Image, config: MaskRCNNConfig) -> tuple[Image, Window]:
    """Follow Matterport's `utils.resize_image`, mode `square`, pixel for pixel."""
    height, width = image.shape[:2]
    scale = max(1.0, config.min_side / min(height, width), config.min_scale)
    most = config.image_size[0]
    if round(max(height, width) * scale) > most:
        scale = most / max(height, width)
    if scale != 1:
        height, width = max(round(height * scale), 1), max(round(width * scale), 1)
        # What is a whole number in exact arithmetic must not be cut to the one below.
        image = (resize_to_black(image, (height, width)) + 1e-3).astype(np.uint8)
    top, left = (config.image_size[0] - height) // 2, (config.image_size[1] - width) // 2
    canvas = np.zeros((*config.image_size, 3), np.uint8)
    canvas[top : top + height, left : left + width] = image
    return canvas, (left, top, left + width, top + height)


def limits(window: Window, config: MaskRCNNConfig) -> NDArray[np.float32]:
    """Return the box `(4,)`, in `box_units`, that detections must not reach past.

    Matterport cuts them at the picture (`DetectionLayer`), this project's own network at the input.
    """
    if config.letterbox == "centre":
        return from_pixels(np.array(window), config.image_size, config)
    return whole_input(config.image_size, config)


def to_picture(
    boxes: NDArray[np.float32], window: Window, size: tuple[int, int], config: MaskRCNNConfig
) -> NDArray[np.float32]:
    """Bring boxes `(N, 4)` from the network's input, in `box_units`, to pixels of the picture.

    Args:
        boxes: `(N, 4)` xyxy.
        window: Where the picture lies in the input.
        size: Picture `(height, width)`.
        config: `box_units`, `image_size`.

    Returns:
        `(N, 4)` float32 xyxy; from `normalised` boxes whole numbers, as Matterport's `unmold_detections` and
        `utils.denorm_boxes` round them.
    """
    height, width = size
    if config.box_units == "normalised":
        edges = from_pixels(np.array(window), config.image_size, config)
        low, high = np.tile(edges[:2], 2), np.tile(edges[2:], 2)
        last = np.array([width - 1, height - 1, width - 1, height - 1])
        whole: NDArray[np.float32] = np.around(
            (boxes - low) / (high - low) * last + np.array([0, 0, 1, 1])
        ).astype(np.float32)
        return whole
    left, top, right, bottom = window
    scale = np.tile([width / (right - left), height / (bottom - top)], 2).astype(np.float32)
    moved: NDArray[np.float32] = (boxes - np.array([left, top, left, top], np.float32)) * scale
    return moved

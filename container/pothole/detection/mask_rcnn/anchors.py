"""Anchors are the reference boxes of the RPN (Ren et al., 2015, arXiv:1506.01497, sec. 3.1.1)."""

import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.box_units import from_pixels
from pothole.detection.mask_rcnn.config import MaskRCNNConfig


def anchors(config: MaskRCNNConfig, image_size: tuple[int, int]) -> NDArray[np.float32]:
    """Return all anchors, level by level, row by row, cell by cell, ratio by ratio.

    Args:
        config: `anchor_sizes`, `anchor_ratios`, `anchor_centre`, `strides`, `box_units`.
        image_size: Input `(height, width)`.

    Returns:
        `(A, 4)` float32 xyxy in `box_units`; they may reach past the picture.
    """
    levels = []
    for size, stride in zip(config.anchor_sizes, config.strides, strict=True):
        rows, columns = (-(-side // stride) for side in image_size)
        ratios = np.array(config.anchor_ratios)
        half = np.stack([size / np.sqrt(ratios), size * np.sqrt(ratios)], axis=-1) / 2.0
        y, x = np.meshgrid(
            (np.arange(rows) + config.anchor_centre) * stride,
            (np.arange(columns) + config.anchor_centre) * stride,
            indexing="ij",
        )
        centre = np.stack([x, y], axis=-1)[:, :, None, :]
        levels.append(np.concatenate([centre - half, centre + half], axis=-1).reshape(-1, 4))
    return from_pixels(np.concatenate(levels), image_size, config)

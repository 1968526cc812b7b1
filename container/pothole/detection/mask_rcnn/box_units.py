"""Inside the network boxes are in pixels of its input, or in Matterport's normalised units.

Boxes are `xyxy`. In pixels the far edge is exclusive, in normalised units it is the last pixel itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.config import MaskRCNNConfig

Boxes = NDArray[np.float32]


def from_pixels(boxes: NDArray[Any], image_size: tuple[int, int], config: MaskRCNNConfig) -> Boxes:
    """Bring boxes `(…, 4)` from pixels of an input `(height, width)` to the configuration's `box_units`."""
    if config.box_units == "normalised":
        height, width = image_size
        last = np.array([width - 1, height - 1, width - 1, height - 1])
        boxes = (boxes - np.array([0, 0, 1, 1])) / last
    return boxes.astype(np.float32)


def whole_input(image_size: tuple[int, int], config: MaskRCNNConfig) -> Boxes:
    """Return the box `(4,)` of the network's whole input `(height, width)`."""
    height, width = image_size
    return from_pixels(np.array([0, 0, width, height]), image_size, config)

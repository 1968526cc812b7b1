"""This module brings the mask head's small masks to the picture's pixels."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.resize import resize_to_black
from pothole.detections import Detections, pixel_boxes


def paste_masks(
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    masks: NDArray[np.float32],
    classes: NDArray[np.int32],
    class_names: tuple[str, ...],
    image_size: tuple[int, int],
    border: str = "repeat",
) -> Detections:
    """Bring masks from the mask head's grid to the pixels of the picture, cut at one half.

    Args:
        boxes_xyxy: `(N, 4)` in pixels of the picture.
        scores: `(N,)`.
        masks: `(N, size, size)` probabilities, each over its box.
        classes: `(N,)` from 1; 0 is the background.
        class_names: Of the classes from 1 on.
        image_size: Picture `(height, width)`.
        border: `mask_border` of the configuration.
    """
    inside = boxes_xyxy.copy()
    inside[:, 0::2] = inside[:, 0::2].clip(0, image_size[1])
    inside[:, 1::2] = inside[:, 1::2].clip(0, image_size[0])
    whole = pixel_boxes(inside, image_size)
    filled = ((whole[:, 2:] - whole[:, :2]) > 0).all(axis=1)
    inside, scores, masks, whole = inside[filled], scores[filled], masks[filled], whole[filled]
    class_ids = np.asarray(classes[filled] - 1, np.int32)
    paste = _fading if border == "zero" else _repeating
    pasted = (paste(*one) >= 0.5 for one in zip(masks, inside, whole, strict=True))
    return Detections(image_size, inside, scores, tuple(pasted), class_ids=class_ids, class_names=class_names)


def _repeating(mask: NDArray[np.float32], box: NDArray[np.float32], whole: NDArray[np.int32]) -> Any:
    """Bring one mask to the pixels `whole`; past its outer cells their values go on."""
    (left, top, right, bottom), size = whole, len(mask)
    # Centre of each picture pixel, in cells of the mask; cv2 puts a cell's value at its whole number.
    x = (np.arange(left, right) + 0.5 - box[0]) * size / max(box[2] - box[0], 1e-3) - 0.5
    y = (np.arange(top, bottom) + 0.5 - box[1]) * size / max(box[3] - box[1], 1e-3) - 0.5
    grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return cv2.remap(mask, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _fading(mask: NDArray[np.float32], _: NDArray[np.float32], whole: NDArray[np.int32]) -> Any:
    """Bring one mask to the pixels `whole` as Matterport's `utils.unmold_mask` does."""
    left, top, right, bottom = whole
    return resize_to_black(mask, (bottom - top, right - left))

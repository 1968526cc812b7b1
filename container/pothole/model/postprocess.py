"""From the box head's answers to detections, and from small masks to the picture's pixels."""

from typing import Any

import cv2
import numpy as np
from keras import ops
from numpy.typing import NDArray

from pothole.detections import Detections, pixel_boxes
from pothole.model import boxes
from pothole.model.config import MaskRCNNConfig


def refine(
    rois: Any, logits: Any, deltas: Any, image_size: tuple[int, int], config: MaskRCNNConfig
) -> tuple[Any, Any, Any]:
    """Move each RoI to where its likeliest foreground class says.

    Args:
        rois: `(B, N, 4)` xyxy; a padded RoI has no area.
        logits: `(B, N, K)`.
        deltas: `(B, N, K, 4)`.
        image_size: Input `(height, width)`.
        config: `box_std`.

    Returns:
        Boxes `(B, N, 4)`, scores `(B, N)` and classes `(B, N)` from 1; a padded RoI stays without area, its
        score is 0.
    """
    foreground = ops.softmax(logits, axis=-1)[..., 1:]
    classes = ops.argmax(foreground, axis=-1) + 1
    chosen = ops.take_along_axis(deltas, classes[..., None, None], axis=2)[..., 0, :]
    real = boxes.area(rois) > 0.0
    refined = boxes.clip(boxes.decode(chosen, rois, config.box_std), image_size)
    scores = ops.where(real, ops.max(foreground, axis=-1), 0.0)
    return ops.where(real[..., None], refined, 0.0), scores, classes


def detect(
    rois: Any, logits: Any, deltas: Any, image_size: tuple[int, int], config: MaskRCNNConfig
) -> tuple[Any, Any, Any]:
    """Refine the RoIs and drop doubles, class by class.

    Legend: B: batch, N: RoIs, K: classes with background, D: detections.

    Args:
        rois: `(B, N, 4)` xyxy; a padded RoI has no area.
        logits: `(B, N, K)`.
        deltas: `(B, N, K, 4)`.
        image_size: Input `(height, width)`.
        config: `box_std`, `detections`, `detection_nms_iou`.

    Returns:
        Boxes `(B, D, 4)`, scores `(B, D)` and classes `(B, D)` int32 from 1, best first; where there is no
        detection the score is 0.
    """
    refined, scores, classes = refine(rois, logits, deltas, image_size, config)
    count = min(rois.shape[1], 2 * config.detections)
    scores, refined, classes = boxes.best(scores, count, refined, classes)
    # Classes are moved apart so that one NMS keeps them from suppressing each other.
    apart = ops.cast(classes, refined.dtype)[..., None] * (2.0 * max(image_size))
    keep = boxes.nms_keep(refined + apart, config.detection_nms_iou)
    scores, refined, classes = boxes.best(
        ops.where(keep, scores, 0.0), min(config.detections, count), refined, classes
    )
    return refined, scores, ops.cast(classes, "int32")


def paste_masks(
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    masks: NDArray[np.float32],
    image_size: tuple[int, int],
) -> Detections:
    """Bring masks from the mask head's grid to the pixels of the picture, cut at one half.

    Args:
        boxes_xyxy: `(N, 4)` in pixels of the picture.
        scores: `(N,)`.
        masks: `(N, size, size)` probabilities, each over its box.
        image_size: Picture `(height, width)`.
    """
    inside = boxes_xyxy.copy()
    inside[:, 0::2] = inside[:, 0::2].clip(0, image_size[1])
    inside[:, 1::2] = inside[:, 1::2].clip(0, image_size[0])
    whole = pixel_boxes(inside, image_size)
    filled = ((whole[:, 2:] - whole[:, :2]) > 0).all(axis=1)
    inside, scores, masks, whole = inside[filled], scores[filled], masks[filled], whole[filled]
    size = masks.shape[-1]
    pasted = []
    for box, mask, (left, top, right, bottom) in zip(inside, masks, whole, strict=True):
        # Centre of each picture pixel, in cells of the mask; cv2 puts a cell's value at its whole number.
        x = (np.arange(left, right) + 0.5 - box[0]) * size / max(box[2] - box[0], 1e-3) - 0.5
        y = (np.arange(top, bottom) + 0.5 - box[1]) * size / max(box[3] - box[1], 1e-3) - 0.5
        grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        smooth = cv2.remap(mask, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        pasted.append(smooth >= 0.5)
    return Detections(image_size, inside, scores, tuple(pasted))

"""From the box head's answers to detections, and from small masks to the picture's pixels."""

from typing import Any

import cv2
import numpy as np
from keras import ops
from numpy.typing import NDArray

from pothole.detections import Detections, pixel_boxes
from pothole.model import boxes
from pothole.model.config import MaskRCNNConfig
from pothole.model.resize import resize_to_black


def refine(rois: Any, logits: Any, deltas: Any, limits: Any, config: MaskRCNNConfig) -> tuple[Any, Any, Any]:
    """Move each RoI to where its likeliest foreground class says.

    Args:
        rois: `(B, N, 4)` xyxy; a padded RoI has no area.
        logits: `(B, N, K)`.
        deltas: `(B, N, K, 4)`.
        limits: Box `(4,)`, or one for each picture `(B, 1, 4)`, that they must not reach past.
        config: `box_std`, `background_wins`, `keep_empty_rois`.

    Returns:
        Boxes `(B, N, 4)`, scores `(B, N)` and classes `(B, N)` from 1. Where there is nothing the score is 0,
        and a padded RoI stays without area.
    """
    probabilities = ops.softmax(logits, axis=-1)
    foreground = probabilities[..., 1:]
    classes = ops.argmax(foreground, axis=-1) + 1
    chosen = ops.take_along_axis(deltas, classes[..., None, None], axis=2)[..., 0, :]
    refined = boxes.clip(boxes.decode(chosen, rois, config.box_std), limits)
    scores = ops.max(foreground, axis=-1)
    if config.background_wins:
        scores = ops.where(scores > probabilities[..., 0], scores, 0.0)
    if config.keep_empty_rois:
        return refined, scores, classes
    real = boxes.area(rois) > 0.0
    return ops.where(real[..., None], refined, 0.0), ops.where(real, scores, 0.0), classes


def detect(rois: Any, logits: Any, deltas: Any, limits: Any, config: MaskRCNNConfig) -> tuple[Any, Any, Any]:
    """Refine the RoIs and drop doubles, class by class.

    Legend: B: batch, N: RoIs, K: classes with background, D: detections.

    Args:
        rois: `(B, N, 4)` xyxy; a padded RoI has no area.
        logits: `(B, N, K)`.
        deltas: `(B, N, K, 4)`.
        limits: Box `(4,)`, or one for each picture `(B, 1, 4)`, that detections must not reach past.
        config: As for `refine`, and `detections`, `detection_nms_iou`.

    Returns:
        Boxes `(B, D, 4)`, scores `(B, D)` and classes `(B, D)` int32 from 1, best first; where there is no
        detection the score is 0.
    """
    refined, scores, classes = refine(rois, logits, deltas, limits, config)
    scores, refined, classes = boxes.best(scores, rois.shape[1], refined, classes)
    keep = boxes.nms_keep(refined, config.detection_nms_iou, classes)
    scores, refined, classes = boxes.best(
        ops.where(keep, scores, 0.0), min(config.detections, rois.shape[1]), refined, classes
    )
    return refined, scores, ops.cast(classes, "int32")


def paste_masks(
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    masks: NDArray[np.float32],
    image_size: tuple[int, int],
    border: str = "repeat",
) -> Detections:
    """Bring masks from the mask head's grid to the pixels of the picture, cut at one half.

    Args:
        boxes_xyxy: `(N, 4)` in pixels of the picture.
        scores: `(N,)`.
        masks: `(N, size, size)` probabilities, each over its box.
        image_size: Picture `(height, width)`.
        border: `mask_border` of the configuration.
    """
    inside = boxes_xyxy.copy()
    inside[:, 0::2] = inside[:, 0::2].clip(0, image_size[1])
    inside[:, 1::2] = inside[:, 1::2].clip(0, image_size[0])
    whole = pixel_boxes(inside, image_size)
    filled = ((whole[:, 2:] - whole[:, :2]) > 0).all(axis=1)
    inside, scores, masks, whole = inside[filled], scores[filled], masks[filled], whole[filled]
    paste = _fading if border == "zero" else _repeating
    pasted = (paste(*one) >= 0.5 for one in zip(masks, inside, whole, strict=True))
    return Detections(image_size, inside, scores, tuple(pasted))


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

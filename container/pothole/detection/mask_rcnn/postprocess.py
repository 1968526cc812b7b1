"""This module turns the box head's answers into detections."""

from typing import Any

from keras import ops

from pothole.detection.mask_rcnn import boxes
from pothole.detection.mask_rcnn.config import MaskRCNNConfig


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
    # Not argmax: Keras's looks at the sign of zeros, by a bit cast that OpenVINO cannot convert.
    scores, index = ops.top_k(foreground, 1)
    scores, classes = scores[..., 0], index[..., 0] + 1
    chosen = ops.take_along_axis(deltas, classes[..., None, None], axis=2)[..., 0, :]
    refined = boxes.clip(boxes.decode(chosen, rois, config.box_std), limits)
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

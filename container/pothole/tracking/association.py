"""Detections are given to tracks by buffered IoU, as in C-BIoU (Yang et al., 2023)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pothole.detections import Detections
from pothole.tracking.tracks import TrackState
from pothole.types import Box, Size

# Potholes are flat far away, and small: their boxes are matched with a margin, in parts of their size and of
# the picture's height.
BUFFER = 0.3
BUFFER_HEIGHT = 0.005
MIN_IOU = 0.1
SAME_OBJECT = 0.6  # part of the smaller of two boxes that lies in the other


def associate(tracks: Sequence[TrackState], detections: Detections) -> list[int | None]:
    """Match detections with tracks of their class, the pair that overlaps most first, each at most once.

    Returns:
        For each detection the index of its track; None for one that is new.
    """
    matches: list[int | None] = [None] * len(detections)
    if not tracks or not len(detections):
        return matches
    margin = BUFFER_HEIGHT * detections.image_size[0]
    known = _grown(np.array([t.box for t in tracks]), margin)
    found = _grown(detections.boxes, margin)
    shared = shared_areas(known, found)
    iou = shared / (areas(known)[:, None] + areas(found) - shared)
    classes = np.array([t.track.class_id for t in tracks])
    iou[classes[:, None] != detections.class_ids] = 0
    for flat in np.argsort(-iou, axis=None):
        k, i = np.unravel_index(flat, iou.shape)
        if iou[k, i] < MIN_IOU:
            break
        if matches[i] is None and k not in matches:
            matches[i] = int(k)
    return matches


def is_part_of_any(track: TrackState, others: Sequence[TrackState]) -> bool:
    """Say whether a track is one of the others of its class again: a detector may find a whole and a part."""
    others = [other for other in others if other.track.class_id == track.track.class_id]
    if not others:
        return False
    boxes = np.array([other.box for other in others])
    smaller = np.minimum(areas(boxes), areas(track.box[None]))
    return bool((shared_areas(track.box[None], boxes) > SAME_OBJECT * smaller).any())


def visible_share(box: Box, image_size: Size) -> float:
    """Return the part of a box that lies in the picture `(height, width)`."""
    picture = np.array([[0, 0, image_size[1], image_size[0]]], np.float32)
    return float(shared_areas(box[None], picture)[0, 0] / max(areas(box[None])[0], 1e-6))


def areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the areas `(N,)` of boxes `(N, 4)` xyxy; 0 for an inside-out box."""
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sizes.prod(axis=1), np.float32)


def shared_areas(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `(N, M)`, the area that box i of `(N, 4)` shares with box j of `(M, 4)`."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.maximum(high - low, 0).prod(axis=2), np.float32)


def _grown(boxes: NDArray[np.float32], margin: float) -> NDArray[np.float32]:
    sizes = boxes[:, 2:] - boxes[:, :2]
    by = BUFFER * sizes + margin
    return np.concatenate([boxes[:, :2] - by, boxes[:, 2:] + by], axis=1)

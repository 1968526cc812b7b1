"""Association gives detections to tracks by buffered IoU, as C-BIoU does (Yang et al., 2023), or by growth.

Between frames so far apart that flow is lost, the way that an object takes ahead of a car still tells it from
others: away from a point of the horizon straight ahead, and as much larger as it is farther from there.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pothole.detections import Detections
from pothole.tracking.optical_flow import Step
from pothole.tracking.tracks import MIN_SIMILARITY, TrackState
from pothole.types import Box, Size

# Potholes are flat far away, and small: their boxes are matched with a margin, in parts of their size and of
# the picture's height.
BUFFER = 0.3
BUFFER_HEIGHT = 0.005
MIN_IOU = 0.1
SAME_OBJECT = 0.6  # part of the smaller of two boxes that lies in the other
# Where straight ahead may lie, in parts of the picture's width.
AHEAD = 0.35, 0.65


def known_tracks(
    tracks: Sequence[TrackState],
    astray: Sequence[tuple[TrackState, TrackState]],
    detections: Detections,
    step: Step | None,
) -> list[TrackState | None]:
    """Return the track of each detection, None for one that is new.

    Args:
        tracks: The tracks that were followed into the frame.
        astray: The tracks that flow seems to have lost on the way: where each was, and where flow led.
        detections: The frame's detections.
        step: The motion into the frame; None for the first one.
    """
    ways: list[tuple[Sequence[TrackState], Callable[..., list[int | None]]]] = [(tracks, associate)]
    if step and astray:
        before, after = zip(*astray, strict=True)
        ways += [(before, partial(associate_grown, step=step)), (after, associate)]
    known: list[TrackState | None] = [None] * len(detections)
    for candidates, way in ways:
        taken = {track.key for track in known if track}
        left = [track for track in candidates if track.key not in taken]
        new = [i for i, track in enumerate(known) if track is None]
        for i, k in zip(new, way(left, detections[new]), strict=True):
            known[i] = None if k is None else left[k]
    return known


def associate(tracks: Sequence[TrackState], detections: Detections) -> list[int | None]:
    """Match detections with tracks of their class, the pair that overlaps most first, each at most once.

    Returns:
        For each detection the index of its track; None for one that is new.
    """
    if not tracks or not len(detections):
        return [None] * len(detections)
    margin = BUFFER_HEIGHT * detections.image_size[0]
    known = _grown(np.array([t.box for t in tracks]), margin)
    found = _grown(detections.boxes, margin)
    shared = shared_areas(known, found)
    iou = shared / (areas(known)[:, None] + areas(found) - shared)
    classes = np.array([t.track.class_id for t in tracks])
    iou[classes[:, None] != detections.class_ids] = 0
    return _best(iou, MIN_IOU)


def associate_grown(tracks: Sequence[TrackState], detections: Detections, step: Step) -> list[int | None]:
    """Match detections with tracks of their class that flow has lost, the pair that looks most alike first.

    Args:
        tracks: The tracks, where they are in the frame before the step.
        detections: The detections of the frame after the step.
        step: The step of a car that drives ahead.

    Returns:
        What `associate` returns.
    """
    similarities = np.full((len(tracks), len(detections)), -1.0)
    for k, track in enumerate(tracks):
        for i, (box, class_id) in enumerate(zip(detections.boxes, detections.class_ids, strict=True)):
            if track.track.class_id == class_id and _grows_ahead(track.box, box, detections.image_size):
                similarities[k, i] = step.similarity(track.box, box)
    return _best(similarities, MIN_SIMILARITY)


def _grows_ahead(before: Box, after: Box, image_size: Size) -> bool:
    """Say whether a box moves as the road does: all of it away from one point, which is ahead and above."""
    growth = (after[2] - after[0]) / max(before[2] - before[0], 1e-6)
    if growth <= 1:
        return False
    centres = [(box[:2] + box[2:]) / 2 for box in (before, after)]
    x, y = (growth * centres[0] - centres[1]) / (growth - 1)
    low, high = AHEAD
    return bool(low <= x / image_size[1] <= high and y < before[1])


def _best(scores: NDArray[np.floating], score_threshold: float) -> list[int | None]:
    """Pair rows of `(N, M)` with columns, the highest score first; return the row of each column, if any."""
    matches: list[int | None] = [None] * scores.shape[1]
    for flat in np.argsort(-scores, axis=None):
        k, i = np.unravel_index(flat, scores.shape)
        if scores[k, i] < score_threshold:
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

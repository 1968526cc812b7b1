"""Interpolation places objects in the frames between two key frames, which the detector does not see.

Each object is followed from both sides, forward from the key frame before and backward from the one after, so
that neither an error of the flow nor a jump of the detector's box shows. An object that only the second key
frame shows was there before, farther away, so it is followed back to the first. One that only the first shows
ends in the middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pothole.tracking.optical_flow import Motion, Step
from pothole.tracking.tracks import TrackState
from pothole.types import Box, Size

EDGE = 0.01  # a box this near the picture's edge ends at it, in parts of the picture's height

Frames = list[dict[int, TrackState]]
"""For each frame its tracks, by key."""


@dataclass(frozen=True)
class FollowedTrack:
    """A followed track is a track as optical flow found it again in a frame.

    Attributes:
        track: The track, with its box in that frame.
        motion: How it moved from the frame before.
    """

    track: TrackState
    motion: Motion


def interpolate(
    before: Sequence[TrackState],
    followed: Sequence[dict[int, FollowedTrack]],
    after: Sequence[TrackState],
    steps: Sequence[Step | None],
    size: Size,
) -> list[list[TrackState]]:
    """Return the tracks to show in each frame between two key frames.

    Args:
        before: The tracks that the first key frame shows, where they are in it.
        followed: For each frame after the first up to the second, the tracks followed into it, by key.
        after: The tracks that the second key frame shows, where they are in it.
        steps: The motion into each of these frames.
        size: Picture `(height, width)`.

    Returns:
        For each of these frames but the last its tracks.
    """
    forward = _forward(before, followed, {track.key for track in after})
    backward = _backward(after, followed, steps, size)
    cut_before = {track.key: _cut(track.box, size) for track in before}
    cut_after = {track.key: _cut(track.box, size) for track in after}
    for i, (shown, found) in enumerate(zip(forward, backward, strict=True)):
        nearness = (i + 1) / len(followed)
        for key, track in found.items():
            cut = cut_before.get(key, cut_after[key]), cut_after[key]
            shown[key] = _blend(shown[key], track, nearness, *cut) if key in shown else track
    return [list(shown.values()) for shown in forward]


def _forward(
    before: Sequence[TrackState], followed: Sequence[dict[int, FollowedTrack]], after: set[int]
) -> Frames:
    """Follow the first key frame's objects; one that is in reach and not in the second ends in the middle."""
    count = len(followed)
    shown: Frames = [{} for _ in range(count - 1)]
    for track in before:
        ends_in_the_middle = track.key in followed[-1] and track.key not in after
        for i, frame in enumerate(shown):
            found = followed[i].get(track.key)
            in_reach = (i + 1) / count <= 0.5 or not ends_in_the_middle
            if found and in_reach and found.track.is_followed:
                frame[track.key] = found.track
    return shown


def _backward(
    after: Sequence[TrackState],
    followed: Sequence[dict[int, FollowedTrack]],
    steps: Sequence[Step | None],
    size: Size,
) -> Frames:
    """Follow what the second key frame shows back, until it is lost or out of the picture."""
    shown: Frames = [{} for _ in range(len(followed) - 1)]
    for track in after:
        for i in reversed(range(len(shown))):
            motion = _motion_back(track, followed[i + 1] if track.key in followed[-1] else {}, steps[i + 1])
            if motion is None:
                break
            track = track.move(motion)  # noqa: PLW2901  # goes on from frame to frame
            if not track.is_followed or _is_out(track.box, size):
                break
            shown[i][track.key] = track
    return shown


def _motion_back(track: TrackState, known: dict[int, FollowedTrack], step: Step | None) -> Motion | None:
    """Return the motion to the frame before; a motion that is known from the way forward is turned round."""
    if step is None:
        return None
    return known[track.key].motion.inverse() if known else step.backward([track.box])[0]


def _blend(
    forward: TrackState,
    backward: TrackState,
    nearness: float,
    cut_before: NDArray[np.bool_],
    cut_after: NDArray[np.bool_],
) -> TrackState:
    """Return what is shown of a track that was followed to a frame from both sides.

    Args:
        forward: From the key frame before.
        backward: From the key frame after.
        nearness: 0 at the first key frame, 1 at the second.
        cut_before: `(4,)` sides that the picture's edge cuts in the first key frame: where they are is known
            from the second alone.
        cut_after: The same for the second key frame.
    """
    share = np.where(cut_before == cut_after, nearness, cut_before).astype(np.float32)
    takes_forward_mask = nearness - cut_after.sum() + cut_before.sum() <= 0.5
    near = forward if takes_forward_mask else backward
    box = (1 - share) * forward.box + share * backward.box
    # Sides taken from here and there may cross where the two sides disagree altogether.
    return near.fit(box) if (box[2:] > box[:2]).all() else near


def _is_out(box: Box, size: Size) -> bool:
    return bool((box[2:] <= 0).any() or (box[:2] >= size[::-1]).any())


def _cut(box: Box, size: Size) -> NDArray[np.bool_]:
    edges = np.array([0, 0, size[1], size[0]], np.float32)
    return np.asarray(np.abs(box - edges) <= EDGE * size[0], np.bool_)

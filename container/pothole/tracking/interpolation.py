"""Where potholes are in the frames between two key frames, the only ones that the detector looks at.

Each pothole comes from both sides: forward from the key frame before, and back from the one after, so that
neither an error of the flow nor a jump of the detector's box shows. One that only the second shows was there
before, farther away, so it is followed back to the first. One that only the first shows ends in the middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pothole.tracking.optical_flow import Motion, Step
from pothole.tracking.tracks import Pothole
from pothole.types import Box

EDGE = 0.01  # parts of the picture's height within which a box ends at its edge


@dataclass(frozen=True)
class Place:
    """A pothole followed into a frame.

    Attributes:
        pothole: It there.
        motion: From the frame before.
    """

    pothole: Pothole
    motion: Motion


def fill(
    before: Sequence[Pothole],
    places: Sequence[dict[int, Place]],
    after: Sequence[Pothole],
    steps: Sequence[Step | None],
    size: tuple[int, int],
) -> list[list[Pothole]]:
    """Return the potholes to show in each frame between two key frames.

    Args:
        before: What the first key frame shows, there.
        places: For each frame after it up to the second, the known potholes by key, followed there.
        after: What the second key frame shows, there.
        steps: The motion into each of these frames.
        size: Picture `(height, width)`.

    Returns:
        For each frame but the last.
    """
    count = len(places)
    shown: list[dict[int, Pothole]] = [{} for _ in range(count - 1)]
    behind, ahead = ({p.key: p for p in potholes} for potholes in (before, after))
    for pothole in before:
        stays = pothole.key in places[-1]
        for i, frame in enumerate(shown):
            place = places[i].get(pothole.key)
            in_reach = (i + 1) / count <= 0.5 or not stays or pothole.key in ahead
            if place and in_reach and place.pothole.is_followed:
                frame[pothole.key] = place.pothole
    for pothole in after:
        key, back = pothole.key, pothole
        cut = [_cut(p.box, size) for p in (behind.get(key, pothole), pothole)]
        for i in reversed(range(count - 1)):
            step, nearness = steps[i + 1], (i + 1) / count
            if step is None:
                break
            # A motion that was read on the way there is not read again.
            known = places[i + 1][key].motion.inverse() if key in places[-1] else None
            back = back.move(known or step.back([back.box])[0])
            if not back.is_followed or _is_out(back.box, size):
                break
            shown[i][key] = _between(shown[i].get(key), back, nearness, *cut)
    return [list(frame.values()) for frame in shown]


def _between(
    forth: Pothole | None,
    back: Pothole,
    nearness: float,
    cut_before: NDArray[np.bool_],
    cut_after: NDArray[np.bool_],
) -> Pothole:
    """Return what is shown of a pothole that was followed to a frame from one side or from both.

    Args:
        forth: From the key frame before.
        back: From the one after.
        nearness: 0 at the first, 1 at the second.
        cut_before: `(4,)` sides that the picture's edge cuts at the first: where they are is known from the
            second alone.
        cut_after: The same the other way round.
    """
    if forth is None:
        return back
    share = np.where(cut_before == cut_after, nearness, cut_before).astype(np.float32)
    mask_of_forth = nearness - cut_after.sum() + cut_before.sum() <= 0.5
    near = forth if mask_of_forth else back
    box = (1 - share) * forth.box + share * back.box
    # Sides taken from here and there may cross where the two sides disagree altogether.
    return near.fit(box) if (box[2:] > box[:2]).all() else near


def _is_out(box: Box, size: tuple[int, int]) -> bool:
    return bool((box[2:] <= 0).any() or (box[:2] >= size[::-1]).any())


def _cut(box: Box, size: tuple[int, int]) -> NDArray[np.bool_]:
    edges = np.array([0, 0, size[1], size[0]], np.float32)
    return np.asarray(np.abs(box - edges) <= EDGE * size[0], np.bool_)

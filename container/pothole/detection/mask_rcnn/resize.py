"""This module resizes bilinearly as scikit-image does, which Matterport uses for pictures and masks."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def resize_to_black(image: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize as `skimage.transform.resize(order=1, mode="constant", anti_aliasing=False)` does.

    Of bytes, OpenCV interpolates with coarse weights, of floats with exact ones. Where it repeats the edge,
    scikit-image fades to zero, which shows where the picture is enlarged.

    Args:
        image: `(height, width)` or `(height, width, C)`.
        size: `(height, width)` of the result.
    """
    resized: NDArray[np.float32] = np.asarray(
        cv2.resize(image.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR), np.float32
    )
    down, across = (_share_inside(*axis) for axis in zip(image.shape[:2], size, strict=True))
    if down.min() < 1.0 or across.min() < 1.0:
        share = down[:, None] * across
        resized *= share if resized.ndim == 2 else share[..., None]
    return resized


def _share_inside(before: int, after: int) -> NDArray[np.float32]:
    """Return, for each target pixel along an axis, how much of its weight is on pixels of the source."""
    at = (np.arange(after) + 0.5) * (before / after) - 0.5
    share: NDArray[np.float32] = np.clip(np.minimum(at + 1.0, before - at), 0.0, 1.0).astype(np.float32)
    return share

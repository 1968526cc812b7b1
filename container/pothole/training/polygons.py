"""Masks become polygons, which labelling tools edit and training data holds."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.types import Mask

Polygon = NDArray[np.float32]

FINENESS = 4
TOLERANCE = 0.02
"""How far a polygon may run beside its mask, in parts of the root of its area: for few points to drag."""

MIN_TOLERANCE = 0.3
"""The same in pixels, for small masks."""

SPECK = 0.1
"""Parts below this share of a mask are left out."""


def mask_polygons(mask: Mask, origin: tuple[int, int]) -> list[Polygon]:
    """Outline a mask, a polygon for each of its parts, the largest first; holes are filled.

    Args:
        mask: `(height, width)`.
        origin: Its top left pixel `(x, y)` in the picture.

    Returns:
        Polygons `(n, 2)` float32 x, y in pixels of the picture, along the pixels' outer edges.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = rows[0], columns[0]
    mask = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    # OpenCV's contours run through the centres of the outermost pixels, half a pixel inside the edge. That is
    # a tenth of a small pothole's area, so they are taken on finer pixels.
    fine = mask.astype(np.uint8).repeat(FINENESS, axis=0).repeat(FINENESS, axis=1)
    contours, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    parts = sorted(contours, key=cv2.contourArea, reverse=True)
    area = float(mask.sum())
    tolerance = max(MIN_TOLERANCE, TOLERANCE * area**0.5) * FINENESS
    polygons = []
    for part in parts:
        if part is parts[0] or cv2.contourArea(part) >= SPECK * area * FINENESS**2:
            simple = cv2.approxPolyDP(part, tolerance, closed=True)[:, 0, :]
            if len(simple) >= 3:
                polygons.append(((simple + 0.5) / FINENESS + origin + (left, top)).astype(np.float32))
    return polygons

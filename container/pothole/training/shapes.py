"""Shapes that labelling tools draw become polygons."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CURVE = 32
"""Corners of the polygon that a circle or an ellipse becomes."""

Corners = NDArray[np.float64]
"""Of a polygon, `(n, 2)` x, y."""


def rectangle(low: Any, high: Any) -> Corners:
    """Return the corners of a rectangle from two of them, x and y each."""
    return np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float64)


def ellipse(centre: Sequence[float], rx: float, ry: float, theta: float = 0.0) -> Corners:
    """Return points of an ellipse; `theta` turns it clockwise, in radians."""
    angle = np.linspace(0.0, 2.0 * math.pi, CURVE, endpoint=False)
    x, y = float(rx) * np.cos(angle), float(ry) * np.sin(angle)
    return turned(np.stack([centre[0] + x, centre[1] + y], axis=1), centre, theta)


def turned(points: Corners, centre: Sequence[float], theta: float) -> Corners:
    """Turn points around a centre, clockwise by `theta` radians: rows of a picture grow downwards."""
    x, y = points[:, 0] - centre[0], points[:, 1] - centre[1]
    cos, sin = math.cos(theta), math.sin(theta)
    return np.stack([centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos], axis=1)

"""This module makes random fields."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]


def fractal(
    rng: np.random.Generator,
    shape: tuple[int, int],
    cell: tuple[float, float],
    octaves: int = 4,
    persistence: float = 0.5,
) -> Field:
    """Return value noise of zero mean and unit deviation.

    Args:
        rng: Source of randomness.
        shape: `(height, width)` of the field.
        cell: Size in pixels, down and across, of the largest feature; each octave halves it.
        octaves: Number of octaves.
        persistence: Strength of an octave against the one before.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        rows = max(2, min(height, round(height * 2**octave / cell[0]) + 1))
        columns = max(2, min(width, round(width * 2**octave / cell[1]) + 1))
        coarse = rng.standard_normal((rows, columns), np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * persistence**octave
    total -= total.mean()
    return total / max(float(total.std()), 1e-6)


def smoothstep(low: float, high: float, value: Field) -> Field:
    """Return 0 below `low`, 1 above `high`, and a smooth ramp between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)

"""A way is made of straight pieces; here is how a place lies beside each of them."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from pothole.geo.flow import Numbers
from pothole.media.telemetry.fixes import metres_per_degree


class Beside(NamedTuple):
    """How one place lies beside each of `n` pieces.

    Attributes:
        distance: `(n,)` metres to the nearest point of each.
        share: `(n,)` how far along each that point lies, 0 to 1.
        length: `(n,)` metres.
        bearing: `(n,)` degrees clockwise from north in which each leads.
    """

    distance: Numbers
    share: Numbers
    length: Numbers
    bearing: Numbers


class Pieces(NamedTuple):
    """Straight pieces of ways.

    Attributes:
        begins: `(n, 2)` latitude and longitude of where each begins.
        ends: `(n, 2)` of where it ends.
    """

    begins: Numbers
    ends: Numbers

    @classmethod
    def of(cls, path: Numbers) -> Self:
        """Return the pieces of a path of `(n + 1, 2)` points."""
        return cls(path[:-1], path[1:])

    @classmethod
    def joined(cls, each: Sequence["Pieces"]) -> Self:
        """Return the pieces of several ways, one after the other."""
        return cls(*(np.concatenate(ends) for ends in zip(*each, strict=True)))

    def beside(self, lat: float, lon: float) -> Beside:
        """Return how a place lies beside each piece, exact where they are near."""
        starts, ends = _metres(self.begins, lat, lon), _metres(self.ends, lat, lon)
        steps = ends - starts
        length = np.linalg.norm(steps, axis=1)
        share = np.clip(-(starts * steps).sum(1) / np.maximum(length, 1e-9) ** 2, 0, 1)
        distance = np.linalg.norm(starts + share[:, None] * steps, axis=1)
        return Beside(distance, share, length, np.degrees(np.arctan2(steps[:, 0], steps[:, 1])))


def turn(a: Numbers | float, b: Numbers | float) -> Numbers:
    """Return the degrees between two directions, 0 to 180."""
    return np.abs((np.asarray(a, float) - b + 180) % 360 - 180)


def _metres(points: Numbers, lat: float, lon: float) -> Numbers:
    """Return points `(latitude, longitude)` as metres east and north of a place."""
    north, east = metres_per_degree(lat)
    turns = (points[:, 1] - lon + 180) % 360 - 180
    return np.stack([turns * east, (points[:, 0] - lat) * north], axis=1)

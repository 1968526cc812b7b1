"""An operating point is a score threshold that keeps a promise: so many false marks where no pothole is.

A threshold keeps it on the pictures that it was chosen on, and may break it on others. So how many false
marks are let through is chosen by cross-validation: each scene is judged by a threshold chosen without it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIN_SCORE = 0.001
"""Scores below add nothing to AP but time."""

MAX_FALSE = 0.05
"""False positives per negative picture that a default confidence may let through."""

SENSITIVITIES = {"low": 0.01, "normal": MAX_FALSE, "high": 0.25}
"""The same for each setting of how much is to be found."""


STEPS = 10_000
"""Score thresholds are told apart in steps of one of so many."""


def rounded_up(threshold: float) -> float:
    """Return a threshold in hundredths, at most 0.99: above that nothing would count."""
    return min(math.ceil(round(threshold * 100, 6)) / 100, 0.99)


@dataclass(frozen=True)
class FalseMarks:
    """False marks are those on negative pictures: pictures without any pothole.

    Attributes:
        marks: Scene and score of each.
        pictures: How many negative pictures a scene has.
    """

    marks: Sequence[tuple[int, float]]
    pictures: Mapping[int, int]

    def threshold(self, allowed: int, without: int | None = None) -> float:
        """Return the lowest threshold that lets so many false marks through, on all scenes but one."""
        scores = sorted((score for scene, score in self.marks if scene != without), reverse=True)
        highest_false = scores[allowed] if len(scores) > allowed else MIN_SCORE
        return math.floor(highest_false * STEPS + 1) / STEPS

    def held_out(self, allowed: int) -> tuple[float, float]:
        """Judge each scene by a threshold chosen without it.

        Args:
            allowed: How many marks a threshold lets through that is chosen on all scenes; one that is chosen
                on fewer pictures lets as many per picture through.

        Returns:
            The false marks per picture, and the standard error of that over scenes.
        """
        total, scenes = sum(self.pictures.values()), len(self.pictures)
        passed = dict.fromkeys(self.pictures, 0)
        for scene in {scene for scene, _ in self.marks}:
            share = allowed * (total - self.pictures[scene]) // total
            threshold = self.threshold(share, without=scene)
            passed[scene] = sum(s >= threshold for other, s in self.marks if other == scene)
        rate = sum(passed.values()) / total
        spread = sum((passed[scene] - rate * count) ** 2 for scene, count in self.pictures.items())
        return rate, math.sqrt(spread * scenes / max(scenes - 1, 1)) / total


@dataclass(frozen=True)
class OperatingPoint:
    """An operating point is a score threshold.

    Attributes:
        confidence: The threshold.
        held_out: False marks per negative picture, as `FalseMarks.held_out` counts them.
    """

    confidence: float
    held_out: float


def operating_point(false: FalseMarks, max_false: float = MAX_FALSE) -> OperatingPoint | None:
    """Return the lowest threshold with at most `max_false` false marks on scenes that did not choose it.

    One standard error is kept free (Breiman et al., 1984, Classification and Regression Trees, sec. 3.4.3):
    on the average alone, every second set of other scenes would break the promise.

    A user can hide doubtful marks, but not find missed ones: so no higher than the false ones demand. Where
    no number of marks keeps the promise, none is let through.

    Args:
        false: The marks on negative pictures, from `MIN_SCORE` on.
        max_false: False marks per negative picture.

    Returns:
        The operating point; None without negative pictures.
    """
    total = sum(false.pictures.values())
    if not total:
        return None
    for allowed in range(int(max_false * total), 0, -1):
        held_out, error = false.held_out(allowed)
        if held_out + error <= max_false:
            return OperatingPoint(false.threshold(allowed), held_out)
    return OperatingPoint(false.threshold(0), false.held_out(0)[0])

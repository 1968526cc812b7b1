"""Two models are compared on the same pictures, so that hard pictures do not hide their difference.

The difference is taken anew for each draw of scenes: an interval without zero says that one model is better,
where the intervals of the two models alone may overlap widely.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pothole.training.evaluate import Evaluation
from pothole.training.ranking import draws, named, scene_numbers, spread


def compare(first: Evaluation, second: Evaluation) -> dict[str, Any]:
    """Compare two evaluations of the same pictures.

    Args:
        first: What was there before.
        second: What may be better.

    Returns:
        `models`, their names; and `mask_ap`, `mask_ap50` and `froc` as `Ranking.summary` has them: `first`,
        `second`, the `difference` of the second from the first, and its `interval`, `[low, high]`.
    """
    scenes = scene_numbers(first.images)
    rankings = [evaluation.compare().ranking() for evaluation in (first, second)]
    before, after = (ranking.values(np.ones(len(scenes))) for ranking in rankings)
    rows = [rankings[1].values(weights) - rankings[0].values(weights) for weights in draws(scenes)]
    return {
        "models": [first.model, second.model],
        "scenes": len(set(scenes.tolist())),
        "first": named(before),
        "second": named(after),
        "difference": named(after - before),
        "interval": named(spread(np.array(rows))),
    }


def rows(comparison: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each figure's name, its value in both evaluations, the difference and its interval."""
    columns = [comparison[name] for name in ("first", "second", "difference", "interval")]
    yield "mask AP", [column["mask_ap"] for column in columns]
    yield "mask AP50", [column["mask_ap50"] for column in columns]
    for rate in comparison["first"]["froc"]:
        yield f"recall at {rate} false per picture", [column["froc"][rate] for column in columns]


def verdict(interval: list[float] | None) -> str:
    """Say what an interval of differences means."""
    if interval is None or interval[0] <= 0.0 <= interval[1]:
        return "unclear"
    return "better" if interval[0] > 0.0 else "worse"

"""The severity classes that a pothole may have by its size alone: one camera sees no depth.

docs/severity.md has the tables and where they come from.
"""

from typing import Any

# ASTM D6433: upper ends of the classes of mean diameter in metres, and for each the severities at the depths
# of 13 to 25 mm, 25 to 50 mm, and more than 50 mm.
SMALLEST = 0.1
CLASSES = ((0.2, "100-200", "LLM"), (0.45, "200-450", "LMM"), (0.75, "450-750", "MHH"))
LARGEST = "over 750"
HOLE = 0.5  # square metres of which each counts as a hole, where the mean diameter is above the last class
LTPP_WIDTH = 0.15  # metres that a pothole is wide at least


def severity(diameter: float, low: float, high: float, area: float, width: float) -> dict[str, Any]:
    """Return the classes of each standard that a size allows, whatever the depth.

    Args:
        diameter: Mean diameter in metres.
        low: Where its interval begins.
        high: Where it ends.
        area: Square metres.
        width: Metres of the smaller of width and length.
    """
    name, _ = _astm(diameter)
    possible = {letter for d in (low, diameter, high) for letter in _astm(d)[1]}
    return {
        "astm_d6433": {
            "diameter_class_mm": name,
            "holes": max(1, round(area / HOLE)) if name == LARGEST else (1 if name else 0),
            "severities": sorted(possible, key="LMH".index),
        },
        "ltpp": {"severities": ["low", "moderate", "high"] if width >= LTPP_WIDTH else []},
    }


def _astm(diameter: float) -> tuple[str | None, str]:
    """Return the class of a mean diameter and its severities from shallow to deep; none for a small hole."""
    if diameter < SMALLEST:
        return None, ""
    return next(((name, letters) for end, name, letters in CLASSES if diameter <= end), (LARGEST, ""))

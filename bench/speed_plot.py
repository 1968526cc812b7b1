"""Draw the rows of speed_figures.py as bars: median, and a line from the slowest to the fastest round.

python bench/speed_plot.py build/bench/speed.json docs/images/speed.svg
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

LEFT, WIDTH, RIGHT = 345, 380, 90  # pixels: titles, bars, numbers
TOP, STEP, BAR = 34, 30, 18
COLORS = {"job": "#d97706", "transcode": "#6b7280"}
OTHER = "#9fb3c8"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path, help="what speed_figures.py wrote")
    parser.add_argument("out", type=Path, help="an .svg")
    given = parser.parse_args(arguments)
    given.out.write_text(svg(json.loads(given.figures.read_text())))


def svg(measured: dict[str, Any]) -> str:
    """Return the plot of all rows that work on the clip that most share, the fastest first."""
    rows = [r for r in measured["rows"] if r.get("reference") == "transcode"]
    rows.sort(key=lambda r: -r["fps"]["median"])
    scale = WIDTH / max(r["fps"]["high"] for r in rows)
    width, height = measured["clip"]["size"]
    cores = measured["machine"]["cores"]
    title = f"Frames per second, {width}×{height} on {cores} CPU cores, median of {measured['rounds']} rounds"
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{TOP + STEP * len(rows) + 8}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
            *(_bar(row, TOP + STEP * number, scale) for number, row in enumerate(rows)),
            "</svg>\n",
        ]
    )


def _bar(row: dict[str, Any], top: int, scale: float) -> str:
    middle, low, high = (LEFT + scale * row["fps"][key] for key in ("median", "low", "high"))
    line = top + BAR / 2
    color = COLORS.get(row["name"], OTHER)
    number = f"{row['fps']['median']:#.3g}".rstrip(".")
    return "\n".join(
        [
            f'<text x="{LEFT - 8}" y="{line + 4.5:g}" text-anchor="end">{escape(row["title"])}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{middle - LEFT:.1f}" height="{BAR}" fill="{color}"/>',
            f'<path d="M{low:.1f} {line:g}H{high:.1f}" stroke="#111827" stroke-width="1.5"/>',
            f'<text x="{max(middle, high) + 8:.1f}" y="{line + 4.5:g}">{number}</text>',
        ]
    )


if __name__ == "__main__":
    main()

"""Draw how many times as fast as real time the rows of speed_figures.py are, as bars.

A bar is the median of the rounds, and a line goes from the slowest to the fastest of them.

python bench/speed_plot.py build/bench/speed.json docs/images/speed.svg
"""

import argparse
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

LEFT, WIDTH, RIGHT = 345, 380, 90  # pixels: titles, bars, numbers
TOP, STEP, BAR = 34, 30, 18
COLORS = {"job": "#d97706", "transcode": "#6b7280"}
OTHER = "#9fb3c8"
# What a row is to somebody who has never seen the code; a row without a line here has its own title.
PLAIN = {
    "opencv": "OpenCV: read and write, nothing found",
    "transcode": "read and write, nothing found: the limit",
    "job": "pothole: the marked video",
    "job_json": "pothole: the list of potholes alone",
    "job_tensorflow": "pothole on TensorFlow",
    "every_frame": "pothole, made to look at every frame",
    "ultralytics": "ultralytics, YOLO11n-seg, every frame",
    "supervision": "supervision with our detector, every frame",
    "original": "the original: ResNet-101, every frame",
}


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
    cores, rate = measured["machine"]["cores"], float(Fraction(measured["clip"]["rate"]))
    title = (
        f"How many times as fast as real time: video of {width}×{height} at {rate:g} frames/s, "
        f"{cores} CPU cores"
    )
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{TOP + STEP * len(rows) + 8}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
            *(_bar(row, TOP + STEP * number, scale, rate) for number, row in enumerate(rows)),
            "</svg>\n",
        ]
    )


def _bar(row: dict[str, Any], top: int, scale: float, rate: float) -> str:
    middle, low, high = (LEFT + scale * row["fps"][key] for key in ("median", "low", "high"))
    line = top + BAR / 2
    color = COLORS.get(row["name"], OTHER)
    title = PLAIN.get(row["name"], row["title"])
    times = row["fps"]["median"] / rate
    number = f"{times:.1f}×" if times >= 0.1 else f"{times:.1g}×"
    return "\n".join(
        [
            f'<text x="{LEFT - 8}" y="{line + 4.5:g}" text-anchor="end">{escape(title)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{middle - LEFT:.1f}" height="{BAR}" fill="{color}"/>',
            f'<path d="M{low:.1f} {line:g}H{high:.1f}" stroke="#111827" stroke-width="1.5"/>',
            f'<text x="{max(middle, high) + 8:.1f}" y="{line + 4.5:g}">{number}</text>',
        ]
    )


if __name__ == "__main__":
    main()

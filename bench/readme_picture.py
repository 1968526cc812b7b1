"""Make the README's picture: a frame of a rendered road on which every mark is right and nothing is missed.

python bench/readme_picture.py [docs/images/marked.jpg] [--seeds 1 2 3 …]

Renders roads and marks them with the real job and the shipped weights. Of all frames without a false mark
and without a pothole that is plainly there and not marked, takes one with three marks or more, where there is
one with a manhole in view, which is no pothole; of these the one whose smallest mark is largest.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from matching import is_there, overlaps, pairs
from pothole import mark
from pothole.entrypoints.cli.common import console
from pothole.media import Video
from pothole.media.picture import encode_picture
from pothole.types import Image
from roads.output import write_video
from roads.trip import Trip
from roads.world import Road

FRAMES, RATE, SPEED_M_S, LENGTH_M, POTHOLES = 240, Fraction(30), 10.0, 80.0, 14
MARKS = 3  # more are no better: they hide the road
MIN_IOU = 0.6  # of the boxes of a mark and its pothole, so that it looks right
Worth = tuple[int, int, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", default=Path("docs/images/marked.jpg"), help="a .jpg")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="of the roads")
    given = parser.parse_args(arguments)
    best: Worth | None = None
    with tempfile.TemporaryDirectory() as name:
        for seed in given.seeds:
            truth, report, video = marked(Path(name), seed)
            found = best_frame(truth, report)
            if found is None or (best is not None and found[0] <= best):
                continue
            best, index = found
            given.out.write_bytes(encode_picture(picture(video, index), "image/jpeg"))
            console.print(f"{given.out}: road {seed}, frame {index}, {best[0]} marks", highlight=False)
    if best is None:
        console.print("No frame has right marks alone; try other --seeds.")
    return int(best is None)


def marked(folder: Path, seed: int) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """Render a road and mark it; returns its truth, the job's data and the marked video."""
    road, clip = Road(seed=seed, length=LENGTH_M, potholes=POTHOLES), folder / f"road{seed}.mp4"
    truth = write_video(clip, road, FRAMES, RATE, Trip(SPEED_M_S), count_area=400, sound=False)
    mark(clip, folder)
    return (
        truth,
        json.loads((folder / f"{clip.stem}_output.json").read_text()),
        folder / f"{clip.stem}_output.mp4",
    )


def best_frame(truth: dict[str, Any], report: dict[str, Any]) -> tuple[Worth, int] | None:
    """Return the number of the frame that shows best what is marked and what is not, with its worth, if any.

    Args:
        truth: What `roads.output.write_video` returns.
        report: What the job wrote beside the video.
    """
    size = truth["width"], truth["height"]
    frames = enumerate(zip(truth["frames"], report["frames"], strict=True))
    worth = ((_worth(true_frame, frame, size), index) for index, (true_frame, frame) in frames)
    return max(((value, index) for value, index in worth if value is not None), default=None)


def _worth(true_frame: dict[str, Any], frame: dict[str, Any], size: tuple[int, int]) -> Worth | None:
    marks = [m for m in frame["potholes"] if m["track_id"] is not None]
    potholes = true_frame["potholes"]
    paired = pairs(potholes, marks, {})
    missed = set(range(len(potholes))) - {pothole for pothole, _ in paired}
    if not marks or len(paired) < len(marks) or any(is_there(potholes[i], size[0]) for i in missed):
        return None
    left, top, right, bottom = zip(*(m["box"] for m in marks), strict=True)
    if min(left) <= 0 or min(top) <= 0 or max(right) >= size[0] or max(bottom) >= size[1]:
        return None  # cut by the picture's edge
    manholes = sum(kind == "manhole" for kind, _ in true_frame["decoys"])
    overlap = overlaps(potholes, marks)
    if min(float(overlap[i, j]) for i, j in paired) < MIN_IOU:
        return None
    smallest = min((m["box"][2] - m["box"][0]) * (m["box"][3] - m["box"][1]) for m in marks)
    return min(len(marks), MARKS), min(manholes, 1), smallest


def picture(path: Path, index: int) -> Image:
    """Return a frame of a video."""
    with Video.open(path) as video:
        return next(frame.rgb() for frame in video.frames() if frame.index == index)


if __name__ == "__main__":
    sys.exit(main())

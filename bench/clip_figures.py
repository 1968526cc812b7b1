"""Compare what the real job marks in real clips, made of pictures of a data set, with the outlines there.

    python bench/clip_figures.py highway.mp4 street.mp4 --annotations val/annotations.json --thin 1 2 5 10

Beside a clip, `<stem>.frames.json` names the picture that each frame is, whatever size it has in the clip:
`[{"frame": 0, "file_name": "a.jpg"}]`. A clip without that file shows no potholes. The outlines do not tell
which of two frames show the same pothole: a track is right that lies on outlines in half of its frames or
more, and false otherwise; a pothole that is counted twice is in `right` twice.

docs/explanation/video.md has the figures. What was found is kept, as by video_figures.py.
"""

import argparse
import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matching import pairs
from pothole.detection.detector import Detector
from pothole.entrypoints.cli.common import load_model, positive, share
from pothole.settings import Settings
from thinning import thinned
from video_figures import digest, mark, table

HEAD = ("clip", "every", "frames/s", "frames", "outlines", "marked", "right", "false", "seen once")

Potholes = list[dict[str, Any]]


def read_outlines(clip: Path, annotations: Path) -> list[Potholes] | None:
    """Return each frame's potholes, boxes in parts of the picture; None for a clip that shows none."""
    names = clip.with_suffix(".frames.json")
    if not names.is_file():
        return None
    data = json.loads(annotations.read_text())
    images = {Path(image["file_name"]).name: image for image in data["images"]}
    found = defaultdict(list)
    for annotation in data["annotations"]:
        found[annotation["image_id"]].append(annotation)
    frames = []
    for frame in json.loads(names.read_text()):
        image = images[frame["file_name"]]
        width, height = image["width"], image["height"]
        potholes = []
        for annotation in found[image["id"]]:
            left, top, w, h = annotation["bbox"]
            box = [left / width, top / height, (left + w) / width, (top + h) / height]
            potholes.append({"id": annotation["id"], "box": box})
        frames.append(potholes)
    return frames


def compare(outlines: list[Potholes], report: dict[str, Any]) -> tuple[int, int]:
    """Return how many outlines are marked, and how many tracks are right."""
    width, height = report["video"]["width"], report["video"]["height"]
    shown: Counter[int] = Counter()
    paired: Counter[int] = Counter()
    for potholes, frame in zip(outlines, report["frames"], strict=True):
        there = [
            p | {"box": [v * s for v, s in zip(p["box"], (width, height) * 2, strict=True)]} for p in potholes
        ]
        marks = frame["potholes"]
        shown.update(m["track_id"] for m in marks)
        paired.update(marks[j]["track_id"] for _, j in pairs(there, marks, {}))
    right = [track for track, count in paired.items() if 2 * count >= shown[track]]
    return paired.total(), len(right)


def measure(
    clip: Path, every: int, detector: Detector, folder: Path, given: argparse.Namespace
) -> dict[str, Any]:
    """Mark every n-th frame of a clip; return the figures by the names in `HEAD`."""
    report = mark(thinned(clip, every, folder), detector, folder, given, given.frame_interval)
    frames = report["frames"]
    outlines = read_outlines(clip, given.annotations)
    there = [[] for _ in frames] if outlines is None else outlines[::every]
    marked, right = compare(there, report)
    tracks = len(report["tracks"])
    values = (
        clip.name,
        every,
        report["video"]["fps_float"],
        len(frames),
        sum(map(len, there)),
        marked,
        right,
        tracks - right,
        report["summary"]["seen_once"],
    )
    return dict(zip(HEAD, values, strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE", help="COCO")
    parser.add_argument(
        "--thin", type=positive, nargs="+", default=[1], metavar="N", help="every N-th frame, for each N"
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="model folder (default: the shipped one)")
    parser.add_argument(
        "--min-confidence", type=share, metavar="P", help="score threshold (default: the model's)"
    )
    parser.add_argument("--frame-interval", type=positive, metavar="N", help="see pothole mark")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    parser.add_argument("--cache", type=Path, default=Path("build", "figures"), metavar="DIR")
    given = parser.parse_args(arguments)

    model = given.model or Settings.from_env(os.environ).model_dir
    detector = load_model(model)
    folder = given.cache / digest(model)
    folder.mkdir(parents=True, exist_ok=True)
    figures = [measure(clip, every, detector, folder, given) for clip in given.clips for every in given.thin]
    print(
        table(HEAD, [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in f.values()] for f in figures])
    )
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

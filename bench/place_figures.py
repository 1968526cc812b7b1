"""How near the truth places and sizes are, on rendered roads marked by the real job and the shipped weights.

python bench/place_figures.py --roads 24                        # a receiver without faults
python bench/place_figures.py --roads 8 --noise 3 --lag 0.8     # one that is off, and late
"""

import argparse
import json
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from matching import overlaps
from pothole import mark
from pothole.detection.detector import Detector
from pothole.detection.registry import load_detector
from pothole.geo.plane import Camera
from pothole.media.telemetry.fixes import distance
from pothole.settings import SHIPPED_MODEL
from roads.output import write_video
from roads.trip import Receiver, Trip
from roads.world import Road

SIZE, RATE, FRAMES, SPEED_M_S = (720, 1280), Fraction(30), 240, 10.0
MIN_OVERLAP = 0.3  # of a pothole's box with that of the truth, in the frame where it was seen best


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--roads", type=int, default=24)
    parser.add_argument("--first", type=int, default=21, help="seed of the first road")
    parser.add_argument("--noise", type=float, default=0.0, help="metres along each axis")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds")
    given = parser.parse_args(arguments)
    detector = load_detector(SHIPPED_MODEL)
    found: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {"self-calibrated": [], "calibrated": []}
    lags = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.first, given.first + given.roads):
            video = Path(folder, f"{seed}.mp4")
            road = Road(seed, SIZE, SPEED_M_S * FRAMES / float(RATE), 9)
            receiver = Receiver(given.noise, given.lag)
            truth = write_video(video, road, FRAMES, RATE, Trip(SPEED_M_S, 0.3), 400, False, receiver)
            known = Camera(height_m=truth["camera"]["height_m"], focal_px=truth["camera"]["focal_px"])
            for name, camera in (("self-calibrated", None), ("calibrated", known)):
                report = _marked(video, detector, camera)
                found[name] += _pairs(report, truth)
                lags.append(report["drive"]["track"]["lag_s"])
            video.unlink()
    print(f"lags found: {sorted({lag for lag in lags if lag is not None})} of {given.lag} s")
    for name, pairs in found.items():
        print(name, *_figures(pairs), sep="\n  ")


def _marked(video: Path, detector: Detector, camera: Camera | None) -> dict[str, Any]:
    track = video.with_suffix(".gpx")
    mark(video, video.parent, detector=detector, outputs=("json",), track=track, camera=camera)
    report: dict[str, Any] = json.loads(video.with_name(f"{video.stem}_output.json").read_text())
    return report


def _pairs(report: dict[str, Any], truth: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each pothole found with its truth; false ones are left out."""
    on_road = {pothole["id"]: pothole for pothole in truth["on_road"]}
    pairs = []
    for track in report["tracks"]:
        here = truth["frames"][track["best_frame"]]["potholes"]
        if not here:
            continue
        shares = overlaps(here, [{"box": track["best_box"]}])[:, 0]
        if shares.max() >= MIN_OVERLAP:
            pairs.append((track, on_road[here[int(shares.argmax())]["id"]]))
    return pairs


def _figures(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    placed = [(t["position"], true) for t, true in pairs if t["position"]]
    off = [distance((p["lat"], p["lon"]), (true["lat"], true["lon"])) for p, true in placed]
    inside = [d <= p["accuracy_m"] for d, (p, _) in zip(off, placed, strict=True)]
    sized = [(t["size"], (true["width_m"] + true["length_m"]) / 2) for t, true in pairs if t["size"]]
    errors = [abs(size["diameter_m"] / true - 1) for size, true in sized]
    covered = [
        size["interval_90"]["diameter_m"][0] <= true <= size["interval_90"]["diameter_m"][1]
        for size, true in sized
    ]
    return [
        f"{len(off)} places: median {np.median(off):.2f} m off, 90 % within {np.quantile(off, 0.9):.2f} m,"
        f" {np.mean(inside):.0%} within the stated accuracy",
        f"{len(errors)} sizes: median error of the diameter {np.median(errors):.1%},"
        f" {np.mean(covered):.0%} within the stated interval",
    ]


if __name__ == "__main__":
    main()

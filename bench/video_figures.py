"""Count potholes by the real job on rendered roads whose potholes are known, and on real roads without any.

python bench/video_figures.py [--model DIR] [--empty VIDEO ...] [--thin N]

Prints tables in Markdown; docs/explanation/video.md says what they mean. Roads and detections are kept in
build/figures, so that a run after a change of the tracker is quick. Delete that folder after a change of the
renderer or of the network's code.
"""

import argparse
import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from agreement import Agreement, agree
from matching import VideoFigures, compare, pool
from pothole.detection.detector import Detector
from pothole.detections import Detections
from pothole.entrypoints.cli.common import console, load_model, positive, progress_bar, share
from pothole.job import run_job
from pothole.job_order import Job
from pothole.settings import Settings
from pothole.storage import LocalStorage
from pothole.types import Image, Size
from roads.output import write_video
from roads.trip import Trip
from roads.world import Road
from thinning import replaced, thinned

SIZE = (720, 1280)
COUNT_AREA = 400  # goes into the truth's own count, which is not used here


@dataclass(frozen=True)
class Drive:
    """A road to render and how to film it; the seed also draws its camera, light, surface and decoys.

    Attributes:
        seed: Of the road.
        frames: Number of frames.
        rate: Frames a second.
        speed: Metres a second.
        potholes: Number along the way.
    """

    seed: int
    frames: int
    rate: Fraction
    speed: float
    potholes: int

    @property
    def metres(self) -> float:
        """Return how far the drive goes."""
        return self.speed * self.frames / float(self.rate)


DRIVES = (
    Drive(101, 180, Fraction(30), 8, 10),
    Drive(102, 180, Fraction(30), 10, 12),
    Drive(103, 150, Fraction(25), 6, 8),
    Drive(104, 120, Fraction(15), 10, 14),
    Drive(105, 180, Fraction(30000, 1001), 13, 14),
    Drive(106, 150, Fraction(25), 9, 10),
    Drive(107, 180, Fraction(30), 7, 8),
    Drive(108, 150, Fraction(24), 11, 12),
)


class RememberingDetector:
    """A detector that runs once for each picture, even in the next process.

    Args:
        detector: The one that does the work.
        memory: File with what it found before; pass the same one for the same model only.
    """

    def __init__(self, detector: Detector, memory: Path) -> None:
        self.name = detector.name
        self.min_confidence = detector.min_confidence
        self.class_names = detector.class_names
        self._detector = detector
        self._memory = memory
        self._found: dict[tuple[bytes, float, Size], Detections] = (
            pickle.loads(memory.read_bytes()) if memory.is_file() else {}
        )
        self._new = False

    def input_size(self, size: Size) -> Size:
        """See `Detector.input_size`."""
        return self._detector.input_size(size)

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """See `Detector.predict`."""
        score_threshold = self.min_confidence if min_confidence is None else min_confidence
        sizes = sizes or [(image.shape[0], image.shape[1]) for image in images]
        return [
            self._predict(image, score_threshold, size) for image, size in zip(images, sizes, strict=True)
        ]

    def _predict(self, image: Image, score_threshold: float, size: Size) -> Detections:
        key = hashlib.blake2b(image.tobytes(), digest_size=16).digest(), score_threshold, size
        if key not in self._found:
            [self._found[key]] = self._detector.predict([image], score_threshold, [size])
            self._new = True
        return self._found[key]

    def save(self) -> None:
        """Write what was found, if any of it is new."""
        if self._new:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            with replaced(self._memory) as path:
                path.write_bytes(pickle.dumps(self._found))


def render(drive: Drive, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Film a drive unless that was done before; return the video and its truth."""
    name = f"road-{drive.seed}-{drive.frames}-{float(drive.rate):.3f}-{drive.speed:g}-{drive.potholes}.mp4"
    path = folder / name
    truth = path.with_suffix(".truth.json")
    if not truth.is_file():
        road = Road(drive.seed, SIZE, drive.metres, drive.potholes)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as new:
            write_video(
                Path(new, name), road, drive.frames, drive.rate, Trip(drive.speed), COUNT_AREA, sound=False
            )
            Path(new, name).replace(path)
            Path(new, truth.name).replace(truth)
    return path, json.loads(truth.read_text())


def digest(model: Path) -> str:
    """Name a model folder by what is in it."""
    files = sorted(path for path in model.iterdir() if path.is_file())
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files), digest_size=6).hexdigest()


def mark(
    video: Path, detector: Detector, folder: Path, arguments: argparse.Namespace, interval: int | None
) -> dict[str, Any]:
    """Run the real job on a video; return its data."""
    job = Job(
        str(video.absolute().parent),
        video.name,
        is_live=True,
        frame_interval=interval,
        min_confidence=arguments.min_confidence,
        output_bucket=str(folder.absolute()),
    )
    remembering = RememberingDetector(detector, folder / "detections" / f"{video.stem}.pickle")
    with progress_bar(video.name) as update:
        run_job(
            job,
            remembering,
            lambda bucket: LocalStorage(Path(bucket)),
            Settings.from_env(os.environ),
            lambda p: update(p.frames, p.total, f"{p.potholes} potholes"),
        )
    remembering.save()
    report: dict[str, Any] = json.loads((folder / job.output_key("json")).read_text())
    return report


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


ROAD = ("road", "light", "m/s", "frames/s", "seconds")
COUNTS = ("there", "counted", "missed", "twice", "false", "id switches", "smaller")
RATES = ("false a minute", "first marked at, m")


def row(figures: VideoFigures) -> list[str]:
    """Return the cells of `COUNTS` and `RATES`; of the distances the median and the quartiles."""
    counts = (
        figures.there,
        figures.counted,
        figures.missed,
        figures.twice,
        figures.false_tracks,
        figures.switches,
        figures.smaller,
    )
    distance = "–"
    if figures.first_distances:
        low, median, high = np.percentile(figures.first_distances, (25, 50, 75))
        distance = f"{median:.0f} ({low:.0f}–{high:.0f})"
    return [*(str(n) for n in counts), f"{figures.false_per_minute:.1f}", distance]


def measure_roads(detector: Detector, cache: Path, marked: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Print the table of the rendered roads; return its figures."""
    measured: dict[str, VideoFigures] = {}
    rows = []
    agreements = []
    for drive in (replace(d, seed=d.seed + 100 * i) for i in range(given.sets) for d in DRIVES):
        with console.status(f"Rendering road {drive.seed} ..."):
            video, truth = render(drive, cache)
        video = thinned(video, given.thin, cache)
        report = mark(video, detector, marked, given, given.frame_interval)
        figures = compare(truth, report, given.thin)
        measured[str(drive.seed)] = figures
        if given.frame_interval != 1:
            every = mark(video, detector, marked, given, 1)
            agreements.append(agree(every, report))
        about = (
            drive.seed,
            truth["light"],
            drive.speed,
            f"{float(drive.rate / given.thin):.4g}",
            f"{figures.seconds:.1f}",
        )
        rows.append([*(str(value) for value in about), *row(figures)])
    pooled = pool(measured.values())
    rows.append(["all", "", "", "", f"{pooled.seconds:.1f}", *row(pooled)])
    print(table([*ROAD, *COUNTS, *RATES], rows))
    off = pooled.counted / pooled.there - 1
    print(f"\nCounted {pooled.counted} where there are {pooled.there}: {off:+.0%}.")
    found = {"roads": {name: asdict(f) for name, f in measured.items()}, "all": asdict(pooled)}
    if agreements:
        found["agreement"] = print_agreement(Agreement.pooled(agreements))
    return found


def print_agreement(with_every_frame: Agreement) -> dict[str, Any]:
    """Print what skipping frames changes; return its figures."""
    every, skipping = with_every_frame.counted
    figures = {
        "pixels": with_every_frame.pixels,
        "marks": with_every_frame.marks,
        "same_marks": with_every_frame.same_marks,
        "counted": skipping,
        "counted_every_frame": every,
    }
    head = (
        "IoU with every frame: all pixels",
        "each mark",
        "marks that both show",
        "counted",
        "of every frame",
    )
    row = [*(f"{value:.3f}" for value in list(figures.values())[:3]), str(skipping), str(every)]
    print("\n" + table(head, [row]))
    return figures


def measure_empty(detector: Detector, marked: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Print the table of the videos without potholes; return its figures."""
    measured: dict[str, Any] = {}
    for video in given.empty:
        if not video.is_file():
            console.print(f"[yellow]{video} is not there and is left out.")
            continue
        thin = thinned(video, given.thin, marked)
        report = mark(thin, detector, marked, given, given.frame_interval)
        measured[video.name] = {
            "seconds": len(report["frames"]) / report["video"]["fps_float"],
            "false_tracks": len(report["tracks"]),
            "marked_frames": report["summary"]["frames_with_potholes"],
        }
    rows = [
        [
            name,
            f"{f['seconds']:.1f}",
            str(f["false_tracks"]),
            f"{60 * f['false_tracks'] / f['seconds']:.1f}",
            str(f["marked_frames"]),
        ]
        for name, f in measured.items()
    ]
    if rows:
        head = ("video without potholes", "seconds", "false", "false a minute", "marked frames")
        print("\n" + table(head, rows))
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="model folder (default: the shipped one)")
    parser.add_argument(
        "--empty", type=Path, nargs="+", default=[], metavar="VIDEO", help="real roads without potholes"
    )
    parser.add_argument(
        "--min-confidence", type=share, metavar="P", help="score threshold (default: the model's)"
    )
    parser.add_argument("--frame-interval", type=positive, metavar="N", help="see pothole mark")
    parser.add_argument(
        "--thin", type=positive, default=1, metavar="N", help="keep every N-th frame of each video alone"
    )
    parser.add_argument(
        "--sets",
        type=positive,
        default=1,
        metavar="N",
        help="how often the eight drives, on other roads each time",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    parser.add_argument("--cache", type=Path, default=Path("build", "figures"), metavar="DIR")
    given = parser.parse_args(arguments)

    model = given.model or Settings.from_env(os.environ).model_dir
    roads, marked = given.cache / "roads", given.cache / digest(model)
    roads.mkdir(parents=True, exist_ok=True)
    detector = load_model(model)
    figures = measure_roads(detector, roads, marked, given)
    figures["empty"] = measure_empty(detector, marked, given)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

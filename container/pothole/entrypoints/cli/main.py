"""The `pothole` command: the server's work on local files, and a model's figures."""

import argparse
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from pothole import __version__
from pothole import job as jobs
from pothole.detection.detector import Detector
from pothole.detection.registry import load_detector
from pothole.entrypoints.cli.export import add_command as add_export
from pothole.entrypoints.cli.import_weights import add_command as add_import
from pothole.errors import PotholeError, RequestError
from pothole.media.picture import encode_picture, read_picture
from pothole.outputs.annotate import draw
from pothole.outputs.registry import DEFAULT_OUTPUTS, OUTPUTS, chosen_outputs
from pothole.settings import Settings
from pothole.storage import LocalStorage
from pothole.training import collect as collecting

# Results go to stdout, everything about the way there to stderr.
console = Console(stderr=True)


@contextmanager
def progress_bar(title: str) -> Iterator[Any]:
    """Yield `update(done, total, note)`, which shows a bar while work goes on."""
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=None, note="")

        def update(done: int, total: int | None, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield update


def load_model(folder: Path | None) -> Detector:
    """Load a model folder, the shipped one by default, without TensorFlow's chatter.

    Its libraries write to the terminal before they read `TF_CPP_MIN_LOG_LEVEL` (tensorflow#100442); errors of
    ours are exceptions and come through.
    """
    terminal = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        settings = Settings.from_env()
        return load_detector(folder or settings.model_dir, settings.runtime)
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def mark(args: argparse.Namespace) -> None:
    """Mark a local video, as the server marks one in S3."""
    settings = Settings.from_env()
    video: Path = args.video
    job = jobs.Job(
        source_bucket=str(video.absolute().parent),
        source_key=video.name,
        is_live=not args.preview,
        frame_interval=args.frame_interval,
        min_confidence=args.min_confidence,
        output_bucket=str(args.output_dir.absolute()) if args.output_dir else None,
        outputs=args.outputs,
    )
    detector = load_model(args.model)
    with progress_bar(video.name) as update:
        result = jobs.run_job(
            job,
            detector,
            lambda folder: LocalStorage(Path(folder)),
            settings,
            lambda p: update(p.frames, p.total, f"{p.potholes} potholes"),
        )
    table = Table("file", "frames", "with potholes", "potholes", "seconds", "frames/s")
    table.add_row(
        video.name,
        str(result.frames),
        str(result.frames_with_potholes),
        str(result.potholes),
        f"{result.seconds:.1f}",
        f"{result.frames / result.seconds:.1f}",
    )
    console.print(table)
    if result.warning:
        console.print(f"[yellow]{result.warning}")
    for output in result.outputs:
        print(output)


def detect(args: argparse.Namespace) -> None:
    """Find the potholes of pictures."""
    settings = Settings.from_env()
    detector = load_model(args.model)
    records = []
    for path in args.picture:
        try:
            with path.open("rb") as file:
                image = read_picture(file, str(path), settings.max_image_pixels)
        except OSError as exc:
            raise RequestError(f"{path} cannot be opened: {exc.strerror}.") from exc
        (found,) = detector.predict([image], args.min_confidence)
        records.append({"file": str(path), "potholes": found.to_json()})
        console.print(f"{path}: {len(found)} potholes")
        if args.output_dir:
            args.output_dir.mkdir(parents=True, exist_ok=True)
            draw(image, found)
            target = args.output_dir / f"{path.stem}_output.jpg"
            target.write_bytes(encode_picture(image, "image/jpeg"))
            print(target)
    write_json(args.json, records, quiet=bool(args.output_dir))


def evaluate(args: argparse.Namespace) -> None:
    """Measure a model on a data set: COCO, VIA or labelme."""
    # These need Keras, which takes seconds to import.
    from pothole.training import evaluate as measuring  # noqa: PLC0415
    from pothole.training.evaluation_page import check_page, write_page  # noqa: PLC0415

    if args.page:
        check_page(args.page)
    detector = load_model(args.model)
    with progress_bar(str(args.folder)) as update:
        evaluation = measuring.Evaluation.run(detector, args.folder, update, args.min_confidence)
    figures = evaluation.figures()
    precision = figure_table("pictures", "potholes", "mask AP", "AP50", "box AP", "AP50")
    recall = figure_table("precision", "recall", "F1", "false per negative picture")
    for group in measuring.groups(figures):
        for name, row in group:
            texts = [measuring.figure_text(row.get(key)) for key in measuring.FIGURE_KEYS]
            precision.add_row(name, *texts[:6], end_section=row is group[-1][1])
            recall.add_row(name, *texts[6:], end_section=row is group[-1][1])
    console.print(precision, measuring.SIZES_EXPLAINED, "", sep="\n", highlight=False)
    console.print(f"At confidence {evaluation.min_confidence:.2f} and a mask IoU of 0.5:", highlight=False)
    console.print(recall, measuring.rule(figures), sep="\n", highlight=False)
    write_json(args.json, figures)
    if args.page:
        with progress_bar(str(args.page)) as update:
            write_page(args.page, evaluation, figures, update)
        console.print(f"Pictures of what is true, missed and false: {args.page}", highlight=False)


def figure_table(*columns: str) -> Table:
    """Return an empty table of figures, a name and these columns."""
    return Table("", *(Column(name, justify="right") for name in columns), box=SIMPLE_HEAD)


def collect(args: argparse.Namespace) -> None:
    """Write the frames of videos that the model is least sure of, annotated, to correct and to train on."""
    settings = Settings.from_env()
    videos = collecting.find_videos(args.video, settings.max_video_bytes)
    limits = collecting.Limits(args.count, args.random, args.gap, args.frame_interval, args.seed)
    with progress_bar(str(args.out)) as update:
        chosen = collecting.collect(videos, args.out, load_model(args.model), settings, limits, update)
    reasons = Counter(c.reason for c in chosen)
    table = Table("videos", "pictures", "score near the confidence", "pothole flickers", "random")
    counts = (reasons[r] for r in (collecting.SCORE, collecting.FLICKERS, collecting.RANDOM))
    table.add_row(*map(str, (len(videos), len(chosen), *counts)))
    console.print(table)
    print(args.out / "annotations.json")


def write_json(path: Path | None, value: Any, quiet: bool = False) -> None:
    """Write JSON to a file, or without one to stdout unless `quiet`."""
    text = json.dumps(value)
    if path:
        path.write_text(text + "\n")
    elif not quiet:
        print(text)


def parser() -> argparse.ArgumentParser:
    """Return the command's flags."""
    result = argparse.ArgumentParser("pothole", description="Find and mark potholes in videos and pictures.")
    result.add_argument("--version", action="version", version=__version__)
    commands = result.add_subparsers(required=True, metavar="COMMAND")

    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("--model", type=Path, metavar="DIR", help="model folder (default: the shipped one)")
    confidence = argparse.ArgumentParser(add_help=False)
    confidence.add_argument(
        "--min-confidence", type=share, metavar="P", help="lowest score, 0..1 (default: the model's)"
    )

    command = commands.add_parser(
        "mark", parents=[model, confidence], help=mark.__doc__, description=mark.__doc__
    )
    command.add_argument("video", type=Path)
    command.add_argument("--output-dir", type=Path, metavar="DIR", help="default: beside the video")
    command.add_argument(
        "--frame-interval",
        type=positive,
        metavar="N",
        help="detect on every N-th frame (default: as the road moves)",
    )
    command.add_argument(
        "--outputs",
        type=outputs,
        default=DEFAULT_OUTPUTS,
        metavar="NAME,...",
        help=f"what to make, of {', '.join(OUTPUTS)} (default: {','.join(DEFAULT_OUTPUTS)})",
    )
    command.add_argument("--preview", action="store_true", help="only the first 0.01 s, at least one frame")
    command.set_defaults(run=mark)

    command = commands.add_parser(
        "detect", parents=[model, confidence], help=detect.__doc__, description=detect.__doc__
    )
    command.add_argument("picture", type=Path, nargs="+")
    command.add_argument("--output-dir", type=Path, metavar="DIR", help="write marked pictures here")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the detections here")
    command.set_defaults(run=detect)

    command = commands.add_parser(
        "evaluate", parents=[model, confidence], help=evaluate.__doc__, description=evaluate.__doc__
    )
    command.add_argument("folder", type=Path, help="folder with annotations, and the pictures in images/")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    command.add_argument(
        "--page", type=Path, metavar="FILE", help="write an HTML page of what is true, missed and false"
    )
    command.set_defaults(run=evaluate)

    command = commands.add_parser(
        "collect", parents=[model], help=collect.__doc__, description=collect.__doc__
    )
    command.add_argument("video", type=Path, nargs="+", help="video, or folder with videos")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for the data set")
    defaults = collecting.Limits()
    for flag, type_, default, help_ in (
        ("count", pictures, defaults.count, "doubtful frames"),
        ("random", pictures, defaults.random, "random frames"),
        ("gap", seconds, defaults.gap_s, "least seconds between two frames"),
        ("frame-interval", positive, defaults.frame_interval, "look at every N-th frame"),
        ("seed", int, defaults.seed, "of the random frames"),
    ):
        command.add_argument(
            f"--{flag}", type=type_, default=default, metavar="N", help=f"{help_} (default: {default})"
        )
    command.set_defaults(run=collect)

    add_import(commands)
    add_export(commands)
    return result


def outputs(text: str) -> tuple[str, ...]:
    """Read names of outputs with commas between them."""
    try:
        return chosen_outputs(text.split(","))
    except RequestError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def positive(text: str) -> int:
    """Read a whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def pictures(text: str) -> int:
    """Read a number of pictures."""
    value = int(text)
    if not 0 <= value <= collecting.MOST_PICTURES:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and {collecting.MOST_PICTURES}")
    return value


def seconds(text: str) -> float:
    """Read a number of seconds, at least 0."""
    value = float(text)
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{value} is not a number from 0 on")
    return value


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return value


def main() -> None:
    """Run `pothole`; a mistake of the caller's is one sentence on stderr and exit status 1."""
    args = parser().parse_args()
    try:
        args.run(args)
    except PotholeError as exc:
        sys.exit(f"pothole: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

"""`pothole mark`: local videos, marked as the server marks those in S3."""

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from pothole.entrypoints.cli import common
from pothole.errors import RequestError
from pothole.job import Job, run_job
from pothole.outputs.registry import DEFAULT_OUTPUTS, OUTPUTS, chosen_outputs
from pothole.storage import LocalStorage


def mark(args: argparse.Namespace) -> None:
    """Mark a local video, as the server marks one in S3."""
    settings = common.read_settings()
    video: Path = args.video
    job = Job(
        source_bucket=str(video.absolute().parent),
        source_key=video.name,
        is_live=not args.preview,
        frame_interval=args.frame_interval,
        min_confidence=args.min_confidence,
        output_bucket=str(args.output_dir.absolute()) if args.output_dir else None,
        outputs=args.outputs,
    )
    detector = common.load_model(args.model)
    with common.progress_bar(video.name) as update:
        result = run_job(
            job,
            detector,
            lambda folder: LocalStorage(Path(folder)),
            settings,
            lambda p: update(p.frames, p.total, common.counted(p.potholes, "pothole")),
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
    common.console.print(table)
    if result.warning:
        common.console.print(f"[yellow]{result.warning}")
    for output in result.outputs:
        print(output)


def add_command(commands: Any) -> None:
    """Add `mark` to the commands of `pothole`."""
    command = commands.add_parser(
        "mark",
        parents=[common.model_flags(), common.confidence_flags()],
        help=mark.__doc__,
        description=mark.__doc__,
    )
    command.add_argument("video", type=Path)
    command.add_argument("--output-dir", type=Path, metavar="DIR", help="default: beside the video")
    command.add_argument(
        "--frame-interval",
        type=common.positive,
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


def outputs(text: str) -> tuple[str, ...]:
    """Read names of outputs with commas between them."""
    try:
        return chosen_outputs(text.split(","))
    except RequestError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc

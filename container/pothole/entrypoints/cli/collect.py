"""The command `pothole collect` writes pictures worth labelling."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from pothole.entrypoints.cli import common
from pothole.entrypoints.cli.videos import find_videos
from pothole.errors import PotholeError, RequestError, SourceNotFound
from pothole.jobs.addresses import open_address, path_or_address
from pothole.settings import Settings
from pothole.storage import open_own_folder
from pothole.training import collect as collecting
from pothole.training import samples


def collect(args: argparse.Namespace) -> None:
    """Write the frames of videos that the model is least sure of, annotated, to correct and to train on."""
    settings = common.read_settings()
    if args.from_samples:
        _collect_samples(args, settings)
        return
    if not args.video:
        raise RequestError("No video is named.", hint="Name videos, or --from-samples with a folder.")
    videos = find_videos(args.video, settings.max_video_bytes)
    detector = common.load_model(args.model)
    selection = collecting.Selection(args.count, args.random, args.gap, args.frame_interval, args.seed)
    left_out: list[PotholeError] = []

    def leave_out(video: Path, reason: PotholeError) -> None:
        left_out.append(reason.about(video.name))

    with common.progress_bar("frames") as update:
        chosen = collecting.collect(videos, args.out, detector, settings, selection, update, leave_out)
    reasons = Counter(c.reason for c in chosen)
    table = Table("videos", "pictures", "score near the confidence", "pothole flickers", "random")
    counts = (reasons[r] for r in (collecting.SCORE, collecting.FLICKERS, collecting.RANDOM))
    table.add_row(*map(str, (len(videos) - len(left_out), len(chosen), *counts)))
    common.console.print(table)
    print(args.out / "annotations.json")
    common.exit_with(left_out, len(videos), "video")


def _collect_samples(args: argparse.Namespace, settings: Settings) -> None:
    if args.video:
        raise RequestError("Videos and --from-samples are named.", hint="Collect from one of them at a time.")
    if isinstance(args.from_samples, Path):
        if not args.from_samples.is_dir():
            raise SourceNotFound(f"There is no folder {args.from_samples}.")
        store, folder = open_own_folder(str(args.from_samples)), ""
    else:
        store, folder = open_address(args.from_samples, settings)
    with common.progress_bar("files") as update:
        counts = samples.write_samples(store, folder, args.out, settings, update)
    table = Table("pictures", "unsure", "share of all", "lines left out")
    left_out = counts.pop(samples.LEFT_OUT, 0)
    table.add_row(*map(str, (counts.total(), counts["unsure"], counts["share"], left_out)))
    common.console.print(table)
    print(args.out / "annotations.json")


def add_command(commands: Any) -> None:
    """Add `collect` to the commands of `pothole`."""
    command = commands.add_parser(
        "collect", parents=[common.model_flags()], help=collect.__doc__, description=collect.__doc__
    )
    command.add_argument("video", type=Path, nargs="*", help="video, or folder with videos")
    command.add_argument(
        "--from-samples",
        type=path_or_address,
        metavar="FOLDER",
        help="folder of samples that a deployment collected, s3://BUCKET/samples/ or one here",
    )
    command.add_argument(
        "--output-dir",
        "--out",
        dest="out",
        type=Path,
        required=True,
        metavar="DIR",
        help="new folder for the data set",
    )
    defaults = collecting.Selection()
    for flag, type_, default, help_ in (
        ("count", pictures, defaults.count, "doubtful frames"),
        ("random", pictures, defaults.random, "random frames"),
        ("gap", common.seconds, defaults.gap_s, "least seconds between two frames"),
        ("frame-interval", common.positive, defaults.frame_interval, "look at every N-th frame"),
        ("seed", int, defaults.seed, "of the random frames"),
    ):
        command.add_argument(
            f"--{flag}", type=type_, default=default, metavar="N", help=f"{help_} (default: {default})"
        )
    command.set_defaults(run=collect)


def pictures(text: str) -> int:
    """Read a number of pictures."""
    value = int(text)
    if not 0 <= value <= collecting.MAX_PICTURES:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and {collecting.MAX_PICTURES}")
    return value

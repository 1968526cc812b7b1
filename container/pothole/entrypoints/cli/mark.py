"""The command `pothole mark` marks the potholes of videos."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from rich.table import Column, Table
from rich.text import Text

from pothole.entrypoints.cli import common, positions
from pothole.entrypoints.cli.belonging import Belonging
from pothole.entrypoints.cli.local_jobs import LocalJobs
from pothole.entrypoints.cli.stop import stop_on_signals
from pothole.entrypoints.cli.videos import find_videos
from pothole.errors import Interrupted, PotholeError, RequestError
from pothole.files import private_folder, readable
from pothole.job_order import Job
from pothole.jobs.addresses import Address, find_remote, opener, path_or_address
from pothole.jobs.record import Record
from pothole.media.smart.plan import Render
from pothole.outputs.registry import DEFAULT_OUTPUTS, OUTPUTS, chosen_outputs
from pothole.settings import Settings
from pothole.storage import Storage


def mark(args: argparse.Namespace) -> None:
    """Mark the potholes of videos, and write what was found."""
    settings = common.read_settings()
    if args.duration and not any(isinstance(each, Address) and each.is_live for each in args.video):
        raise RequestError("--duration is for live streams.", "Leave it out, or name an rtsp:// address.")
    open_store = opener(settings, args.duration)
    jobs = [_job(bucket, key, args) for bucket, key in _sources(args.video, settings)]
    for job in jobs:
        open_store(job.source_bucket)  # it says what is missing before any work is done
    detector = common.load_model(args.model)
    common.choose_sensitivity(detector, args.sensitivity)
    belonging = Belonging(detector, open_store, args.overwrite)
    jobs = [belonging.named(job) for job in jobs]
    done: list[tuple[Job, Record]] = []
    failures: list[PotholeError] = []
    with private_folder(settings.temp_dir, "pothole-mark-") as folder:
        buckets = tuple({job.output_bucket for job in jobs if job.output_bucket})
        settings = replace(settings, temp_dir=folder, output_buckets=buckets)
        worker = LocalJobs(detector, args.model or settings.model_dir, open_store, settings, args.resume)
        with stop_on_signals(worker.shutdown, folder, worker.last_words) as stopped:
            for job in jobs:
                try:
                    done.append((job, _run(job, worker)))
                    belonging.note(job)
                except Interrupted:
                    break
                except PotholeError as exc:
                    failures.append(exc.about(_shown(job, open_store)))
    if len(jobs) == len(failures) == 1:
        raise failures[0]
    _show(done)
    if status := stopped():
        if failures:
            print(f"pothole: {common.told(failures, len(jobs), 'video')}", file=sys.stderr)
        print(f"pothole: {worker.last_words()}", file=sys.stderr)
        sys.exit(status)
    common.exit_with(failures, len(jobs), "video")


def _sources(given: Sequence[Path | Address], settings: Settings) -> list[tuple[str, str]]:
    """Return the bucket and key of each source, the files first."""
    files = [each for each in given if isinstance(each, Path)]
    videos = find_videos(files, settings.max_video_bytes, pictures=True)
    found = [
        (str(video.absolute().parent), video.absolute().name + ("/" if video.is_dir() else ""))
        for video in videos
    ]
    for address in given:
        if isinstance(address, Address):
            found += find_remote(address, settings)
    return found


def _job(bucket: str, key: str, args: argparse.Namespace) -> Job:
    here = Path.cwd() if "://" in bucket else None  # outputs of addresses go here
    folder = args.output_dir.absolute() if args.output_dir else here
    return Job(
        source_bucket=bucket,
        source_key=key,
        is_live=not args.preview,
        names_preview=args.preview,
        frame_interval=args.frame_interval,
        min_confidence=args.min_confidence,
        output_bucket=str(folder) if folder else None,
        outputs=args.outputs,
        video_stream=args.video_stream,
        deinterlace=args.deinterlace,
        short_labels=args.short_labels,
        render=args.render,
        **positions.job_fields(args),
    )


def _run(job: Job, worker: LocalJobs) -> Record:
    """Mark one video, with a bar while it goes on."""
    with common.progress_bar(readable(Path(job.source_key))) as update:
        return worker.run(job, lambda p: update(p.frames, p.total, common.counted(p.potholes, "pothole")))


def _shown(job: Job, open_store: Callable[[str], Storage]) -> str:
    """Return what a person knows a source by: a file's name, or an address."""
    if "://" in job.source_bucket:
        return open_store(job.source_bucket).address(job.source_key)
    return readable(Path(job.source_key))


def _show(done: Sequence[tuple[Job, Record]]) -> None:
    """Print what was found, in a table, and where the outputs are."""
    if not done:
        return
    table = Table(
        Column("file", overflow="fold"),
        "frames",
        "with potholes",
        "potholes",
        "seen once",
        "seconds",
        "frames/s",
    )
    for job, record in done:
        result = record.result or {}
        counts = (result[name] for name in ("frames", "frames_with_potholes", "potholes", "seen_once"))
        seconds = max(result["seconds"], 0.001)
        speed = result["frames"] / seconds
        source = Text(readable(Path(job.source_key)))
        table.add_row(source, *map(str, counts), f"{seconds:.1f}", f"{speed:.1f}")
    common.console.print(table)
    for job, record in done:
        if record.result and record.result["warning"]:
            warning = f"{readable(Path(job.source_key))}: {record.result['warning']}"
            common.console.print(warning, style="yellow", markup=False, highlight=False)
        for output in record.outputs:
            print(Path(job.output_bucket or job.source_bucket, output.key))


def add_command(commands: Any) -> None:
    """Add `mark` to the commands of `pothole`."""
    command = commands.add_parser(
        "mark",
        parents=[common.model_flags(), common.confidence_flags()],
        help=mark.__doc__,
        description=mark.__doc__,
    )
    command.add_argument(
        "video",
        type=path_or_address,
        nargs="+",
        help="video, folder with videos, folder of pictures in order, or address: https, s3, rtsp",
    )
    _add_source_flags(command)
    positions.add_flags(command)
    _add_output_flags(command)
    command.add_argument(
        "--frame-interval",
        type=common.positive,
        metavar="N",
        help="run the detector on every N-th frame (default: as the road moves)",
    )
    command.add_argument(
        "--resume", action="store_true", help="go on where the same command was stopped or killed"
    )
    command.add_argument(
        "--preview",
        action="store_true",
        help="mark only the first 0.01 s, at least one frame, as <stem>_preview_output",
    )
    command.set_defaults(run=mark)


def _add_source_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags that say how a source is read."""
    command.add_argument(
        "--duration", type=common.seconds, metavar="S", help="record a live stream for so many seconds"
    )
    command.add_argument(
        "--video-stream",
        type=common.not_negative,
        metavar="N",
        help="mark the file's N-th video stream, counted from 0 (default: the first)",
    )
    command.add_argument(
        "--no-deinterlace",
        dest="deinterlace",
        action="store_false",
        help="leave interlaced pictures as they are",
    )


def _add_output_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags that say what is made, and where."""
    command.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help="folder for the outputs (default: beside the video; for an address the current folder)",
    )
    command.add_argument(
        "--outputs",
        type=outputs,
        default=DEFAULT_OUTPUTS,
        metavar="NAME,...",
        help=f"what to make, of {', '.join(OUTPUTS)} (default: {','.join(DEFAULT_OUTPUTS)})",
    )
    command.add_argument(
        "--overwrite", action="store_true", help="replace also outputs of other videos or settings"
    )
    command.add_argument(
        "--render",
        choices=get_args(Render),
        default=Job.render,
        help="smart: copy what carries no mark, where the source allows it; full: code all anew (default: "
        f"{Job.render})",
    )
    command.add_argument(
        "--short-labels",
        action="store_true",
        help="leave the class out of the labels where there is only one",
    )


def outputs(text: str) -> tuple[str, ...]:
    """Read names of outputs with commas between them."""
    try:
        return chosen_outputs(text.split(","))
    except RequestError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc

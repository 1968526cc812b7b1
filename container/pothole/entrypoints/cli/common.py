"""The commands share these ways to use the terminal, to load the model, and to declare flags."""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pothole.detection.detector import Detector
from pothole.detection.registry import load_detector
from pothole.errors import AccessDenied, PotholeError, RequestError, SourceNotFound
from pothole.files import replacing
from pothole.settings import Settings

WIDE = 10_000  # columns

# Results go to stdout, everything else to stderr: in a file nothing is cut or broken to fit.
console = Console(stderr=True)
if not console.is_terminal:
    console.width = WIDE


def quiet_tensorflow() -> None:
    """Let TensorFlow write errors alone, unless the environment says otherwise; before it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def read_settings() -> Settings:
    """Read the settings from the environment of the process."""
    return Settings.from_env(os.environ)


@contextmanager
def progress_bar(title: str, terminal: Console = console) -> Iterator[Any]:
    """Yield `update(done, total, note)`, which shows a bar while work goes on, from its first call on."""
    columns = (
        TextColumn("{task.description}", markup=False),  # names of files may have any brackets
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    progress = Progress(*columns, console=terminal)
    task = progress.add_task(title, total=None, note="")

    def update(done: int, total: int | None, note: str = "") -> None:
        progress.update(task, completed=done, total=total, note=note)
        progress.start()

    try:
        yield update
    finally:
        if progress.live.is_started:
            progress.stop()


@contextmanager
def silenced() -> Iterator[Console]:
    """Keep libraries from writing to the terminal; yield a console that still does.

    TensorFlow's write there before they read `TF_CPP_MIN_LOG_LEVEL` (tensorflow#100442), NNCF a line for each
    operation. Errors of ours are exceptions and come through.
    """
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        for number in (1, 2):
            os.dup2(nowhere.fileno(), number)
    try:
        with os.fdopen(os.dup(kept[1]), "w") as terminal:
            yield Console(file=terminal)
    finally:
        sys.stdout.flush()
        for number, to in zip((1, 2), kept, strict=True):
            os.dup2(to, number)
            os.close(to)


def load_model(folder: Path | None) -> Detector:
    """Load a model folder, the shipped one by default."""
    if folder:
        check_folder(folder)
    with silenced():
        settings = read_settings()
        return load_detector(folder or settings.model_dir, settings.runtime)


def check_folder(folder: Path) -> None:
    """Raise `SourceNotFound` unless there is such a folder, and `RequestError` where it is a file."""
    if folder.is_file():
        raise RequestError(f"{folder} is a file.", hint=f"Name its folder: {folder.parent}.")
    if not folder.is_dir():
        raise SourceNotFound(f"There is no folder {folder}.")


def write_json(path: Path | None, value: Any, quiet: bool = False) -> None:
    """Write JSON to a file, or without one to stdout unless `quiet`."""
    text = json.dumps(value)
    if path:
        with replacing(path) as whole:
            whole.write_text(text + "\n")
    elif not quiet:
        print(text)


def check_target(path: Path) -> None:
    """Check before the work that a file can be written.

    Raises:
        RequestError: It is a folder, or what should be its folder is a file.
        AccessDenied: Its folder may not be written to.
    """
    if path.is_dir():
        raise RequestError(f"{path} is a folder.", hint="Name a file to write.")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir():
        raise RequestError(f"{there} is a file, not a folder.", hint="Name another place.")
    if not os.access(there, os.W_OK):
        raise AccessDenied(f"{there} may not be written to.", hint="Name another place.")


def counted(count: int, name: str) -> str:
    """Return a number with its noun: `1 pothole`, `2 potholes`."""
    return f"{count} {name}" + ("" if count == 1 else "s")


def exit_with(failures: Sequence[PotholeError], count: int, name: str) -> None:
    """End the command with all that failed of so many videos or pictures, if anything did."""
    if failures:
        sys.exit(f"pothole: {told(failures, count, name)}")


def told(failures: Sequence[PotholeError], count: int, name: str) -> str:
    """Return what failed of so many videos or pictures, one in a line."""
    return "\n  ".join((f"{len(failures)} of {counted(count, name)} failed:", *map(str, failures)))


def model_flags() -> argparse.ArgumentParser:
    """Return the flag that names a model, as a parent of commands."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument("--model", type=Path, metavar="DIR", help="model folder (default: the shipped one)")
    return flags


def choose_sensitivity(detector: Detector, name: str | None) -> None:
    """Make the score threshold of a sensitivity a detector's default; change nothing when it is None.

    Raises:
        RequestError: The detector has no threshold for it.
    """
    if name is None:
        return
    known: dict[str, float] = getattr(detector, "sensitivities", {})
    if name not in known:
        raise RequestError(
            f"The model {detector.name} has no score threshold for the sensitivity {name}.",
            "Name one with --min-confidence, or choose them on pictures with `pothole calibrate`.",
        )
    detector.min_confidence = known[name]


def confidence_flags() -> argparse.ArgumentParser:
    """Return the flag of the score threshold, as a parent of commands."""
    flags = argparse.ArgumentParser(add_help=False)
    choice = flags.add_mutually_exclusive_group()
    choice.add_argument(
        "--sensitivity",
        choices=("low", "normal", "high"),
        help="low marks only what is surest; high finds most, and marks more that is none (default: normal)",
    )
    choice.add_argument(
        "--min-confidence", type=share, metavar="P", help="score threshold, 0..1 (default: the model's)"
    )
    return flags


def add_regions_flag(command: argparse.ArgumentParser) -> None:
    """Add the flag of a command that names regions of its pictures."""
    command.add_argument(
        "--regions", type=Path, metavar="FILE", help="COCO file of lanes, outside of which nothing is wrong"
    )


def positive(text: str) -> int:
    """Read a whole number from 1."""
    return _at_least(1, text)


def not_negative(text: str) -> int:
    """Read a whole number from 0."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"{value} is less than {least}")
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

"""The commands `pothole train` and SageMaker's `train` make a model folder of annotated pictures.

It keeps SageMaker's contract: hyperparameters and channels come in by files, metrics go out by the log, the
model, checkpoints and the reason of a failure to their folders (docs/how-to/train.md).
"""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pothole.entrypoints.cli.common import quiet_tensorflow, read_settings, silenced
from pothole.entrypoints.cli.stop import event_on_signals
from pothole.errors import PotholeError, needs_tensorflow
from pothole.training.options import add_flags, read_folders, read_hyperparameters

DESCRIPTION = "Train the Mask R-CNN on annotations of COCO, VIA, labelme, Label Studio or CVAT."
_logger = logging.getLogger("pothole.training")


def train(flags: argparse.Namespace) -> None:
    """Train a model; write the reason of a failure to SageMaker's file, too."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folders = read_folders(flags, os.environ)
    try:
        folders.failure.unlink(missing_ok=True)
        hyperparameters = read_hyperparameters(flags)
        try:
            with silenced():
                from pothole.training.train import train as learn  # noqa: PLC0415  # Keras takes seconds to import
        except ModuleNotFoundError as exc:
            raise needs_tensorflow(exc) from exc
        with event_on_signals() as stop:
            learn(hyperparameters, folders, stop, read_settings().max_image_pixels)
    except PotholeError as exc:
        report_failure(folders.failure, str(exc))
        raise
    except Exception as exc:
        report_failure(folders.failure, traceback.format_exception_only(exc)[-1].strip())
        raise


def add_command(commands: Any) -> None:
    """Add `train` to the commands of `pothole`."""
    command = commands.add_parser(
        "train", help=DESCRIPTION, description=DESCRIPTION, argument_default=argparse.SUPPRESS
    )
    add_flags(command)
    command.set_defaults(run=train)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `train`; a mistake of the caller's is one sentence on stderr and exit status 1."""
    quiet_tensorflow()
    parser = argparse.ArgumentParser("train", description=DESCRIPTION, argument_default=argparse.SUPPRESS)
    add_flags(parser)
    try:
        train(parser.parse_args(arguments))
    except PotholeError as exc:
        sys.exit(f"train: {exc}")


def report_failure(path: Path, reason: str) -> None:
    """Write why a training failed to where SageMaker looks for it."""
    if not path.parent.is_dir():
        return  # a training by hand has none of SageMaker's folders
    try:
        path.write_text(f"{reason}\n")
    except OSError as exc:
        _logger.warning("%s cannot be written: %s", path, exc)


if __name__ == "__main__":
    main()

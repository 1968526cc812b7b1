"""The `pothole` command does the work of the server on local files, starts the server, and makes models."""

import argparse
import logging
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from pothole import __version__
from pothole.declaration import declarations
from pothole.entrypoints.cli import (
    calibrate,
    collect,
    common,
    compare,
    detect,
    evaluate,
    export,
    import_weights,
    jobs,
    mark,
    serve,
    stream,
    survey,
    train,
    work,
)
from pothole.entrypoints.cli.stop import exit_on_signals
from pothole.errors import PotholeError, needs_tensorflow
from pothole.settings import Settings

COMMANDS = (
    mark,
    survey,
    detect,
    evaluate,
    compare,
    calibrate,
    collect,
    import_weights,
    export,
    train,
    serve,
    work,
    stream,
    jobs,
)


def parser() -> argparse.ArgumentParser:
    """Return the command's flags."""
    result = argparse.ArgumentParser("pothole", description="Find and mark potholes in videos and pictures.")
    result.add_argument("--version", action="version", version=__version__)
    commands = result.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    return result


def leave_exit_message(text: str) -> None:
    """Write why the command failed into the file for it, if there is one: SageMaker tells the first KB."""
    if path := os.environ.get(declarations(Settings)["exit_message_file"].variable):
        with suppress(OSError):  # the reason itself is told on stderr, whatever becomes of this
            Path(path).write_bytes(text.encode(errors="replace")[:1024])


def main() -> None:
    """Run `pothole`; a mistake of the caller's is one sentence on stderr and exit status 1."""
    if isinstance(sys.stdout, TextIOWrapper):  # file names are bytes, and need not be UTF-8
        sys.stdout.reconfigure(errors="surrogateescape")
    common.quiet_tensorflow()
    if len(sys.argv) == 1:
        sys.exit(parser().format_help())
    args = parser().parse_args()
    logging.getLogger("pothole").addHandler(logging.NullHandler())  # what a job logs is said by the commands
    try:
        with exit_on_signals():
            args.run(args)
    except PotholeError as exc:
        leave_exit_message(str(exc))
        sys.exit(f"pothole: {exc}")
    except ModuleNotFoundError as exc:
        sys.exit(f"pothole: {needs_tensorflow(exc)}")
    except KeyboardInterrupt:
        print("\npothole: Stopped. Of the work that was going on nothing is kept.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()

"""The command `pothole stream` looks at live streams of Kinesis Video."""

import argparse
import os
from typing import Any

from pothole.entrypoints import settings_help
from pothole.entrypoints.cli import common
from pothole.entrypoints.cli.stop import event_on_signals
from pothole.entrypoints.stream.launch import stream as read_until_stopped


def stream(args: argparse.Namespace) -> None:
    """Look at live streams of Kinesis Video, and write what they show to Kinesis Data, until told to stop."""
    with event_on_signals() as stop:
        read_until_stopped(os.environ, args.configuration or "", common.load_model, stop)


def add_command(commands: Any) -> None:
    """Add `stream` to the commands of `pothole`."""
    command = commands.add_parser("stream", help=stream.__doc__, **settings_help.command(stream))
    command.add_argument(
        "--configuration",
        metavar="FILE",
        help="JSON with the streams and what else is set: a file, its text, or ssm: and a parameter's name",
    )
    command.set_defaults(run=stream)

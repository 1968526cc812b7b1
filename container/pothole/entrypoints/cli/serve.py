"""The commands `pothole serve` and SageMaker's `serve` start the web server."""

import argparse
import os
import sys
from typing import Any

from pothole.entrypoints import settings_help
from pothole.entrypoints.http.launch import serve as serve_until_stopped
from pothole.errors import PotholeError


def serve(args: argparse.Namespace) -> None:
    """Answer requests over HTTP until told to stop."""
    sys.exit(serve_until_stopped(os.environ))


def add_command(commands: Any) -> None:
    """Add `serve` to the commands of `pothole`."""
    command = commands.add_parser("serve", help=serve.__doc__, **settings_help.command(serve))
    command.set_defaults(run=serve)


def main() -> None:
    """Run `serve`; a mistake in the environment is one sentence on stderr and exit status 1."""
    parser = argparse.ArgumentParser("serve", **settings_help.command(serve))
    try:
        serve(parser.parse_args())
    except PotholeError as exc:
        sys.exit(f"serve: {exc}")

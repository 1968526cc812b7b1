"""The command `pothole work` marks the videos that the messages of a queue ask for."""

import argparse
import os
from typing import Any

from pothole.entrypoints import settings_help
from pothole.entrypoints.cli import common
from pothole.entrypoints.queue.launch import work as work_until_stopped
from pothole.entrypoints.queue.variables import Table, Variables


def work(args: argparse.Namespace) -> None:
    """Mark the videos that a queue asks for, until told to stop."""
    variables = Variables.read(args.variables) if args.variables else Variables()
    changes: dict[str, Any] = {}
    if args.step:
        changes["step"] = args.step
    if args.queue:
        step = args.step or variables.step_name
        changes["aws_queues"] = {**variables.aws_queues, step: args.queue}
    if args.table:
        region = variables.dynamodb.region if variables.dynamodb else None
        changes["dynamodb"] = Table(region=region, table_id=args.table)
    work_until_stopped(os.environ, variables.model_copy(update=changes), common.load_model)


def add_command(commands: Any) -> None:
    """Add `work` to the commands of `pothole`."""
    command = commands.add_parser("work", help=work.__doc__, **settings_help.command(work))
    command.add_argument(
        "--variables", metavar="FILE", help="JSON with the queue and what else is set: a file, or its text"
    )
    command.add_argument("--queue", metavar="NAME", help="name or address of the queue")
    command.add_argument("--table", metavar="NAME", help="table of the videos' documents")
    command.add_argument(
        "--step", metavar="NAME", help="name of this step in the documents and of its folder"
    )
    command.set_defaults(run=work)

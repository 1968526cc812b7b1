"""The command `pothole jobs` shows what jobs do, and cancels them."""

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from rich.table import Table

from pothole.entrypoints.cli import common
from pothole.errors import RequestError, SourceNotFound
from pothole.jobs.addresses import Address, open_address, path_or_address
from pothole.jobs.cancel import cancel
from pothole.jobs.listing import job_key, list_jobs, read_job
from pothole.jobs.record import State
from pothole.storage import Storage, open_own_folder

LIMIT, MOST = 50, 10_000


def list_all(args: argparse.Namespace) -> None:
    """List the jobs whose outputs go to a folder, those first that changed last."""
    store, folder = _open(args.folder)
    records = list_jobs(store, folder, args.state, args.limit)
    if args.json:
        print(json.dumps([record.model_dump(mode="json") for record in records]))
        return
    table = Table("job", "state", "source", "frames", "potholes", "attempt", "written last (UTC)")
    for record in records:
        frames = f"{record.frames} of {record.total}" if record.total else str(record.frames)
        written = f"{record.heartbeat:%Y-%m-%d %H:%M:%S}"
        counts = (str(record.potholes), str(record.attempt), written)
        table.add_row(record.id, record.state, record.source, frames, *counts)
    common.console.print(table)


def show(args: argparse.Namespace) -> None:
    """Show all that is known of a job, as JSON."""
    store, folder = _open(args.folder)
    record, _ = read_job(store, job_key(folder, args.job))
    print(record.to_bytes().decode())


def cancel_one(args: argparse.Namespace) -> None:
    """Cancel a job; its worker stops within seconds, and nothing is kept of it."""
    store, folder = _open(args.folder)
    record = cancel(store, job_key(folder, args.job))
    if record.state != "cancelled":
        raise RequestError(f"The job {record.id} is {record.state} already.")
    print(record.id)


def _open(folder: Path | Address) -> tuple[Storage, str]:
    if isinstance(folder, Address):
        return open_address(folder, common.read_settings())
    if not folder.is_dir():
        raise SourceNotFound(f"There is no folder {folder}.")
    return open_own_folder(str(folder)), ""


def add_command(commands: Any) -> None:
    """Add `jobs` to the commands of `pothole`."""
    command = commands.add_parser("jobs", help=__doc__.partition("`pothole jobs` ")[2], description=__doc__)
    kinds = command.add_subparsers(required=True, metavar="COMMAND")
    for name, run in (("list", list_all), ("show", show), ("cancel", cancel_one)):
        kind = kinds.add_parser(name, help=run.__doc__, description=run.__doc__)
        kind.add_argument(
            "folder", type=path_or_address, help="folder of the outputs, here or s3://BUCKET/FOLDER/"
        )
        if name == "list":
            kind.add_argument("--state", choices=get_args(State), help="only jobs in this state")
            kind.add_argument(
                "--limit", type=limit, default=LIMIT, metavar="N", help=f"at most so many (default: {LIMIT})"
            )
            kind.add_argument("--json", action="store_true", help="write the records as JSON")
        else:
            kind.add_argument("job", help="id of the job")
        kind.set_defaults(run=run)


def limit(text: str) -> int:
    """Read a number of jobs; argparse tells of a wrong value by this name."""
    count = int(text)
    if not 1 <= count <= MOST:
        raise argparse.ArgumentTypeError(f"give a number, 1 to {MOST}")
    return count

"""The command `pothole survey` makes one list of the potholes of many drives."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pothole.entrypoints.cli import common
from pothole.errors import RequestError, SourceNotFound
from pothole.files import MIB
from pothole.geo.survey.drives import read_drives
from pothole.geo.survey.lists import PICTURES, SECTION_M, WITHIN_M, Wanted, write_survey
from pothole.geo.survey.reported import read_reported
from pothole.geo.survey.roads import read_roads
from pothole.jobs.addresses import Address, open_address, path_or_address
from pothole.settings import Settings

SUFFIX = "_output.json"
MAX_REPORT = 1024 * MIB


def survey(args: argparse.Namespace) -> None:
    """Make one list of the potholes of many drives, for maps and as a page."""
    wanted = Wanted(
        title=args.title,
        network=read_roads(args.roads) if args.roads else None,
        section_m=args.section,
        reported=read_reported(args.reported) if args.reported else None,
        within_m=args.within,
        pictures=args.pictures,
    )
    with _reports(args.report) as reports:
        drives = read_drives(reports)
    folder: Path = args.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    potholes = write_survey(folder, drives, wanted)
    common.console.print(
        f"{common.counted(len(potholes), 'pothole')} on {common.counted(len(drives), 'drive')}.",
        highlight=False,
    )
    print(folder / "survey.html")


@contextmanager
def _reports(given: list[Path | Address]) -> Iterator[list[Path]]:
    """Yield the reports that are named, those of buckets as files that are gone afterwards."""
    settings = common.read_settings()
    with TemporaryDirectory(prefix="survey-", dir=settings.temp_dir) as temporary:
        found: list[Path] = []
        for number, each in enumerate(given):
            if isinstance(each, Path):
                found += _files(each)
            else:
                found += _fetched(each, Path(temporary) / str(number), settings)
        yield found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise SourceNotFound(f"There is no {path}.")
        return [path]
    reports = sorted(path.rglob(f"*{SUFFIX}"))
    if not reports:
        raise RequestError(f"{path} has no report, no file that ends in {SUFFIX}.")
    return reports


def _fetched(address: Address, folder: Path, settings: Settings) -> list[Path]:
    store, prefix = open_address(address, settings)
    keys = [key for key in store.list(prefix) if key.endswith(SUFFIX)]
    if not keys:
        raise RequestError(f"{address.url} has no report, no object that ends in {SUFFIX}.")
    with common.progress_bar("reports") as update:
        found = []
        for number, key in enumerate(keys):
            update(number, len(keys))
            own = folder / str(number)
            own.mkdir(parents=True)
            found.append(store.fetch(key, own, MAX_REPORT))
        update(len(keys), len(keys))
    return found


def add_command(commands: Any) -> None:
    """Add `survey` to the commands of `pothole`."""
    command = commands.add_parser("survey", help=survey.__doc__, description=survey.__doc__)
    command.add_argument(
        "report",
        type=path_or_address,
        nargs="+",
        help=f"report of a video marked with a track, …{SUFFIX}, or a folder of them, here or s3://BUCKET/…",
    )
    command.add_argument(
        "--output-dir",
        type=Path,
        default=Path("survey"),
        metavar="DIR",
        help="folder for the list (default: survey)",
    )
    command.add_argument("--title", default="Potholes", metavar="TEXT", help="what the page is called")
    for flag, help_ in (
        ("roads", "roads as GeoJSON lines: names and chainages, and counts by section"),
        ("reported", "CSV of reports that are known already, such as those of a 311 service"),
    ):
        command.add_argument(f"--{flag}", type=Path, metavar="FILE", help=help_)
    for flag, default, help_ in (
        ("section", SECTION_M, "length of a section of a road"),
        ("within", WITHIN_M, "between a report and its pothole, at most"),
    ):
        command.add_argument(
            f"--{flag}",
            type=metres,
            default=default,
            metavar="METRES",
            help=f"{help_} (default: {default:.0f})",
        )
    command.add_argument(
        "--pictures",
        type=pictures,
        default=PICTURES,
        metavar="N",
        help=f"pictures of the worst potholes, cut out of videos of this machine (default: {PICTURES})",
    )
    command.set_defaults(run=survey)


def metres(text: str) -> float:
    """Read metres of the command line; argparse tells of a wrong value by this name."""
    value = float(text)
    if not 1 <= value <= 100_000:
        raise argparse.ArgumentTypeError("give metres, 1 to 100000")
    return value


def pictures(text: str) -> int:
    """Read a number of pictures."""
    count = int(text)
    if not 0 <= count <= 10_000:
        raise argparse.ArgumentTypeError("give a number, 0 to 10000")
    return count

"""The command `pothole survey` makes one list of the potholes of many drives."""

import argparse
from pathlib import Path
from typing import Any

from pothole.entrypoints.cli import common
from pothole.errors import RequestError, SourceNotFound
from pothole.geo.export import WRITERS
from pothole.geo.survey.drives import Drive, read_drives
from pothole.geo.survey.page import WORST, write_page
from pothole.geo.survey.pictures import picture_of
from pothole.geo.survey.records import Pothole
from pothole.geo.survey.records import survey as list_potholes

SUFFIX = "_output.json"


def survey(args: argparse.Namespace) -> None:
    """Make one list of the potholes of many drives, for maps and as a page."""
    drives = read_drives(_reports(args.report))
    potholes = list_potholes(drives)
    folder: Path = args.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    rows = [pothole.row(drives) for pothole in potholes]
    for name, write in WRITERS.items():
        write(folder / f"survey.{name}", rows)
    page = folder / "survey.html"
    write_page(page, args.title, potholes, drives, _pictures(potholes, drives))
    common.console.print(
        f"{common.counted(len(potholes), 'pothole')} on {common.counted(len(drives), 'drive')}.",
        highlight=False,
    )
    print(page)


def _reports(given: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            reports = sorted(path.rglob(f"*{SUFFIX}"))
            if not reports:
                raise RequestError(f"{path} has no report, no file that ends in {SUFFIX}.")
            found += reports
        elif path.exists():
            found.append(path)
        else:
            raise SourceNotFound(f"There is no {path}.")
    return found


def _pictures(potholes: list[Pothole], drives: list[Drive]) -> dict[str, bytes]:
    worst = sorted(potholes, key=lambda pothole: (*pothole.worst_first, pothole.id))[:WORST]
    pictures = {pothole.id: picture_of(pothole, drives) for pothole in worst}
    return {name: picture for name, picture in pictures.items() if picture is not None}


def add_command(commands: Any) -> None:
    """Add `survey` to the commands of `pothole`."""
    command = commands.add_parser("survey", help=survey.__doc__, description=survey.__doc__)
    command.add_argument(
        "report",
        type=Path,
        nargs="+",
        help=f"report of a video marked with a track, …{SUFFIX}, or a folder of them",
    )
    command.add_argument(
        "--output-dir",
        type=Path,
        default=Path("survey"),
        metavar="DIR",
        help="folder for the list (default: survey)",
    )
    command.add_argument("--title", default="Potholes", metavar="TEXT", help="what the page is called")
    command.set_defaults(run=survey)

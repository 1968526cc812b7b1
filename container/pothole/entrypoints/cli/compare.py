"""The command `pothole compare` says whether one model is better than another."""

import argparse
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from pothole.entrypoints.cli import common


def compare(args: argparse.Namespace) -> None:
    """Measure two models on the same data set, and say how sure their difference is."""
    # These need Keras, which takes seconds to import.
    from pothole.training import compare as comparing  # noqa: PLC0415
    from pothole.training.evaluate import Evaluation, figure_text  # noqa: PLC0415
    from pothole.training.regions import Regions  # noqa: PLC0415

    if args.json:
        common.check_target(args.json)
    regions = Regions.read([args.regions] if args.regions else [])
    max_pixels = common.read_settings().max_image_pixels
    evaluations = []
    for model in (args.first, args.second):
        detector = common.load_model(model)
        with common.progress_bar(str(model)) as update:
            evaluations.append(
                Evaluation.run(detector, args.data, update, max_pixels=max_pixels, regions=regions)
            )
    comparison = comparing.compare(*evaluations)
    columns = ["A", "B", "B − A", "90 % interval"]
    table = Table("", *(Column(name, justify="right") for name in columns), "", box=SIMPLE_HEAD)
    for name, (before, after, difference, interval) in comparing.rows(comparison):
        limits = "–" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
        change = "–" if difference is None else f"{difference:+.3f}"
        verdict = comparing.verdict(interval)
        table.add_row(name, figure_text(before), figure_text(after), change, limits, verdict)
    common.console.print(table, f"By draws of {comparison['scenes']} scenes.", sep="\n", highlight=False)
    common.write_json(args.json, comparison, quiet=True)


def add_command(commands: Any) -> None:
    """Add `compare` to the commands of `pothole`."""
    command = commands.add_parser("compare", help=compare.__doc__, description=compare.__doc__)
    command.add_argument("first", type=Path, metavar="A", help="model folder: what was there before")
    command.add_argument("second", type=Path, metavar="B", help="model folder: what may be better")
    command.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder with pictures and annotations"
    )
    common.add_regions_flag(command)
    command.add_argument("--json", type=Path, metavar="FILE", help="write the comparison here")
    command.set_defaults(run=compare)

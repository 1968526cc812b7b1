"""The command `pothole evaluate` says how good a model is on annotated pictures."""

import argparse
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from pothole.entrypoints.cli import common


def evaluate(args: argparse.Namespace) -> None:
    """Measure a model on a data set: COCO, VIA, labelme, Label Studio or CVAT."""
    common.check_folder(args.folder)
    # These need Keras, which takes seconds to import.
    from pothole.training import evaluate as measuring  # noqa: PLC0415
    from pothole.training.evaluation_page import check_page, write_page  # noqa: PLC0415
    from pothole.training.regions import Regions  # noqa: PLC0415

    if args.page:
        check_page(args.page)
    if args.json:
        common.check_target(args.json)
    regions = Regions.read([args.regions] if args.regions else [])
    detector = common.load_model(args.model)
    common.choose_sensitivity(detector, args.sensitivity)
    with common.progress_bar(str(args.folder)) as update:
        evaluation = measuring.Evaluation.run(
            detector,
            args.folder,
            update,
            args.min_confidence,
            common.read_settings().max_image_pixels,
            regions,
        )
    figures = evaluation.figures()
    precision = _figure_table("pictures", "potholes", "mask AP", "AP50", "box AP", "AP50")
    recall = _figure_table("precision", "recall", "F1", "false per negative picture")
    for group in measuring.groups(figures):
        for name, row in group:
            texts = [measuring.figure_text(row.get(key)) for key in measuring.FIGURE_KEYS]
            precision.add_row(name, *texts[:6], end_section=row is group[-1][1])
            recall.add_row(name, *texts[6:], end_section=row is group[-1][1])
    common.console.print(precision, measuring.SIZES_EXPLAINED, "", sep="\n", highlight=False)
    threshold = f"{evaluation.min_confidence:.2f}"
    common.console.print(
        f"Score threshold {threshold}; a mark is right from a mask IoU of 0.5 on:", highlight=False
    )
    sentences = [measuring.rule(figures), *measuring.fairness(figures)]
    common.console.print(recall, *sentences, sep="\n", highlight=False)
    common.write_json(args.json, figures, quiet=True)
    if args.page:
        with common.progress_bar(str(args.page)) as update:
            write_page(args.page, evaluation, figures, update)
        common.console.print(f"Pictures of what is true, missed and false: {args.page}", highlight=False)


def _figure_table(*columns: str) -> Table:
    return Table("", *(Column(name, justify="right") for name in columns), box=SIMPLE_HEAD)


def add_command(commands: Any) -> None:
    """Add `evaluate` to the commands of `pothole`."""
    command = commands.add_parser(
        "evaluate",
        parents=[common.model_flags(), common.confidence_flags()],
        help=evaluate.__doc__,
        description=evaluate.__doc__,
    )
    command.add_argument("folder", type=Path, help="folder with annotations, and the pictures in images/")
    common.add_regions_flag(command)
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    command.add_argument(
        "--page", type=Path, metavar="FILE", help="write an HTML page of what is true, missed and false"
    )
    command.set_defaults(run=evaluate)

"""The command `pothole calibrate` turns a model's scores into probabilities, and chooses thresholds."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pothole.entrypoints.cli import common

WRITTEN = ("calibration", "min_confidence", "min_confidence_low", "min_confidence_high")


def calibrate(args: argparse.Namespace) -> None:
    """Calibrate a model's scores on annotated pictures, and choose its score thresholds."""
    # These need Keras, which takes seconds to import.
    from pothole.detection.mask_rcnn.config import MaskRCNNConfig  # noqa: PLC0415
    from pothole.training.calibration import chosen  # noqa: PLC0415
    from pothole.training.evaluate import evaluate  # noqa: PLC0415
    from pothole.training.regions import Regions  # noqa: PLC0415

    config = MaskRCNNConfig.load(args.model_dir)
    common.check_target(args.model_dir / "config.json")
    regions = Regions.read([args.regions] if args.regions else [])
    detector = common.load_model(args.model_dir)
    with common.progress_bar(str(args.folder)) as update:
        figures = evaluate(detector, args.folder, update, common.read_settings().max_image_pixels, regions)
    config = chosen(config, figures)
    config.save(args.model_dir)
    values = asdict(config)
    common.write_json(None, {name: values[name] for name in WRITTEN})


def add_command(commands: Any) -> None:
    """Add `calibrate` to the commands of `pothole`."""
    command = commands.add_parser("calibrate", help=calibrate.__doc__, description=calibrate.__doc__)
    command.add_argument(
        "model_dir", type=Path, metavar="MODEL_DIR", help="model folder; its config.json changes"
    )
    command.add_argument(
        "folder", type=Path, help="pictures and annotations that the model was not trained on"
    )
    common.add_regions_flag(command)
    command.set_defaults(run=calibrate)

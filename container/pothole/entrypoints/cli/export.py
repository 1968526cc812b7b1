"""The command `pothole export` prepares a model for OpenVINO."""

import argparse
from pathlib import Path
from typing import Any

from pothole.entrypoints.cli import common
from pothole.errors import RequestError

CALIBRATION_PICTURES = 120
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def export_(args: argparse.Namespace) -> None:
    """Prepare a model folder for OpenVINO, which runs it fastest on CPUs."""
    common.check_folder(args.model_dir)
    pictures: list[Path] = []
    if args.calibrate:
        common.check_folder(args.calibrate)
        found = sorted(p for p in args.calibrate.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not found:
            raise RequestError(
                f"{args.calibrate} holds no picture.", hint="Name a folder with JPEG or PNG files."
            )
        pictures = found[:: max(1, len(found) // CALIBRATION_PICTURES)][:CALIBRATION_PICTURES]
    max_pixels = common.read_settings().max_image_pixels
    with common.silenced() as terminal, common.progress_bar("calibrating", terminal) as update:
        from pothole.detection.runtimes.export import export  # noqa: PLC0415  # TensorFlow takes seconds to import

        target = export(args.model_dir, pictures, max_pixels, update)
    print(target)


def add_command(commands: Any) -> None:
    """Add `export` to the commands of `pothole`."""
    command = commands.add_parser("export", help=export_.__doc__, description=export_.__doc__)
    command.add_argument("model_dir", type=Path, metavar="MODEL_DIR", help="model folder; gets openvino.xml")
    command.add_argument(
        "--calibrate",
        type=Path,
        metavar="DIR",
        help=f"compute in 8 bits, calibrated on {CALIBRATION_PICTURES} pictures in this folder (needs nncf)",
    )
    command.set_defaults(run=export_)

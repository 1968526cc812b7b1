"""The command `pothole export` prepares a model for OpenVINO."""

import argparse
from pathlib import Path
from typing import Any

from pothole.entrypoints.cli import common
from pothole.errors import RequestError
from pothole.files import PICTURE_SUFFIXES, is_output

CALIBRATION_PICTURES = 120


def export_(args: argparse.Namespace) -> None:
    """Prepare a model folder for OpenVINO, which runs it fastest on CPUs."""
    common.check_folder(args.model_dir)
    pictures: list[Path] = []
    if args.calibrate:
        common.check_folder(args.calibrate)
        pictures = _pictures(args.calibrate)
    max_pixels = common.read_settings().max_image_pixels
    with common.silenced() as terminal, common.progress_bar("calibrating", terminal) as update:
        from pothole.detection.runtimes.export import export  # noqa: PLC0415  # TensorFlow takes seconds to import

        target = export(args.model_dir, pictures, max_pixels, update)
    print(target)


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder to calibrate on, evenly from all of it."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES and not is_output(path.name)
    )
    if not found:
        raise RequestError(f"{folder} holds no picture.", hint="Name a folder with JPEG or PNG files.")
    count = min(len(found), CALIBRATION_PICTURES)
    return [found[number * len(found) // count] for number in range(count)]


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

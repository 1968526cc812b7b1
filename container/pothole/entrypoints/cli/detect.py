"""The command `pothole detect` finds the potholes of pictures."""

import argparse
from pathlib import Path
from typing import Any

from pothole.entrypoints.cli import common
from pothole.errors import RequestError
from pothole.files import readable, unique_stems
from pothole.media.picture import encode_picture, read_picture
from pothole.outputs.annotate import draw


def detect(args: argparse.Namespace) -> None:
    """Find the potholes of pictures."""
    settings = common.read_settings()
    for target in (args.json, args.output_dir and args.output_dir / "picture.jpg"):
        if target:
            common.check_target(target)
    detector = common.load_model(args.model)
    records = []
    for path, name in zip(args.picture, unique_stems(args.picture), strict=True):
        try:
            with path.open("rb") as file:
                image = read_picture(file, readable(path), settings.max_image_pixels)
        except OSError as exc:
            raise RequestError(f"{readable(path)} cannot be opened: {exc.strerror}.") from exc
        (found,) = detector.predict([image], args.min_confidence)
        records.append({"file": readable(path), "potholes": found.to_json()})
        common.console.print(f"{readable(path)}: {common.counted(len(found), 'pothole')}", markup=False)
        if args.output_dir:
            args.output_dir.mkdir(parents=True, exist_ok=True)
            draw(image, found)
            target = args.output_dir / f"{name}_output.jpg"
            target.write_bytes(encode_picture(image, "image/jpeg"))
            print(target)
    common.write_json(args.json, records, quiet=bool(args.output_dir))


def add_command(commands: Any) -> None:
    """Add `detect` to the commands of `pothole`."""
    command = commands.add_parser(
        "detect",
        parents=[common.model_flags(), common.confidence_flags()],
        help=detect.__doc__,
        description=detect.__doc__,
    )
    command.add_argument("picture", type=Path, nargs="+")
    command.add_argument("--output-dir", type=Path, metavar="DIR", help="write marked pictures here")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the detections here")
    command.set_defaults(run=detect)

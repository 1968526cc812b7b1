"""The command `pothole detect` finds the potholes of pictures."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pothole.detection.detector import Detector
from pothole.entrypoints.cli import common
from pothole.errors import RequestError
from pothole.files import readable, unique_stems
from pothole.media.picture import encode_picture, read_picture
from pothole.outputs.annotate import draw
from pothole.settings import Settings


def detect(args: argparse.Namespace) -> None:
    """Find the potholes of pictures."""
    settings = common.read_settings()
    for target in (args.json, args.output_dir and args.output_dir / "picture.jpg"):
        if target:
            common.check_target(target)
    detector = common.load_model(args.model)
    common.choose_sensitivity(detector, args.sensitivity)
    with common.progress_bar("pictures") as update:
        records = list(_records(args, detector, settings, update))
    _show(records)
    common.write_json(args.json, records, quiet=bool(args.output_dir))


def _records(
    args: argparse.Namespace, detector: Detector, settings: Settings, update: Callable[[int, int], None]
) -> Iterator[dict[str, Any]]:
    """Find the potholes of each picture, and write it marked where that is asked for."""
    names = unique_stems(args.picture)
    for number, (path, name) in enumerate(zip(args.picture, names, strict=True), start=1):
        try:
            with path.open("rb") as file:
                image = read_picture(file, readable(path), settings.max_image_pixels)
        except OSError as exc:
            raise RequestError(f"{readable(path)} cannot be opened: {exc.strerror}.") from exc
        (found,) = detector.predict([image], args.min_confidence)
        if args.output_dir:
            args.output_dir.mkdir(parents=True, exist_ok=True)
            draw(image, found)
            target = args.output_dir / f"{name}_output.jpg"
            target.write_bytes(encode_picture(image, "image/jpeg"))
            print(target)
        update(number, len(args.picture))
        yield {"file": readable(path), "potholes": found.to_json()}


def _show(records: Sequence[dict[str, Any]]) -> None:
    for record in records:
        found = common.counted(len(record["potholes"]), "pothole")
        common.console.print(f"{record['file']}: {found}", markup=False)


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

"""The command `pothole detect` finds the potholes of pictures."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pothole.detection.detector import Detector, score_threshold
from pothole.entrypoints.cli import common
from pothole.entrypoints.cli.videos import expanded
from pothole.errors import PotholeError, RequestError, SourceIsOutput, reason
from pothole.files import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_output, readable, replacing, unique_stems
from pothole.media.picture import encode_picture, read_comment, read_picture
from pothole.outputs.annotate import draw
from pothole.settings import Settings
from pothole.storage.pictures import natural
from pothole.types import Image


def detect(args: argparse.Namespace) -> None:
    """Find the potholes of pictures."""
    settings = common.read_settings()
    pictures = _find(args.picture)
    targets = _targets(pictures, args.output_dir)
    for target in (args.json, *targets.values()):
        if target:
            common.check_target(target)
    detector = common.load_model(args.model)
    common.choose_sensitivity(detector, args.sensitivity)
    comments = {path: _comment(path, detector, args.min_confidence) for path in pictures}
    if not args.overwrite:
        _check_outputs(targets, comments)
    records: list[dict[str, Any]] = []
    failures: list[PotholeError] = []
    with common.progress_bar("pictures") as update:
        for number, path in enumerate(pictures):
            update(number, len(pictures))
            try:
                image = _read(path, settings)
            except PotholeError as exc:
                failures.append(exc)
                continue
            (found,) = detector.predict([image], args.min_confidence)
            records.append({"file": readable(path), "potholes": found.to_json()})
            if target := targets.get(path):
                draw(image, found)
                with replacing(target) as whole:
                    whole.write_bytes(encode_picture(image, "image/jpeg", comment=comments[path]))
                print(target)
        update(len(pictures), len(pictures))
    if len(pictures) == len(failures) == 1:
        raise failures[0]
    _show(records)
    common.write_json(args.json, records, quiet=bool(args.output_dir))
    common.exit_with(failures, len(pictures), "picture")


def _find(paths: Sequence[Path]) -> list[Path]:
    """Return the pictures named and those in the folders named, without pictures that are marked already."""
    pictures: dict[Path, None] = {}
    for path in expanded(paths):
        found = [path]
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise RequestError(f"{readable(path)} is a video.", hint="Mark videos with `pothole mark`.")
        if path.is_dir():
            named = (p for p in path.iterdir() if not p.name.startswith("."))  # as macOS's `._a.jpg`
            inside = (p for p in named if p.suffix.lower() in PICTURE_SUFFIXES)
            found = sorted((p for p in inside if not is_output(p.name)), key=lambda p: natural(p.name))
            if not found:
                raise RequestError(f"{readable(path)} holds no picture.", hint="Name pictures.")
        pictures |= dict.fromkeys(found)
    unmarked = [picture for picture in pictures if not is_output(picture.name)]
    if not unmarked:
        raise SourceIsOutput(
            f"{readable(next(iter(pictures)))} already is marked.", "Name the picture that it was made of."
        )
    return unmarked


def _targets(pictures: Sequence[Path], folder: Path | None) -> dict[Path, Path]:
    """Return where each marked picture is written; nothing when there is no folder."""
    if folder is None:
        return {}
    names = unique_stems(pictures)
    return {path: folder / f"{name}_output.jpg" for path, name in zip(pictures, names, strict=True)}


def _comment(path: Path, detector: Detector, min_confidence: float | None) -> str:
    """Return the comment that says where a marked picture comes from, so that it can be recognised later."""
    threshold = score_threshold(detector, min_confidence)
    source = readable(path.absolute())
    return json.dumps({"source": source, "model": detector.name, "min_confidence": threshold})


def _check_outputs(targets: Mapping[Path, Path], comments: Mapping[Path, str]) -> None:
    """Raise `RequestError` when marked pictures of other pictures, or of other settings, are in the way."""
    for path, target in targets.items():
        if target.exists() and read_comment(target) != comments[path]:
            raise RequestError(
                f"{readable(target)} is there already, of another picture or of other settings.",
                hint="Name another --output-dir, or allow it with --overwrite.",
            )


def _read(path: Path, settings: Settings) -> Image:
    try:
        with path.open("rb") as file:
            return read_picture(
                file, readable(path), settings.max_image_pixels, max_scans=settings.max_jpeg_scans
            )
    except OSError as exc:
        raise RequestError(f"{readable(path)} cannot be opened: {reason(exc)}.") from exc


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
    command.add_argument("picture", type=Path, nargs="+", help="picture, or folder with pictures")
    command.add_argument("--output-dir", type=Path, metavar="DIR", help="write marked pictures here")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the detections here")
    command.add_argument(
        "--overwrite", action="store_true", help="replace outputs of other pictures or of other settings, too"
    )
    command.set_defaults(run=detect)

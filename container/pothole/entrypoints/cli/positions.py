"""The commands that mark videos share these flags on where the camera was, and how it looks at the road."""

import argparse
from pathlib import Path
from typing import Any

from pothole.errors import RequestError
from pothole.geo.plane import Camera

CAMERA = {"height": "height_m", "focal": "focal_px", "fov": "fov_deg", "horizon": "horizon_px"}


def add_flags(command: argparse.ArgumentParser) -> None:
    """Add `--track`, `--track-offset` and `--camera`."""
    command.add_argument(
        "--track",
        type=Path,
        metavar="FILE",
        help="GPX, NMEA or CSV file that says where the camera was (default: what the video itself says)",
    )
    command.add_argument(
        "--track-offset",
        type=float,
        metavar="S",
        help="move the positions to later by so many seconds (default: as the flow of the road says)",
    )
    command.add_argument(
        "--camera",
        type=camera,
        metavar="NAME=N,...",
        help="what you know of the camera: height (metres above the road), focal (pixels) or fov (degrees "
        "across), horizon (pixels from the top)",
    )


def camera(text: str) -> Camera:
    """Read what is known of a camera, such as `height=1.4,fov=70`."""
    given = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            given[CAMERA[name.strip()]] = float(value)
        except (KeyError, ValueError) as exc:
            known = ", ".join(f"{name}=N" for name in CAMERA)
            raise argparse.ArgumentTypeError(f"{part!r} is none of {known}") from exc
    try:
        return Camera.of(given)
    except RequestError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def job_fields(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a `Job` that the flags say."""
    track = args.track.absolute() if args.track else None
    return {
        "track": track.name if track else None,
        "track_bucket": str(track.parent) if track else None,
        "track_offset_s": args.track_offset,
        "camera": args.camera,
    }

"""Render synthetic roads with known potholes.

python -m roads video OUT.mp4 --frames 300 --seed 1 --size 1280x720 --rate 30
python -m roads dataset DIR --pictures 200 --seed 1 --size 640x384
"""

import argparse
from fractions import Fraction
from pathlib import Path

from roads.output import write_dataset, write_video
from roads.trip import Receiver, Trip
from roads.world import Road


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        "roads", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)

    video = commands.add_parser("video", help="a video, and beside it OUT.truth.json")
    video.add_argument("out", type=Path, help="an .mp4")
    video.add_argument("--frames", type=int, default=300)
    video.add_argument(
        "--rate", type=Fraction, default=Fraction(30), help="frames a second, such as 30000/1001"
    )
    video.add_argument("--speed", type=float, default=10.0, help="metres a second")
    video.add_argument("--vary", type=float, default=0.0, help="part by which the speed changes, such as 0.3")
    video.add_argument("--gpx", action="store_true", help="write OUT.gpx, what a receiver says of the drive")
    video.add_argument(
        "--gps-noise", type=float, default=0.0, help="metres by which it is off along each axis"
    )
    video.add_argument("--gps-lag", type=float, default=0.0, help="seconds by which it comes late")
    video.add_argument("--gps-dropout", type=_span, action="append", default=[], help="FROM-TO in seconds")
    video.add_argument("--potholes", type=int, default=15, help="number along the way")
    video.add_argument("--decoys", type=float, default=0.5, help="cracks, patches, stains … a metre")
    video.add_argument("--count-area", type=int, default=400, help="pixels from which a pothole counts")
    video.add_argument("--sound", action="store_true", help="add a sine tone")

    dataset = commands.add_parser("dataset", help="images/ and COCO annotations.json")
    dataset.add_argument("out", type=Path, help="a folder")
    dataset.add_argument("--pictures", type=int, default=200)
    dataset.add_argument("--negatives", type=float, default=0.25, help="share of pictures with decoys only")

    for command, size in ((video, "1280x720"), (dataset, "640x384")):
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--size", type=_size, default=_size(size), help="WIDTHxHEIGHT in pixels")
    given = parser.parse_args(arguments)

    if given.command == "dataset":
        write_dataset(given.out, given.pictures, given.seed, given.size, given.negatives)
        print(f"{given.out}: {given.pictures} pictures")
        return
    length = given.speed * given.frames / float(given.rate)
    road = Road(given.seed, given.size, length, given.potholes, given.decoys)
    receiver = Receiver(given.gps_noise, given.gps_lag, tuple(given.gps_dropout)) if given.gpx else None
    trip = Trip(given.speed, given.vary)
    truth = write_video(
        given.out, road, given.frames, given.rate, trip, given.count_area, given.sound, receiver
    )
    print(f"{given.out}: {given.frames} frames, {truth['potholes']} potholes")


def _span(text: str) -> tuple[float, float]:
    begin, _, end = text.partition("-")
    try:
        return float(begin), float(end)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not FROM-TO, such as 12-15") from exc


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 1280x720")
    return int(height), int(width)


if __name__ == "__main__":
    main()

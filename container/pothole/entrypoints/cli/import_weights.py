"""The command `pothole import` takes over weights of Matterport's Mask R-CNN."""

import argparse
from pathlib import Path
from typing import Any

from pothole.detection.matterport.operation import read_operation
from pothole.entrypoints.cli import common

FLAGS: dict[str, tuple[type, str, str]] = {
    "--image-min-dim": (int, "IMAGE_MIN_DIM", "shorter side that pictures are enlarged to (800)"),
    "--image-max-dim": (int, "IMAGE_MAX_DIM", "side of the network's square input (1024)"),
    "--min-confidence": (float, "DETECTION_MIN_CONFIDENCE", "lowest score that counts (0.7)"),
    "--max-detections": (int, "DETECTION_MAX_INSTANCES", "most detections in a picture (100)"),
    "--nms-threshold": (float, "DETECTION_NMS_THRESHOLD", "overlap from which a detection goes (0.3)"),
}


def import_(args: argparse.Namespace) -> None:
    """Make a model folder from weights of Matterport's Mask R-CNN."""
    changes: dict[str, Any] = {name: getattr(args, name) for _, name, _ in FLAGS.values()}
    changes["CLASS_NAMES"] = args.class_names and args.class_names.split(",")
    operation = read_operation(args.config, {k: v for k, v in changes.items() if v is not None})
    with common.silenced():
        from pothole.detection.matterport.importer import import_weights  # noqa: PLC0415  # Keras takes seconds to import

        import_weights(args.weights, operation, args.model_dir, args.archive)
    print(args.model_dir)
    if args.archive:
        print(args.archive)


def add_command(commands: Any) -> None:
    """Add `import` to the commands of `pothole`."""
    command = commands.add_parser("import", help=import_.__doc__, description=import_.__doc__)
    command.add_argument("weights", type=Path, metavar="WEIGHTS.h5", help="from save_weights or save")
    command.add_argument("model_dir", type=Path, metavar="MODEL_DIR", help="new folder for the model")
    command.add_argument("--archive", type=Path, metavar="FILE", help="write it as a .tar.gz, too")
    command.add_argument("--config", type=Path, metavar="FILE", help="JSON with names of mrcnn/config.py")
    command.add_argument("--class-names", metavar="A,B", help="without the background, in their order")
    for flag, (kind, name, text) in FLAGS.items():
        command.add_argument(flag, dest=name, type=kind, metavar="N", help=text)
    command.set_defaults(run=import_)

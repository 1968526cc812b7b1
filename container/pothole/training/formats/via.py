"""VGG Image Annotator 2 (VIA) writes projects, and exports regions."""

from collections.abc import Iterable
from pathlib import PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pothole.training.coco import TRUE, CocoBuilder, reading
from pothole.training.shapes import ellipse, rectangle
from pothole.types import Json


def matches(content: Any) -> bool:
    """Say whether a file's JSON is VIA's."""
    pictures = content.get("_via_img_metadata", content) if isinstance(content, dict) else None
    return (
        isinstance(pictures, dict)
        and bool(pictures)
        and all(isinstance(p, dict) and {"filename", "regions"} <= p.keys() for p in pictures.values())
    )


def read(content: Json, coco: CocoBuilder) -> None:
    """Read a VIA 2 project, or the regions that VIA exports.

    A region's label is made of all its attributes, with commas between them: nobody can know which of them
    is the class.
    """
    for picture in content.get("_via_img_metadata", content).values():
        image = coco.add_picture(PureWindowsPath(picture["filename"]).as_posix())
        regions = picture["regions"]
        for number, region in enumerate(regions.values() if isinstance(regions, dict) else regions):
            with reading(f"regions[{number}] of {picture['filename']}"):
                label = ", ".join(_values(region.get("region_attributes") or {}))
                coco.add_region(image, label.strip(" ,"), [_polygon(region["shape_attributes"])])


def _values(attributes: Json) -> Iterable[str]:
    for name, value in attributes.items():
        if isinstance(value, dict):  # check boxes: {"pothole": true}
            yield from (str(choice) for choice, ticked in value.items() if ticked)
        elif str(value).casefold() in TRUE:  # {"pothole": "yes"}
            yield name
        elif value is not None:
            yield str(value).strip()


def _polygon(shape: Json) -> NDArray[np.float64]:
    match shape["name"]:
        case "polygon" | "polyline":
            xs, ys = shape["all_points_x"], shape["all_points_y"]
            if len(xs) != len(ys):
                raise ValueError(f"{len(xs)} numbers in all_points_x, {len(ys)} in all_points_y")
            return np.column_stack([np.array(xs, np.float64), np.array(ys, np.float64)])
        case "rect":
            x, y = float(shape["x"]), float(shape["y"])
            return rectangle((x, y), (x + shape["width"], y + shape["height"]))
        case "circle":
            return ellipse((shape["cx"], shape["cy"]), shape["r"], shape["r"])
        case "ellipse":
            return ellipse((shape["cx"], shape["cy"]), shape["rx"], shape["ry"], shape.get("theta", 0.0))
        case "point":
            return np.array([[shape["cx"], shape["cy"]]], np.float64)
    raise ValueError(f"unknown shape {shape['name']!r}")

"""CVAT exports pictures and their shapes as XML ("CVAT for images 1.1")."""

import math
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from pothole.errors import DatasetError
from pothole.training.coco import CocoBuilder, reading
from pothole.training.polygons import Polygon, mask_polygons
from pothole.training.shapes import ellipse, rectangle, turned

SHAPES = {"box", "polygon", "polyline", "ellipse", "mask"}


def matches(content: Any) -> bool:
    """Say whether a file's XML is CVAT's."""
    return isinstance(content, Element) and content.tag == "annotations"


def read(content: Element, coco: CocoBuilder) -> None:
    """Read pictures; shapes of one label and group are one object.

    Raises:
        DatasetError: It is of a video.
    """
    if content.find("track") is not None:
        raise DatasetError("It is of a video.", 'Export it as "CVAT for images" or COCO, with the pictures.')
    for picture in content.iter("image"):
        name = picture.attrib["name"]
        with reading(f"The image {name}"):
            size = {side: int(picture.attrib[side]) for side in ("width", "height")}
            subset = picture.get("subset")  # of a project, with a folder for each
            image = coco.add_picture(f"{subset}/{name}" if subset else name, **size)
            objects: dict[Any, list[NDArray[np.float64] | Polygon]] = {}
            for number, shape in enumerate(picture):
                if shape.tag not in SHAPES:
                    coco.left_out[shape.tag] += 1
                else:
                    label, group = shape.get("label", ""), shape.get("group_id", "0")
                    key = (label, group, number if group == "0" else None)
                    objects.setdefault(key, []).extend(_polygons(shape))
            for (label, *_), polygons in objects.items():
                coco.add_region(image, label, polygons)


def _polygons(shape: Element) -> list[NDArray[np.float64] | Polygon]:
    def number(name: str) -> float:
        return float(shape.attrib[name])

    theta = math.radians(float(shape.get("rotation", "0")))
    match shape.tag:
        case "box":
            low, high = (number("xtl"), number("ytl")), (number("xbr"), number("ybr"))
            centre = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
            return [turned(rectangle(low, high), centre, theta)]
        case "ellipse":
            return [ellipse((number("cx"), number("cy")), number("rx"), number("ry"), theta)]
        case "mask":
            return list(_outlines(shape))
    points = [point.split(",") for point in shape.attrib["points"].split(";")]
    return [np.array(points, np.float64).reshape(-1, 2)]


def _outlines(shape: Element) -> list[Polygon]:
    """Return the outlines of a mask: run lengths row by row in its box, from zeros on."""
    left, top, width, height = (int(float(shape.attrib[n])) for n in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.attrib["rle"].split(",")]
    if sum(runs) != width * height or min(runs) < 0:
        raise ValueError("rle does not fill the mask")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return mask_polygons(values.reshape(height, width), (left, top))

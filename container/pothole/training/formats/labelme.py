"""labelme writes a file for each picture."""

import base64
import binascii
import math
from io import BytesIO
from pathlib import PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pothole.media.picture import read_picture
from pothole.settings import Settings
from pothole.training.coco import CocoBuilder, reading
from pothole.training.polygons import mask_polygons
from pothole.training.shapes import ellipse, rectangle
from pothole.types import Json


def matches(content: Any) -> bool:
    """Say whether a file's JSON is labelme's."""
    return isinstance(content, dict) and {"shapes", "imagePath"} <= content.keys()


def read(content: Json, coco: CocoBuilder) -> None:
    """Read labelme's file of one picture; shapes of one label and group are one object."""
    size = {"width": content.get("imageWidth"), "height": content.get("imageHeight")}
    name = PureWindowsPath(content["imagePath"]).name
    image = coco.add_picture(name, **{k: v for k, v in size.items() if v is not None})
    objects: dict[Any, list[NDArray[np.float64]]] = {}
    for number, shape in enumerate(content["shapes"]):
        with reading(f"shapes[{number}]"):
            label, group = str(shape.get("label") or ""), shape.get("group_id")
            key = (label, group, number if group is None else None)
            objects.setdefault(key, []).extend(_polygons(shape))
    for (label, *_), polygons in objects.items():
        coco.add_region(image, label, polygons)


def _polygons(shape: Json) -> list[NDArray[np.float64]]:
    points = np.array(shape["points"], np.float64).reshape(-1, 2)
    match shape.get("shape_type") or "polygon":
        case "rectangle":
            return [rectangle(points.min(axis=0), points.max(axis=0))]
        case "circle":  # the centre and a point of the edge
            radius = math.dist(points[0], points[1])
            return [ellipse((points[0, 0], points[0, 1]), radius, radius)]
        case "mask":  # a PNG over the box that the points span
            try:
                coded = base64.b64decode(shape["mask"], validate=True)
            except binascii.Error as exc:
                raise ValueError(f"mask is not base64: {exc}") from exc
            mask = read_picture(BytesIO(coded), "mask", Settings().max_image_pixels)[..., 0]
            return [p + points.min(axis=0) for p in mask_polygons(mask > 0, (0, 0))]
    return [points]

"""The files of labelling tools are read as COCO: COCO itself, VGG Image Annotator 2 (VIA), labelme.

Which one it is shows in the content, not in the name.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.errors import DatasetError, TooLarge
from pothole.training.coco import normalised
from pothole.training.polygons import mask_polygons

Json = dict[str, Any]

EXPECTED = (
    "Expected annotations.json in COCO's form, VIA 2's via_region_data.json, or labelme's file of each"
    " picture, with the pictures beside it or in images/."
)
MAX_BYTES = 2**30
"""Largest annotation file."""

CURVE = 32
"""Corners of the polygon that a circle or an ellipse becomes."""


def read_annotations(folder: Path) -> Json:
    """Read the annotations of a folder, whichever tool wrote them.

    Returns:
        COCO's `images`, `annotations` and `categories`; what labels stand for is left to the caller.

    Raises:
        DatasetError: There are none, or a file is none of those known; names it.
        TooLarge: A file is larger than `MAX_BYTES`.
    """
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}.")
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DatasetError(f"{folder} holds no annotations.", EXPECTED)
    contents = {path: parse_json(path) for path in files}
    readers = {path: _reader(path, content) for path, content in contents.items()}
    if len(files) > 1 and set(readers.values()) != {_read_labelme}:
        raise DatasetError(
            f"{files[0]} and {files[1].name} both hold annotations.",
            "Keep one file in a folder; only labelme has one for each picture.",
        )
    coco = _Coco()
    for path, content in contents.items():
        try:
            readers[path](content, coco)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as exc:
            raise DatasetError(f"{path} cannot be read as annotations: {exc!r}.", EXPECTED) from exc
    try:
        return normalised(coco.json)
    except DatasetError as exc:
        raise exc.about(str(files[0] if len(files) == 1 else folder)) from exc


def parse_json(path: Path) -> Any:
    """Read a file of annotations as JSON.

    Raises:
        DatasetError: It cannot be read; names it.
        TooLarge: It is larger than `MAX_BYTES`.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TooLarge(f"{path} is larger than {MAX_BYTES} bytes.", "Split the data set.")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        if isinstance(exc, TooLarge):
            raise
        raise DatasetError(f"{path} cannot be read as JSON: {exc}.", EXPECTED) from exc


def _reader(path: Path, content: Any) -> "Callable[[Json, _Coco], None]":
    if isinstance(content, dict):
        if {"images", "annotations"} <= content.keys():
            return _read_coco
        if {"shapes", "imagePath"} <= content.keys():
            return _read_labelme
        pictures = content.get("_via_img_metadata", content)
        if (
            isinstance(pictures, dict)
            and pictures
            and all(isinstance(p, dict) and {"filename", "regions"} <= p.keys() for p in pictures.values())
        ):
            return _read_via
    raise DatasetError(f"{path} is not an annotation file that is known here.", EXPECTED)


class _Coco:
    """This is COCO's form, filled picture by picture."""

    def __init__(self) -> None:
        self.json: Json = {"images": [], "annotations": [], "categories": []}
        self._categories: dict[str, int] = {}

    def add_picture(self, file_name: str, **fields: Any) -> int:
        number = len(self.json["images"]) + 1
        self.json["images"].append({"id": number, "file_name": file_name, **fields})
        return number

    def add_region(self, image: int, label: str, polygons: Iterable[NDArray[np.float64]]) -> None:
        region: Json = {"image_id": image, "segmentation": [p.ravel().tolist() for p in polygons]}
        if label:
            if label not in self._categories:
                self._categories[label] = len(self._categories) + 1
                self.json["categories"].append({"id": self._categories[label], "name": label})
            region["category_id"] = self._categories[label]
        self.json["annotations"].append(region)


def _read_coco(content: Json, coco: _Coco) -> None:
    coco.json = content


def _read_via(content: Json, coco: _Coco) -> None:
    """Read a VIA 2 project, or the regions that VIA exports.

    A region's label is made of all its attributes: nobody can know which of them is the class.
    """
    for picture in content.get("_via_img_metadata", content).values():
        image = coco.add_picture(PureWindowsPath(picture["filename"]).as_posix())
        regions = picture["regions"]
        for region in regions.values() if isinstance(regions, dict) else regions:
            label = " ".join(_via_values(region.get("region_attributes") or {}))
            coco.add_region(image, label.strip(), [_via_polygon(region["shape_attributes"])])


def _via_values(attributes: Json) -> Iterable[str]:
    for value in attributes.values():
        if isinstance(value, dict):  # a check box: {"pothole": true}
            yield from (str(name) for name, ticked in value.items() if ticked)
        else:
            yield str(value).strip()


def _via_polygon(shape: Json) -> NDArray[np.float64]:
    match shape["name"]:
        case "polygon" | "polyline":
            return np.array(list(zip(shape["all_points_x"], shape["all_points_y"], strict=True)), np.float64)
        case "rect":
            x, y = float(shape["x"]), float(shape["y"])
            return _rectangle((x, y), (x + shape["width"], y + shape["height"]))
        case "circle":
            return _ellipse((shape["cx"], shape["cy"]), shape["r"], shape["r"])
        case "ellipse":
            return _ellipse((shape["cx"], shape["cy"]), shape["rx"], shape["ry"], shape.get("theta", 0.0))
        case "point":
            return np.array([[shape["cx"], shape["cy"]]], np.float64)
    raise ValueError(f"unknown shape {shape['name']!r}")


def _read_labelme(content: Json, coco: _Coco) -> None:
    """Read labelme's file of one picture; shapes of one label and group are one object."""
    size = {"width": content.get("imageWidth"), "height": content.get("imageHeight")}
    name = PureWindowsPath(content["imagePath"]).name
    image = coco.add_picture(name, **{k: v for k, v in size.items() if v is not None})
    objects: dict[Any, list[NDArray[np.float64]]] = {}
    for number, shape in enumerate(content["shapes"]):
        label, group = shape.get("label") or "", shape.get("group_id")
        key = (label, group, number if group is None else None)
        objects.setdefault(key, []).extend(_labelme_polygons(shape))
    for (label, *_), polygons in objects.items():
        coco.add_region(image, label, polygons)


def _labelme_polygons(shape: Json) -> list[NDArray[np.float64]]:
    points = np.array(shape["points"], np.float64).reshape(-1, 2)
    match shape.get("shape_type") or "polygon":
        case "rectangle":
            return [_rectangle(points.min(axis=0), points.max(axis=0))]
        case "circle":  # the centre and a point of the edge
            radius = math.dist(points[0], points[1])
            return [_ellipse((points[0, 0], points[0, 1]), radius, radius)]
        case "mask":  # a PNG over the box that the points span
            try:
                coded = np.frombuffer(base64.b64decode(shape["mask"], validate=True), np.uint8)
            except binascii.Error as exc:
                raise ValueError(f"mask is not base64: {exc}") from exc
            mask = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE) if len(coded) else None
            if mask is None:
                raise ValueError("mask is not a picture")
            return [p + points.min(axis=0) for p in mask_polygons(mask > 0, (0, 0))]
    return [points]


def _rectangle(low: Any, high: Any) -> NDArray[np.float64]:
    return np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float64)


def _ellipse(centre: Sequence[float], rx: float, ry: float, theta: float = 0.0) -> NDArray[np.float64]:
    """`theta` turns it clockwise, in radians."""
    angle = np.linspace(0.0, 2.0 * math.pi, CURVE, endpoint=False)
    x, y = float(rx) * np.cos(angle), float(ry) * np.sin(angle)
    cos, sin = math.cos(theta), math.sin(theta)
    return np.stack([centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos], axis=1)

"""Annotated pictures are written as files that labelling tools open and `train` reads.

    FOLDER/
        images/clip_000123.jpg
        annotations.json            COCO: polygons, boxes, areas
        via/via_region_data.json    the same polygons for VGG Image Annotator 2

The second stands in a folder of its own, since a data set has one truth: whoever corrects it puts it in the
place of the first.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pothole.detections import Detections
from pothole.errors import RequestError
from pothole.files import replacing
from pothole.media.picture import encode_picture
from pothole.storage import file_errors
from pothole.training.polygons import Polygon, mask_polygons
from pothole.types import Image

JPEG_QUALITY = 95
CATEGORY = 1


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder that becomes `path` when the body succeeds, and is removed when it fails.

    Raises:
        RequestError: `path` exists.
        AccessDenied: It may not be made or written.
        StorageUnavailable: Making or writing it failed.
    """
    if path.is_symlink() or path.exists():
        raise RequestError(f"{path} exists already.", "Name a folder that does not: nothing is overwritten.")
    with file_errors(path), replacing(path.absolute()) as whole:
        whole.mkdir()
        yield whole


class LabelWriter:
    """A label writer writes pictures one by one, and at the end their annotations.

    Args:
        folder: Where to; exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._coco: dict[str, Any] = {
            "info": {"description": "Potholes as a model found them: to be corrected before use"},
            "images": [],
            "annotations": [],
            "categories": [{"id": CATEGORY, "name": "pothole"}],
        }
        self._via: dict[str, Any] = {}
        (folder / "images").mkdir()

    def add(self, name: str, image: Image, found: Detections, about: Mapping[str, Any]) -> None:
        """Write a picture.

        Args:
            name: Its file name, unique in the folder.
            image: `(height, width, 3)` uint8 RGB.
            found: Its potholes; what has no polygon is left out.
            about: More fields of COCO's record, such as `source`.
        """
        coded = encode_picture(image, "image/jpeg", JPEG_QUALITY)
        (self._folder / "images" / name).write_bytes(coded)
        height, width = image.shape[:2]
        image_id = len(self._coco["images"]) + 1
        self._coco["images"].append(
            {"id": image_id, "file_name": name, "width": width, "height": height, **about}
        )
        regions = []
        for score, mask, (left, top, _, _) in zip(found.scores, found.masks, found.mask_boxes, strict=True):
            polygons = mask_polygons(mask, (int(left), int(top)))
            if polygons:
                record = _coco_record(polygons, int(mask.sum()))
                number = len(self._coco["annotations"]) + 1
                self._coco["annotations"].append(
                    {"id": number, "image_id": image_id, **record, "score": round(float(score), 4)}
                )
                regions += [_via_region(polygon) for polygon in polygons]
        # VIA knows a picture by its name and its size in bytes, and drops one whose key is another.
        self._via[f"{name}{len(coded)}"] = {
            "filename": name,
            "size": len(coded),
            "regions": regions,
            "file_attributes": {key: str(value) for key, value in about.items()},
        }

    def finish(self) -> None:
        """Write the annotations."""
        (self._folder / "annotations.json").write_text(json.dumps(self._coco), encoding="utf-8")
        (self._folder / "via").mkdir()
        (self._folder / "via" / "via_region_data.json").write_text(json.dumps(self._via), encoding="utf-8")


def _coco_record(polygons: list[Polygon], area: int) -> dict[str, Any]:
    rounded = [polygon.round(2).tolist() for polygon in polygons]
    xs, ys = ([point[axis] for polygon in rounded for point in polygon] for axis in (0, 1))
    return {
        "category_id": CATEGORY,
        "iscrowd": 0,
        "bbox": [min(xs), min(ys), round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)],
        "area": area,
        "segmentation": [[value for point in polygon for value in point] for polygon in rounded],
    }


def _via_region(polygon: Polygon) -> dict[str, Any]:
    xs, ys = polygon.round(2).T.tolist()
    return {
        "shape_attributes": {"name": "polygon", "all_points_x": xs, "all_points_y": ys},
        "region_attributes": {"label": "pothole"},
    }

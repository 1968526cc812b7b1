"""A data set is pictures with instance masks, which are checked before anything is learnt from them."""

import logging
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pothole.errors import DatasetError, InvalidMedia, TooLarge, reason
from pothole.media.picture import picture_size, read_picture
from pothole.settings import Settings
from pothole.training.annotations import read_annotations
from pothole.training.augment import Polygons
from pothole.training.coco import is_pothole
from pothole.training.picture_files import PictureFiles
from pothole.training.polygons import mask_polygons

_logger = logging.getLogger(__name__)

MAX_PICTURES = 1_000_000
MAX_PIXELS = Settings().max_image_pixels
MAX_LABELS = 30  # labels that the log names at most
FAR = 10
"""Corners more than this many times the picture's longer side away are a mistake, and costly to rasterise."""


@dataclass(frozen=True)
class Sample:
    """A sample is a picture of a data set.

    Attributes:
        id: Its COCO id.
        path: The file.
        source: Where it comes from; "" when the data set does not say.
        polygons: Per object its polygons, each `(n, 2)` float32 x, y in pixels.
        ignored: COCO's run lengths (RLE) of where a mark is neither right nor wrong; None for nowhere.
    """

    id: int
    path: Path
    source: str
    polygons: tuple[Polygons, ...]
    ignored: dict[str, Any] | None = None


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as `(height, width, 3)` uint8 RGB.

    Raises:
        InvalidMedia: The file is missing or is not a picture.
    """
    try:
        with path.open("rb") as file:
            return read_picture(file, str(path), sys.maxsize)  # its size was checked before
    except OSError as exc:
        raise InvalidMedia(f"{path} cannot be opened: {reason(exc)}.") from exc


def read_dataset(folder: Path, max_pixels: int = MAX_PIXELS) -> tuple[list[Sample], dict[str, Any]]:
    """Read a folder of pictures and their annotations: COCO, VIA, labelme, Label Studio or CVAT.

    A region is a pothole when it has no label, or one that has "pothole" in it; cracks, patches and the like
    are background. Regions without area inside their picture are left out, too; of both the log tells.

    Args:
        folder: With annotations in it or in `annotations/`, and the pictures in it or below.
        max_pixels: Largest `width * height` of a picture.

    Returns:
        The samples, and the potholes as COCO's JSON.

    Raises:
        DatasetError: The annotations cannot be read or do not fit the pictures; names the file.
        SourceNotFound: A picture that they name is missing.
        InvalidMedia: A file is not a picture.
        TooLarge: A picture or the number of them is above its limit.
    """
    coco = read_annotations(folder)
    try:
        return _Reader(folder, coco, max_pixels).read()
    except (KeyError, TypeError, AttributeError) as exc:
        raise DatasetError(f"The annotations in {folder} are incomplete: {reason(exc)}.") from exc


class _Reader:
    """A reader turns COCO's JSON of a folder into samples, and counts what it leaves out."""

    def __init__(self, folder: Path, coco: dict[str, Any], max_pixels: int) -> None:
        self.folder = folder
        self.coco = coco
        self.max_pixels = max_pixels
        self.labels = {c["id"]: str(c["name"]) for c in coco["categories"]}
        self.other_labels: Counter[str] = Counter()
        self.without_area: Counter[str] = Counter()
        self.boxes = self.crowds = 0

    def read(self) -> tuple[list[Sample], dict[str, Any]]:
        images = self.coco["images"]
        if len(images) > MAX_PICTURES:
            raise TooLarge(f"{self.folder} lists {len(images)} pictures, above the limit of {MAX_PICTURES}.")
        regions: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in images}
        for region in self.coco["annotations"]:
            regions[region["image_id"]].append(region)
        files, paths = PictureFiles(self.folder), set[Path]()
        samples, pictures = [], []
        potholes: list[dict[str, Any]] = []
        for image in images:
            path = files.find(image["file_name"])
            if path in paths:
                raise DatasetError(f"{self.folder} lists {image['file_name']} twice.")
            paths.add(path)
            size = self._check_size(path, image)
            objects, ignored = [], []
            for region in regions[image["id"]]:
                found = self._pothole(region, image["file_name"], size)
                if found is None:
                    continue
                polygons, rle, truth = found
                potholes.append({**truth, "id": len(potholes) + 1})
                if region.get("iscrowd"):
                    ignored.append(rle)
                else:
                    objects.append(polygons)
            merged = coco_mask.merge(ignored) if ignored else None
            samples.append(Sample(image["id"], path, image.get("source", ""), tuple(objects), merged))
            pictures.append({**image, "height": size[0], "width": size[1]})
        self._tell()
        categories = [{"id": 1, "name": "pothole"}]
        return samples, {"images": pictures, "annotations": potholes, "categories": categories}

    def _check_size(self, path: Path, image: dict[str, Any]) -> tuple[int, int]:
        height, width = size = picture_size(path)
        if width * height > self.max_pixels:
            raise TooLarge(
                f"{path} has {width}x{height} pixels, above the limit of {self.max_pixels}.",
                "Scale it and its annotations down, or raise MAX_IMAGE_PIXELS.",
            )
        stated = image.get("height", height), image.get("width", width)
        if stated != size:
            raise DatasetError(
                f"{path} has {width}x{height} pixels, its annotations are for {stated[1]}x{stated[0]}.",
                "Annotate the pictures as they are: neither scaled nor turned since.",
            )
        return size

    def _pothole(
        self, region: dict[str, Any], name: str, size: tuple[int, int]
    ) -> tuple[Polygons, dict[str, Any], dict[str, Any]] | None:
        """Return a region's polygons, run lengths and completed annotation; None when it does not count."""
        label = self.labels.get(region.get("category_id"), "")
        if label and not is_pothole(label):
            self.other_labels[label] += 1
            return None
        try:
            polygons, rle = rasterise(region["segmentation"], size)
        except (TypeError, ValueError, KeyError, OverflowError) as exc:
            raise DatasetError(
                f"The segmentation of a region of {name} in {self.folder} cannot be read: {reason(exc)}."
            ) from exc
        if not polygons or coco_mask.area(rle) == 0:
            self.without_area[name] += 1
            return None
        self.boxes += region.pop("is_box", False)
        self.crowds += region["iscrowd"]
        box, area = [float(v) for v in coco_mask.toBbox(rle)], float(coco_mask.area(rle))
        defaults = {"bbox": box, "area": area, "iscrowd": 0}
        return polygons, rle, {**defaults, **region, "category_id": 1}

    def _tell(self) -> None:
        if self.boxes:
            _logger.warning(
                "%s: %d potholes are boxes without an outline: the box is taken.", self.folder, self.boxes
            )
        if self.crowds:
            _logger.warning(
                "%s: %d regions are crowds (iscrowd): nothing is learnt there. CVAT's COCO calls all masks"
                " so; in its own XML they count.",
                self.folder,
                self.crowds,
            )
        if self.other_labels:
            listed = ", ".join(f"{label} ({n})" for label, n in self.other_labels.most_common(MAX_LABELS))
            more = len(self.other_labels) - MAX_LABELS
            told = f"{listed} and {more} more" if more > 0 else listed
            _logger.warning("%s: regions with these labels are background: %s", self.folder, told)
        if self.without_area:
            listed = ", ".join(f"{name} ({n})" for name, n in self.without_area.most_common(10))
            _logger.warning(
                "%s: regions without area inside their picture are left out: %s", self.folder, listed
            )


def rasterise(segmentation: Any, size: tuple[int, int]) -> tuple[Polygons, dict[str, Any]]:
    """Read COCO's `segmentation`: polygons, or run lengths (RLE), as a list or compressed.

    Args:
        segmentation: As in COCO's JSON.
        size: Picture `(height, width)`.

    Returns:
        Its polygons, each `(n, 2)` float32 x, y in pixels, and its mask as compressed run lengths. What has
        no three corners within `FAR` pictures is left out.

    Raises:
        ValueError: It is damaged, or made for another size.
    """
    if isinstance(segmentation, dict):
        if tuple(segmentation["size"]) != size:
            raise ValueError(f"its mask is for {segmentation['size']}, height first")
        rle = segmentation
        if isinstance(rle["counts"], list):
            rle = coco_mask.frPyObjects(rle, *size)
        mask = coco_mask.decode(rle)
        # Where the lengths do not fill the picture, pycocotools returns what was in memory, without a word.
        if mask.max(initial=0) > 1 or mask.sum() != coco_mask.area(rle):
            raise ValueError("its run lengths do not fill the picture")
        return tuple(mask_polygons(mask > 0, (0, 0))), rle
    corners = [np.array(p, np.float64).reshape(-1, 2) for p in segmentation]
    if not all(np.isfinite(p).all() for p in corners):
        raise ValueError("a corner is not a number")
    near = [p for p in corners if len(p) > 2 and np.abs(p).max() < FAR * max(size)]
    if not near:
        return (), coco_mask.encode(np.zeros(size, np.uint8, order="F"))
    rle = coco_mask.merge(coco_mask.frPyObjects([p.ravel().tolist() for p in near], *size))
    return tuple(p.astype(np.float32) for p in near), rle

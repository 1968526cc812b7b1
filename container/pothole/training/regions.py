"""Regions say of pictures in which part of the road potholes were marked at all, and where cracks are.

They come in COCO's form, in a file beside the data set: regions with the label `lane` and `crack`, of
pictures that are known by the names of their files. A mark outside a lane is neither right nor wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Any, Self

import numpy as np
from pycocotools import mask as coco_mask

from pothole.errors import DatasetError, TooLarge, reason
from pothole.training.annotations import parse_json
from pothole.training.coco import normalised
from pothole.training.dataset import Sample, rasterise

Rle = dict[str, Any]
"""A mask over a whole picture in pycocotools' compressed run lengths."""

LANE, CRACK = "lane", "crack"
EXPECTED = f"Expected COCO's form with the categories {LANE!r} and {CRACK!r}."

MIN_ON_CRACK = 0.05
"""Share of a mark's area on cracks from which it lies on them: cracks are thin."""


@dataclass(frozen=True)
class Regions:
    """Regions are parts of pictures, by the names of the pictures' files.

    Attributes:
        lanes: Where potholes were marked; a picture that is missing here was marked everywhere.
        cracks: Where cracks are labelled.
    """

    lanes: Mapping[str, Rle] = field(default_factory=dict)
    cracks: Mapping[str, Rle] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Say whether there are any regions."""
        return bool(self.lanes or self.cracks)

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Self:
        """Read files of regions.

        Raises:
            DatasetError: A file cannot be read, or holds other labels; names it.
            TooLarge: A file is too large.
        """
        lanes: dict[str, Rle] = {}
        cracks: dict[str, Rle] = {}
        for path in paths:
            try:
                found = _read(normalised(parse_json(path)))
            except (DatasetError, TooLarge) as exc:
                exc.about(str(path))
                raise
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as exc:
                raise DatasetError(f"{path} cannot be read as regions: {reason(exc)}.", EXPECTED) from exc
            lanes |= found[LANE]
            cracks |= found[CRACK]
        return cls(lanes, cracks)

    def of(self, samples: Iterable[Sample]) -> Self:
        """Return the regions of some pictures alone."""
        names = {sample.path.name for sample in samples}
        return replace(
            self,
            lanes={name: mask for name, mask in self.lanes.items() if name in names},
            cracks={name: mask for name, mask in self.cracks.items() if name in names},
        )

    def check(self, samples: Iterable[Sample]) -> None:
        """Check that all regions belong to pictures of a data set.

        Raises:
            DatasetError: No picture is named in them.
        """
        if self and not self.of(samples):
            raise DatasetError("The regions name none of the pictures.", "Name the file of this data set.")

    def ignore(self, samples: Iterable[Sample]) -> list[Sample]:
        """Return samples in which what lies outside a lane is ignored, too."""
        return [
            replace(sample, ignored=_merged([sample.ignored, outside(self.lanes[sample.path.name])]))
            if sample.path.name in self.lanes
            else sample
            for sample in samples
        ]

    def crowds(self, images: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return what lies outside of lanes as crowd annotations, for the pictures of COCO's `images`.

        Raises:
            DatasetError: A lane was made for another size of its picture.
        """
        return [
            _crowd(image, outside(self.lanes[name]))
            for image in images
            if (name := file_name(image)) in self.lanes
        ]

    def is_on_crack(self, mask: Rle, image: Mapping[str, Any]) -> bool:
        """Say whether a mask over a picture of COCO's `images` lies on a labelled crack."""
        crack = self.cracks.get(file_name(image))
        if crack is None:
            return False
        shared = float(coco_mask.area(coco_mask.merge([mask, crack], intersect=True)))
        return shared >= MIN_ON_CRACK * float(coco_mask.area(mask)) > 0


def file_name(image: Mapping[str, Any]) -> str:
    """Return the name of a picture's file, without its folder."""
    return PureWindowsPath(image["file_name"]).name


def outside(mask: Rle) -> Rle:
    """Return the mask of all that lies outside a mask."""
    return coco_mask.encode(np.asfortranarray(1 - coco_mask.decode(mask)))  # type: ignore[no-any-return]


def _read(coco: dict[str, Any]) -> dict[str, dict[str, Rle]]:
    labels = {category["id"]: category["name"].casefold() for category in coco["categories"]}
    images = {image["id"]: image for image in coco["images"]}
    masks: dict[str, dict[str, list[Rle]]] = {LANE: {}, CRACK: {}}
    for region in coco["annotations"]:
        label = labels.get(region.get("category_id"), "")
        if label not in masks:
            raise DatasetError(f"It has regions with the label {label!r}.", EXPECTED)
        image = images[region["image_id"]]
        _, mask = rasterise(region["segmentation"], (image["height"], image["width"]))
        masks[label].setdefault(file_name(image), []).append(mask)
    return {label: {name: _merged(of) for name, of in by.items()} for label, by in masks.items()}


def _merged(masks: Sequence[Rle | None]) -> Rle:
    return coco_mask.merge([mask for mask in masks if mask is not None])  # type: ignore[no-any-return]


def _crowd(image: Mapping[str, Any], mask: Rle) -> dict[str, Any]:
    if tuple(mask["size"]) != (image["height"], image["width"]):
        height, width = mask["size"]
        raise DatasetError(
            f"The regions of {image['file_name']} are for {width}x{height} pixels,"
            f" the picture has {image['width']}x{image['height']}."
        )
    box = [float(v) for v in coco_mask.toBbox(mask)]
    about = {"image_id": image["id"], "category_id": 1, "iscrowd": 1}
    return {**about, "segmentation": mask, "bbox": box, "area": float(coco_mask.area(mask))}

"""Pictures with COCO instance masks, augmented and packed for the learner."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from pothole.errors import InvalidMedia, RequestError
from pothole.training.augment import Augmentation, Polygons, paste_objects

MINI_MASK = 56
MAX_OBJECTS = 24


@dataclass(frozen=True)
class Sample:
    """A picture of a data set.

    Attributes:
        id: Its COCO id.
        path: The file.
        source: Where it comes from; "" when the data set does not say.
        polygons: Per object its polygons, each `(n, 2)` float32 x, y in pixels.
    """

    id: int
    path: Path
    source: str
    polygons: tuple[Polygons, ...]


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as `(height, width, 3)` uint8 RGB.

    Raises:
        InvalidMedia: The file is missing or is not a picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InvalidMedia(f"{path} cannot be read as a picture.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def read_coco(folder: Path) -> tuple[list[Sample], dict[str, Any]]:
    """Read `images/` and `annotations.json`.

    Returns:
        The samples, and the annotations as they stand in the file.

    Raises:
        RequestError: The file is missing or is not COCO.
    """
    path = folder / "annotations.json"
    try:
        coco = json.loads(path.read_text())
        objects: dict[int, list[Any]] = defaultdict(list)
        for annotation in coco["annotations"]:
            polygons = tuple(
                np.array(p, np.float32).reshape(-1, 2) for p in annotation["segmentation"] if len(p) >= 6
            )
            if polygons:
                objects[annotation["image_id"]].append(polygons)
        samples = [
            Sample(i["id"], folder / "images" / i["file_name"], i.get("source", ""), tuple(objects[i["id"]]))
            for i in coco["images"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise RequestError(
            f"{path} cannot be read as COCO annotations: {exc!r}.",
            "Expected a folder with images/ and annotations.json with polygon segmentations.",
        ) from exc
    if not samples:
        raise RequestError(f"{path} lists no pictures.")
    return samples, coco


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches for `fit`. Batch i of epoch e depends on the seed, e and i alone, whatever thread makes it."""

    def __init__(
        self,
        samples: Sequence[Sample],
        image_size: tuple[int, int],
        batch_size: int,
        weights: Sequence[float],
        batches: int,
        seed: int,
        augmentation: Augmentation,
        epoch: int = 0,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers, max_queue_size=8)
        self.samples = samples
        self.donors: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            if sample.polygons:
                self.donors[sample.source].append(sample)
        self.image_size = image_size
        self.batch_size = batch_size
        self.probabilities = np.array(weights, np.float64) / np.sum(weights)
        self.batches = batches
        self.seed = seed
        self.augmentation = augmentation
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def on_epoch_end(self) -> None:
        """Draw other pictures in the next epoch."""
        self.epoch += 1

    def __getitem__(self, index: int) -> tuple[dict[str, NDArray[Any]]]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        chosen = rng.choice(len(self.samples), self.batch_size, p=self.probabilities)
        items = [self._pack(self.samples[i], rng) for i in chosen]
        return ({name: np.stack([item[name] for item in items]) for name in items[0]},)

    def _pack(self, sample: Sample, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        image, objects = read_image(sample.path), list(sample.polygons)
        donors = self.donors[sample.source]
        if donors and rng.uniform() < self.augmentation.paste:
            donor = donors[rng.integers(len(donors))]
            image, objects = paste_objects(image, objects, read_image(donor.path), donor.polygons, rng)
        image, objects = self.augmentation(image, objects, self.image_size, rng)
        size = (image.shape[0], image.shape[1])
        packed: dict[str, NDArray[Any]] = {
            "images": image,
            "boxes": np.zeros((MAX_OBJECTS, 4), np.float32),
            "classes": np.zeros(MAX_OBJECTS, np.int32),
            "masks": np.zeros((MAX_OBJECTS, MINI_MASK, MINI_MASK), np.uint8),
        }
        found = [f for f in (mini_mask(polygons, size) for polygons in objects) if f is not None]
        for i, (box, mask) in enumerate(found[:MAX_OBJECTS]):
            packed["boxes"][i], packed["masks"][i], packed["classes"][i] = box, mask, 1
        return packed


def mini_mask(
    polygons: Sequence[NDArray[np.float32]], image_size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
    """Rasterise an object over its own box, cut at the picture's edge.

    Args:
        polygons: Each `(n, 2)` x, y in pixels.
        image_size: Picture `(height, width)`.

    Returns:
        The box xyxy and its mask `(MINI_MASK, MINI_MASK)` 0/1; None when less than two pixels are visible.
    """
    height, width = image_size
    points = np.concatenate(polygons)
    low = points.min(axis=0).clip(0, (width, height))
    high = points.max(axis=0).clip(0, (width, height))
    if (high - low < 2.0).any():
        return None
    scale = MINI_MASK / (high - low)
    mask = np.zeros((MINI_MASK, MINI_MASK), np.uint8)
    shift = 4  # cv2 takes fixed-point coordinates with this many fractional bits
    for polygon in polygons:
        at = ((polygon - low) * scale - 0.5) * (1 << shift)
        cv2.fillPoly(mask, [np.round(at).astype(np.int32)], 1, shift=shift)
    return np.concatenate([low, high]).astype(np.float32), mask

"""Pictures become batches for the learner: drawn, augmented and packed, their masks over their boxes."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pothole.training.augment import Augmentation, paste_objects
from pothole.training.dataset import Sample, read_image
from pothole.training.targets import CELL

MINI_MASK = 56
MAX_OBJECTS = 24
MIN_VISIBLE = 0.5
"""Share of an object's box in the window below which it is neither an example nor background."""


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """These are batches for `fit`. A batch depends on the seed and on its number since the start alone.

    Args:
        samples: The pictures to draw from.
        image_size: What a picture is fitted into, `(height, width)`.
        batch_size: Pictures in a batch.
        weights: How often each picture is drawn.
        batches: How many there are.
        seed: Of everything drawn.
        augmentation: How far pictures are changed.
        first: Number of the first batch, where a training was resumed.
        workers: Threads that read and augment pictures.

    Attributes:
        failure: What was raised last; TensorFlow buries its text in a long error of its own.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        image_size: tuple[int, int],
        batch_size: int,
        weights: Sequence[float],
        batches: int,
        seed: int,
        augmentation: Augmentation,
        first: int = 0,
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
        self.first = first
        self.failure: Exception | None = None

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index: int) -> tuple[dict[str, NDArray[Any]]]:
        rng = np.random.default_rng((self.seed, self.first + index))
        chosen = rng.choice(len(self.samples), self.batch_size, p=self.probabilities)
        try:
            items = [self._pack(self.samples[i], rng) for i in chosen]
        except Exception as exc:
            self.failure = exc
            raise
        return ({name: np.stack([item[name] for item in items]) for name in items[0]},)

    def _pack(self, sample: Sample, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        image, objects = read_image(sample.path), list(sample.polygons)
        donors = self.donors[sample.source]
        if donors and rng.uniform() < self.augmentation.paste:
            donor = donors[rng.integers(len(donors))]
            image, objects = paste_objects(image, objects, read_image(donor.path), donor.polygons, rng)
        ignored = None if sample.ignored is None else coco_mask.decode(sample.ignored)
        image, objects, ignored = self.augmentation(image, objects, self.image_size, rng, ignored)
        size = (image.shape[0], image.shape[1])
        packed: dict[str, NDArray[Any]] = {
            "images": image,
            "boxes": np.zeros((MAX_OBJECTS, 4), np.float32),
            "classes": np.zeros(MAX_OBJECTS, np.int32),
            "masks": np.zeros((MAX_OBJECTS, MINI_MASK, MINI_MASK), np.uint8),
        }
        visible = []
        for polygons in objects:
            found = mini_mask(polygons, size)
            if found is None:
                continue
            if kept_share(polygons, found[0]) < MIN_VISIBLE:
                left, top, right, bottom = np.rint(found[0]).astype(int)
                ignored[top : bottom + 1, left : right + 1] = 1
            else:
                visible.append(found)
        for i, (box, mask) in enumerate(visible[:MAX_OBJECTS]):
            packed["boxes"][i], packed["masks"][i], packed["classes"][i] = box, mask, 1
        packed["ignored"] = ignored[CELL // 2 :: CELL, CELL // 2 :: CELL]
        return packed


def kept_share(polygons: Sequence[NDArray[np.float32]], box: NDArray[np.float32]) -> float:
    """Return how much of an object's whole box is left in its box cut at the picture's edge."""
    points = np.concatenate(polygons)
    whole = np.prod(points.max(axis=0) - points.min(axis=0))
    return float(np.prod(box[2:] - box[:2]) / max(whole, 1e-6))


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

"""`Detections` is what the stages of a job hand on: the objects found in one picture.

Boxes are `xyxy` in pixels of the picture, x to the right, y down, the far edge exclusive.
Masks stay as small as their boxes until they are drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.types import Mask

NO_IDS: NDArray[np.int32] = np.zeros(0, np.int32)
"""Stands for "none given": all zeros, as many as there are objects."""

DEFAULT_CLASS_NAMES = ("pothole",)

ROUNDING = 1e-3  # by which a sure score may pass 1 in a network that counts with 16 bits


@dataclass(frozen=True)
class Detections:
    """Detections are N objects of one picture.

    Attributes:
        image_size: Picture `(height, width)` in pixels.
        boxes: `(N, 4)` float32, xyxy in pixels.
        scores: `(N,)` float32 in 0..1.
        masks: N boolean arrays; mask i covers `mask_boxes[i]`, with shape `(bottom - top, right - left)`.
        track_ids: `(N,)` int32, ids from 1 that are unique within a job; 0 is not (yet) a track.
        class_ids: `(N,)` int32, from 0, numbers of `class_names`.
        class_names: What the detector can tell apart.
    """

    image_size: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: tuple[Mask, ...]
    track_ids: NDArray[np.int32] = field(default_factory=lambda: NO_IDS)
    class_ids: NDArray[np.int32] = field(default_factory=lambda: NO_IDS)
    class_names: tuple[str, ...] = DEFAULT_CLASS_NAMES

    def __post_init__(self) -> None:
        count = len(self.scores)
        for name in ("track_ids", "class_ids"):
            if getattr(self, name) is NO_IDS:
                object.__setattr__(self, name, np.zeros(count, np.int32))
        expected: dict[str, tuple[int, ...]] = {
            "scores": (count,),
            "boxes": (count, 4),
            "track_ids": (count,),
            "class_ids": (count,),
        }
        for name, shape in expected.items():
            got = getattr(self, name).shape
            if got != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {got}")
        if not ((self.scores >= 0) & (self.scores <= 1 + ROUNDING)).all():
            raise ValueError(f"scores: expected 0 to 1, got {self.scores.tolist()}")
        if not np.isfinite(self.boxes).all():
            raise ValueError(f"boxes: expected finite numbers, got {self.boxes.tolist()}")
        if count and not 0 <= self.class_ids.min() <= self.class_ids.max() < len(self.class_names):
            got = sorted(set(self.class_ids.tolist()))
            raise ValueError(f"class_ids: expected 0 to {len(self.class_names) - 1}, got {got}")
        if len(self.masks) != count:
            raise ValueError(f"masks: expected {count}, got {len(self.masks)}")
        for i, (mask, (left, top, right, bottom)) in enumerate(zip(self.masks, self.mask_boxes, strict=True)):
            if mask.shape != (bottom - top, right - left):
                raise ValueError(
                    f"masks[{i}]: expected shape {(bottom - top, right - left)}, got {mask.shape}"
                )

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> "Detections":
        """Return the detections of a picture without objects."""
        return cls(image_size, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())

    @property
    def mask_boxes(self) -> NDArray[np.int32]:
        """Return each mask's area: boxes of whole pixels in the picture, `(N, 4)` int32 xyxy."""
        return pixel_boxes(self.boxes, self.image_size)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: NDArray[Any] | Sequence[int]) -> "Detections":
        """Select by an index array or a boolean array."""
        chosen = np.arange(len(self))[np.asarray(index, dtype=None if len(index) else np.intp)]
        return replace(
            self,
            boxes=self.boxes[chosen],
            scores=self.scores[chosen],
            masks=tuple(self.masks[i] for i in chosen),
            track_ids=self.track_ids[chosen],
            class_ids=self.class_ids[chosen],
        )

    @property
    def labels(self) -> list[str]:
        """Return the name of each object's class."""
        return [self.class_names[i] for i in self.class_ids]

    def to_json(self) -> list[dict[str, Any]]:
        """Return a record for each object: `box` xyxy, `score`, `track_id`, `polygons` in pixels."""
        return list(self._records())

    def picture_json(self) -> dict[str, Any]:
        """Return the record of the whole picture: its objects as `output`, and the size of the `image`."""
        height, width = self.image_size
        return {"output": self.to_json(), "image": {"width": width, "height": height}}

    def _records(self) -> Iterator[dict[str, Any]]:
        for label, box, score, track_id, mask, (left, top, _, _) in zip(
            self.labels, self.boxes, self.scores, self.track_ids, self.masks, self.mask_boxes, strict=True
        ):
            contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
            polygons = [(c[:, 0, :] + (left, top)).ravel().tolist() for c in contours if len(c) >= 3]
            yield {
                "label": label,
                "score": round(float(score), 4),
                "box": [round(float(v), 1) for v in box],
                "area": int(mask.sum()),
                "track_id": int(track_id) or None,
                "polygons": polygons,
            }


def pixel_boxes(boxes: NDArray[np.float32], image_size: tuple[int, int]) -> NDArray[np.int32]:
    """Grow boxes to whole pixels and cut them at the picture's edge.

    Args:
        boxes: `(N, 4)` xyxy in pixels.
        image_size: Picture `(height, width)`.

    Returns:
        `(N, 4)` int32 xyxy, the far edge exclusive.
    """
    height, width = image_size
    low = np.floor(boxes[:, :2])
    high = np.ceil(boxes[:, 2:])
    grown = np.concatenate([low, high], axis=1)
    whole: NDArray[np.int32] = np.clip(grown, 0, [width, height, width, height]).astype(np.int32)
    return whole

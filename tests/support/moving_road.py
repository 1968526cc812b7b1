"""A flat road seen from a car that drives ahead, with potholes whose place in each picture is known."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pothole.detections import Detections, pixel_boxes
from pothole.media import Frame
from support.clips import frame_of

CAMERA_HEIGHT = 1.3
PIXELS_PER_METRE = 60


@cache
def texture() -> NDArray[np.uint8]:
    """20 m of road in grey, as seen from above."""
    rng = np.random.default_rng(3)
    coarse = cv2.resize(rng.normal(0, 14, (60, 60)), (1200, 1200), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.normal(0, 60, (1200, 1200)), (0, 0), 1.5)
    return np.clip(120 + coarse + fine, 0, 255).astype(np.uint8)


@dataclass
class MovingRoad:
    """A drive at constant speed.

    Attributes:
        potholes: `(x, z, radius)` in metres: to the right, ahead of the first picture, and size.
        rate: Pictures a second.
        speed: Metres a second.
        size: Picture `(height, width)`.
    """

    potholes: list[tuple[float, float, float]]
    rate: int = 30
    speed: float = 10.0
    size: tuple[int, int] = (360, 640)

    def picture(self, index: int) -> tuple[Frame, Detections]:
        """Picture `index`, and its potholes with their numbers, from 1, as track ids."""
        height, width = self.size
        focal, horizon, driven = 0.8 * width, 0.3 * height, self.speed * index / self.rate
        rows = np.maximum(np.arange(height, dtype=np.float32) - horizon, 0.5)[:, None]
        z = np.broadcast_to(focal * CAMERA_HEIGHT / rows, self.size)
        x = (np.arange(width, dtype=np.float32) - width / 2) * z / focal
        where = [(v * PIXELS_PER_METRE % 1199).astype(np.float32) for v in (x, z + driven)]
        grey = cv2.remap(texture(), where[0], where[1], cv2.INTER_LINEAR)
        grey[: int(horizon)] = 200

        boxes, masks, ids = [], [], []
        angles = np.linspace(0, 2 * np.pi, 40)
        for number, (x0, z0, radius) in enumerate(self.potholes, 1):
            depth = z0 - driven + radius * np.sin(angles)
            if depth.min() < 0.5:
                continue
            u = width / 2 + focal * (x0 + radius * np.cos(angles)) / depth
            v = horizon + focal * CAMERA_HEIGHT / depth
            mask = np.zeros(self.size, np.uint8)
            cv2.fillPoly(mask, [np.stack([u, v], 1).round().astype(np.int32)], 1)
            if mask.sum() < 30:
                continue
            grey[mask.astype(bool)] //= 2
            left, top, w, h = cv2.boundingRect(mask)
            boxes.append((left, top, left + w, top + h))
            masks.append(mask[top : top + h, left : left + w].astype(bool))
            ids.append(number)
        return frame_of(grey, index, self.rate), Detections(
            image_size=self.size,
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            scores=np.full(len(boxes), 0.9, np.float32),
            masks=tuple(masks),
            track_ids=np.array(ids, np.int32),
        )


def rectangles(size: tuple[int, int], boxes: np.ndarray, scores: np.ndarray | float = 0.9) -> Detections:
    """Potholes that fill their boxes."""
    boxes = boxes.astype(np.float32)
    return Detections(
        image_size=size,
        boxes=boxes,
        scores=np.broadcast_to(np.float32(scores), len(boxes)),
        masks=tuple(np.ones((b - t, r - l), bool) for l, t, r, b in pixel_boxes(boxes, size)),  # noqa: E741
    )


def both(a: Detections, b: Detections) -> Detections:
    return Detections(
        image_size=a.image_size,
        boxes=np.concatenate([a.boxes, b.boxes]),
        scores=np.concatenate([a.scores, b.scores]),
        masks=(*a.masks, *b.masks),
    )

"""Marks potholes in a picture: translucent mask, outline, box and a label such as "pothole 0.98 #12"."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import ImageFont

from pothole.detections import Detections, Mask
from pothole.detector import Image

Color = tuple[int, int, int]
Area = tuple[int, int, int, int]  # xyxy, the far edge exclusive

# RGB. Far from the grey of a road and, one after the other, from each other; dark text is legible on each.
PALETTE: tuple[Color, ...] = (
    (255, 176, 0),
    (0, 205, 255),
    (255, 105, 180),
    (150, 235, 40),
    (190, 150, 255),
    (255, 112, 67),
    (0, 230, 175),
    (255, 240, 80),
    (110, 165, 255),
    (255, 150, 160),
)
TEXT_COLOR: Color = (16, 16, 16)
MASK_OPACITY = 0.4

# The picture's short side over these gives pixels.
LINE_DIVISOR = 400
TEXT_DIVISOR = 38
MIN_LINE = 1
MIN_TEXT = 12


def draw(image: Image, detections: Detections) -> None:
    """Mark the potholes in place.

    A track keeps its colour; a pothole without a track id has no "#…". Works on the potholes' own areas only.

    Args:
        image: `(height, width, 3)` uint8 RGB, contiguous; is changed.
        detections: Of this picture.
    """
    short_side = min(image.shape[:2])
    line = max(MIN_LINE, round(short_side / LINE_DIVISOR))
    colors = [PALETTE[(max(int(i), 1) - 1) % len(PALETTE)] for i in detections.track_ids]
    boxes = detections.mask_boxes.tolist()
    for color, mask, (left, top, right, bottom) in zip(colors, detections.masks, boxes, strict=True):
        if mask.size:
            _tint(image[top:bottom, left:right], mask, color)
    for color, mask, (left, top, right, bottom) in zip(colors, detections.masks, boxes, strict=True):
        contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(image, contours, -1, color, line, cv2.LINE_AA, offset=(left, top))
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), color, line)
    # Last, so that nothing is drawn over a label.
    taken: list[Area] = []
    for color, score, track_id, box in zip(
        colors, detections.scores, detections.track_ids, boxes, strict=True
    ):
        text = f"pothole {score:.2f}" + (f" #{track_id}" if track_id else "")
        _place(image, label(text, max(MIN_TEXT, round(short_side / TEXT_DIVISOR)), color), box, taken)


def _tint(area: Image, mask: Mask, color: Color) -> None:
    tinted = cv2.addWeighted(area, 1 - MASK_OPACITY, np.full_like(area, color), MASK_OPACITY, 0)
    cv2.copyTo(tinted, mask.view(np.uint8), area)


@lru_cache(maxsize=256)
def label(text: str, height: int, color: Color) -> Image:
    """Return a text of so many pixels in height on its coloured ground."""
    ink = ImageFont.load_default(height).getmask(text)
    width, rows = ink.size
    margin = max(2, height // 4)
    alpha = np.pad(
        np.asarray(ink, np.float32).reshape(rows, width, 1) / 255, ((margin, margin),) * 2 + ((0, 0),)
    )
    return np.round(color + alpha * (np.array(TEXT_COLOR) - color)).astype(np.uint8)


def _place(image: Image, patch: Image, box: list[int], taken: list[Area]) -> None:
    """Put a label above its box, or else around it, so that it covers no other and stays in the picture."""
    patch = patch[: image.shape[0], : image.shape[1]]
    height, width = patch.shape[:2]
    left, top, right, bottom = box
    corners = [
        (left, top - height),
        (left, bottom),
        (right, top),
        (left - width, top),
        (left, top - 2 * height),
    ]
    limits = image.shape[1] - width, image.shape[0] - height
    inside = [(min(max(x, 0), limits[0]), min(max(y, 0), limits[1])) for x, y in corners]
    areas = [(x, y, x + width, y + height) for x, y in inside]
    area = next((a for a in areas if not any(_overlap(a, other) for other in taken)), areas[0])
    image[area[1] : area[3], area[0] : area[2]] = patch
    taken.append(area)


def _overlap(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

"""Objects are marked in a picture by a translucent mask, an outline, a box and a label.

Everything is drawn on planes of one channel, so that the same code marks pictures in RGB and frames in luma
and chroma, which need not become RGB for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np
from PIL import ImageFont

from pothole.detections import Detections
from pothole.geo.flow import Flow
from pothole.media.frame import Frame, rgb_to_yuv
from pothole.types import Area, Color, Image, Mask, Plane

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


@dataclass(frozen=True)
class _Canvas:
    """A canvas is what is drawn on: the planes of a picture.

    Attributes:
        planes: Channels, each `(height, width)` uint8 or smaller.
        steps: Pixels of the picture to one of each plane, along an axis.
        size: Picture `(height, width)`.
        matrix: Of YUV, see `Frame`; None for RGB.
    """

    planes: Sequence[Plane]
    steps: Sequence[int]
    size: tuple[int, int]
    matrix: int | None


class MarkedFrame:
    """A marked frame is a frame with what is to be marked in it.

    Args:
        frame: As it came from the source.
        detections: The marks.
        short_labels: See `marked`.
        flow: How the road moved up to this frame, where that was measured.

    Attributes:
        detections: The same.
        flow: The same.
        plain: The frame as it came.
    """

    def __init__(
        self, frame: Frame, detections: Detections, short_labels: bool = False, flow: Flow | None = None
    ) -> None:
        self.detections, self.flow = detections, flow
        self.plain, self._short_labels = frame, short_labels
        self._marked: Frame | None = None

    @property
    def index(self) -> int:
        """Return the frame's number, counted from 0."""
        return self.plain.index

    @property
    def time(self) -> Fraction:
        """Return the seconds since the first frame."""
        return self.plain.time

    @property
    def picture(self) -> Frame:
        """Return the frame with its marks drawn, which is done once, when it is asked for."""
        if self._marked is None:
            self._marked = marked(self.plain, self.detections, self._short_labels)
        return self._marked


def draw(image: Image, detections: Detections, short_labels: bool = False) -> None:
    """Mark the objects of a picture in place.

    A track keeps its colour; an object without a track id has no "#…".

    Args:
        image: `(height, width, 3)` uint8 RGB; is changed.
        detections: Of this picture.
        short_labels: See `marked`.
    """
    if len(detections):
        planes = [np.ascontiguousarray(image[..., i]) for i in range(3)]
        _draw(_Canvas(planes, (1, 1, 1), (image.shape[0], image.shape[1]), None), detections, short_labels)
        image[:] = np.stack(planes, axis=2)


def marked(frame: Frame, detections: Detections, short_labels: bool = False) -> Frame:
    """Return a frame with its objects marked; the frame itself where there are none.

    Args:
        frame: Is not changed.
        detections: Of this frame.
        short_labels: Leave the class out of the labels where there is but one.
    """
    if not len(detections):
        return frame
    copy = frame.copy()
    _draw(_Canvas(copy.planes, (1, 2, 2), frame.size, frame.picture.colorspace), detections, short_labels)
    return copy


def _draw(canvas: _Canvas, detections: Detections, short_labels: bool = False) -> None:
    short_side = min(canvas.size)
    line = max(MIN_LINE, round(short_side / LINE_DIVISOR))
    colors = [PALETTE[(max(int(i), 1) - 1) % len(PALETTE)] for i in detections.track_ids]
    values = [_value(color, canvas.matrix) for color in colors]
    boxes = detections.mask_boxes.tolist()
    for value, mask, box in zip(values, detections.masks, boxes, strict=True):
        _tint(canvas, mask, box, value)
    for value, mask, box in zip(values, detections.masks, boxes, strict=True):
        _outline(canvas, mask, box, value, line)
    # Labels come last, so that nothing is drawn over one.
    taken: list[Area] = []
    names_class = not short_labels or len(detections.class_names) > 1
    for color, name, score, track_id, box in zip(
        colors, detections.labels, detections.scores, detections.track_ids, boxes, strict=True
    ):
        text = (f"{name} " if names_class else "") + f"{score:.2f}" + (f" #{track_id}" if track_id else "")
        text_size = max(MIN_TEXT, round(short_side / TEXT_DIVISOR))
        patches = _label(text, text_size, color, canvas.matrix, tuple(canvas.steps))
        area = _place(patches[0].shape, canvas.size, box, taken)
        _paste(canvas, patches, area)
        taken.append(area)


def _tint(canvas: _Canvas, mask: Mask, box: Sequence[int], value: Sequence[int]) -> None:
    for plane, step, channel in zip(canvas.planes, canvas.steps, value, strict=True):
        # A plane takes the pixels of the picture that are at a place of one of its own.
        left, top = -(-box[0] // step), -(-box[1] // step)
        inside = mask[top * step - box[1] :: step, left * step - box[0] :: step]
        area = plane[top : top + inside.shape[0], left : left + inside.shape[1]]
        if inside.size:
            tinted = cv2.addWeighted(area, 1 - MASK_OPACITY, np.full_like(area, channel), MASK_OPACITY, 0)
            cv2.copyTo(tinted, np.ascontiguousarray(inside).view(np.uint8), area)


def _outline(canvas: _Canvas, mask: Mask, box: Sequence[int], value: Sequence[int], line: int) -> None:
    left, top, right, bottom = box
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for plane, step, channel in zip(canvas.planes, canvas.steps, value, strict=True):
        width = max(MIN_LINE, round(line / step))
        scaled = [(contour + np.array((left, top), np.int32)) // step for contour in contours]
        cv2.drawContours(plane, scaled, -1, channel, width, cv2.LINE_AA)
        corner = (right - 1) // step, (bottom - 1) // step
        cv2.rectangle(plane, (left // step, top // step), corner, channel, width)


def _paste(canvas: _Canvas, patches: Sequence[Plane], area: Area) -> None:
    left, top, right, bottom = area
    for plane, step, patch in zip(canvas.planes, canvas.steps, patches, strict=True):
        rows = slice(top // step, top // step - (top - bottom) // step)
        columns = slice(left // step, left // step - (left - right) // step)
        part = plane[rows, columns]
        part[:] = patch[: part.shape[0], : part.shape[1]]


@lru_cache
def _value(color: Color, matrix: int | None) -> list[int]:
    """Return a colour's value in each plane."""
    return [int(value) for value in _converted(np.array([[color]], np.uint8), matrix)[0, 0]]


@lru_cache(maxsize=256)
def _label(text: str, height: int, color: Color, matrix: int | None, steps: tuple[int, ...]) -> list[Plane]:
    """Return a label's pixels for each plane."""
    channels = cv2.split(_converted(label(text, height, color), matrix))
    return [
        np.asarray(
            cv2.resize(c, (-(-c.shape[1] // s), -(-c.shape[0] // s)), interpolation=cv2.INTER_AREA), np.uint8
        )
        for c, s in zip(channels, steps, strict=True)
    ]


def _converted(image: Image, matrix: int | None) -> Image:
    return image if matrix is None else rgb_to_yuv(image, matrix)


def label(text: str, height: int, color: Color) -> Image:
    """Return a picture of a text, so many pixels high, on its coloured ground."""
    ink = ImageFont.load_default(height).getmask(text)
    width, rows = ink.size
    margin = max(2, height // 4)
    alpha = np.pad(
        np.asarray(ink, np.float32).reshape(rows, width, 1) / 255, ((margin, margin),) * 2 + ((0, 0),)
    )
    return np.round(color + alpha * (np.array(TEXT_COLOR) - color)).astype(np.uint8)


def _place(patch: tuple[int, ...], picture: tuple[int, int], box: Sequence[int], taken: list[Area]) -> Area:
    """Return where a label goes: above its box or near it, inside the picture and over no other label."""
    height, width = min(patch[0], picture[0]), min(patch[1], picture[1])
    left, top, right, bottom = box
    corners = [
        (left, top - height),
        (left, bottom),
        (right, top),
        (left - width, top),
        (left, top - 2 * height),
    ]
    limits = picture[1] - width, picture[0] - height
    inside = [(min(max(x, 0), limits[0]), min(max(y, 0), limits[1])) for x, y in corners]
    areas = [(x, y, x + width, y + height) for x, y in inside]
    return next((a for a in areas if not any(_overlap(a, other) for other in taken)), areas[0])


def _overlap(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

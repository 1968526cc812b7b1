"""A frame is one picture of a video as it is coded: planes of luma and chroma.

A frame is turned into RGB only where someone looks at it, and then mostly a small one, whose planes are
scaled first: to turn each whole frame of 1280 × 720 would cost a third of what it takes to decode it.

Legend: Y: luma, U, V: chroma, half as high and wide, rounded up.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from pothole.types import Image, Plane

PIXEL_FORMAT = "yuv420p"

# YUV matrices: code points of ITU-T H.273, as FFmpeg numbers them.
MATRIX_BT709 = 1
MATRIX_BT601 = 6
# Weights of red and blue in luma.
LUMA_WEIGHTS = {
    MATRIX_BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    MATRIX_BT601: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
YUV_OF_BLACK = np.array([16, 128, 128])


@dataclass(frozen=True)
class Frame:
    """A frame is one picture of a video.

    Attributes:
        index: Counted from 0.
        pts: Time stamp in the video's `time_base`, greater than the one before.
        time: Seconds since the first frame.
        picture: Upright, 8-bit 4:2:0, limited range. May be shared with the decoder, which still looks at it:
            write into a `copy` alone.
    """

    index: int
    pts: int
    time: Fraction
    picture: av.VideoFrame

    @property
    def size(self) -> tuple[int, int]:
        """Return `(height, width)` in pixels."""
        return self.picture.height, self.picture.width

    @property
    def planes(self) -> tuple[Plane, Plane, Plane]:
        """Return Y `(height, width)`, U and V as uint8 views of the picture."""
        return planes(self.picture)

    def rgb(self, size: tuple[int, int] | None = None) -> Image:
        """Return the picture in RGB.

        Args:
            size: Smaller `(height, width)` to scale to; its own when None.

        Returns:
            `(height, width, 3)` uint8 RGB, a copy.
        """
        height, width = size or self.size
        scaled = [_scaled(plane, (width, height)) for plane in self.planes]
        return np.asarray(cv2.transform(cv2.merge(scaled), _to_rgb(self.picture.colorspace)), np.uint8)

    def copy(self) -> "Frame":
        """Return a copy of the frame, in memory of its own, to draw on."""
        picture = empty_like(self.picture, self.size)
        for target, source in zip(planes(picture), self.planes, strict=True):
            target[:] = source
        return Frame(self.index, self.pts, self.time, picture)


def matrix_of(picture: av.VideoFrame) -> int:
    """Return the YUV matrix of a picture, or the one that players assume when it does not say."""
    if picture.colorspace in LUMA_WEIGHTS:
        return picture.colorspace
    return MATRIX_BT709 if picture.width > 1024 or picture.height > 576 else MATRIX_BT601


def planes(picture: av.VideoFrame) -> tuple[Plane, Plane, Plane]:
    """Return Y, U and V of a 4:2:0 picture as views."""
    y, u, v = (
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]  # type: ignore[call-overload]
        for plane in picture.planes
    )
    return y, u, v


def rgb_to_yuv(image: Image, matrix: int) -> Image:
    """Convert a small RGB picture, each pixel by itself.

    Args:
        image: `(height, width, 3)` uint8 RGB.
        matrix: H.273 code point.

    Returns:
        `(height, width, 3)` uint8 YUV, limited range.
    """
    weights = _to_yuv(matrix)
    return np.asarray(np.round(image @ weights.T + YUV_OF_BLACK), np.uint8)


def _to_yuv(matrix: int) -> NDArray[np.float64]:
    """Return the weights `(3, 3)` of RGB in YUV of limited range (ITU-T H.273, eq. 20 to 25 and 38 to 40)."""
    red, blue = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[MATRIX_BT601])
    luma = np.array([red, 1 - red - blue, blue])
    of_blue, of_red = ((np.eye(3)[i] - luma) / (2 * (1 - luma[i])) for i in (2, 0))
    return np.stack([luma * 219, of_blue * 224, of_red * 224]) / 255


@lru_cache
def _to_rgb(matrix: int) -> NDArray[np.float64]:
    """Return the weights `(3, 4)` of YUV of limited range, and of 1, in RGB."""
    weights = np.linalg.inv(_to_yuv(matrix))
    return np.column_stack([weights, -weights @ YUV_OF_BLACK])


def _scaled(plane: Plane, size: tuple[int, int]) -> Plane:
    """Scale a plane to a size `(width, height)`, first by halves, which is the fastest way."""
    while plane.shape[1] >= 2 * size[0] and plane.shape[0] >= 2 * size[1]:
        half = -(-plane.shape[1] // 2), -(-plane.shape[0] // 2)
        plane = np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8)
    if plane.shape == size[::-1]:
        return plane
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def empty_like(picture: av.VideoFrame, size: tuple[int, int]) -> av.VideoFrame:
    """Return a 4:2:0 picture of a size `(height, width)`, its pixels undefined, in the colours of another."""
    empty = av.VideoFrame(size[1], size[0], PIXEL_FORMAT)
    empty.colorspace, empty.color_range = picture.colorspace, ColorRange.MPEG
    return empty


@dataclass(frozen=True)
class Orientation:
    """An orientation says how a stored picture becomes upright: first transposed, then flipped."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False
    rotation: int = 0

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """Read the display matrix, which takes (x, y) to (a x + c y, b x + d y), rounded to right angles."""
        turned = round(frame.rotation / 90) * 90 % 360
        try:
            matrix = cast(SideDataContainer, frame.side_data).get("DISPLAYMATRIX")
        except ValueError:  # beside a kind that PyAV has no name for, such as a JPEG's EXIF
            return cls(turned in {90, 270}, turned in {180, 270}, turned in {90, 180}, turned)
        if matrix is None:
            return cls()
        a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
        transposed = abs(b) > abs(a)
        x, y = (c, b) if transposed else (a, d)
        return cls(transposed, x < 0, y < 0, turned)

    def apply(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Turn a stored 4:2:0 picture upright."""
        if not (self.transposed or self.mirrored or self.upside_down):
            return picture
        size = picture.height, picture.width
        upright = empty_like(picture, size[::-1] if self.transposed else size)
        for target, source in zip(planes(upright), planes(picture), strict=True):
            target[:] = self._turned(source)
        return upright

    def _turned(self, plane: Plane) -> Plane:
        if self.transposed:
            plane = np.asarray(cv2.transpose(plane), np.uint8)
        if self.mirrored or self.upside_down:
            axis = -1 if self.mirrored and self.upside_down else int(self.mirrored)
            plane = np.asarray(cv2.flip(plane, axis), np.uint8)
        return plane

"""This module turns decoded pictures into those that are worked on: upright, and of one size and kind."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pothole.media.frame import PIXEL_FORMAT, YUV_OF_BLACK, Orientation, empty_like, matrix_of, planes
from pothole.media.tone_mapping import ToneMapper, is_hdr, shown_colors

# The defaults of reformat() darken by 1 level of 255 each time.
UNBIASED = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# libswscale's numbers of the YUV matrices, by those of H.273.
SCALER_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}


class Upright:
    """This class makes each picture upright, 8-bit 4:2:0 of limited range, like the first in size and matrix.

    A stream may change all of that on the way, and the output cannot. Pictures of another shape are shown
    whole, between black bars; those of high dynamic range are tone-mapped.

    Args:
        first: The first picture.
        aspect: Width of its pixels to their height.
    """

    def __init__(self, first: av.VideoFrame, aspect: Fraction) -> None:
        self._size = first.width, first.height
        self._aspect = aspect
        self._matrix = shown_colors(first)[0]
        self._orientation = Orientation.of(first)
        self._to_420 = VideoReformatter()
        self._to_sdr = ToneMapper()

    def __call__(self, picture: av.VideoFrame, aspect: Fraction) -> av.VideoFrame:
        """Return the picture, upright; `aspect` is that of its pixels as they are stored."""
        picture.colorspace = matrix_of(picture)
        inner = self._fitting(picture, aspect)
        if is_hdr(picture):
            picture = self._to_sdr(picture)
        as_needed = picture.format.name == PIXEL_FORMAT and (picture.width, picture.height) == inner
        if not as_needed or picture.color_range == ColorRange.JPEG or picture.colorspace != self._matrix:
            picture = self._to_420.reformat(
                picture,
                *inner,
                PIXEL_FORMAT,
                dst_colorspace=SCALER_MATRICES[self._matrix],
                interpolation=UNBIASED,
                dst_color_range=ColorRange.MPEG,
            )
            picture.colorspace = self._matrix
        if inner != self._size:
            picture = self._between_bars(picture)
        return self._orientation.apply(picture)

    def _fitting(self, picture: av.VideoFrame, aspect: Fraction) -> tuple[int, int]:
        """Return the size `(width, height)` in which a picture keeps its shape."""
        width, height = self._size
        if (picture.width, picture.height) == self._size:
            return self._size
        wide = picture.width * aspect / self._aspect  # in pixels as wide as the output's
        scale = min(width / wide, Fraction(height, picture.height))
        inner = round(wide * scale), round(picture.height * scale)
        if width - inner[0] <= 2 and height - inner[1] <= 2:
            return self._size
        return max(2, inner[0] // 2 * 2), max(2, inner[1] // 2 * 2)

    def _between_bars(self, picture: av.VideoFrame) -> av.VideoFrame:
        width, height = self._size
        whole = empty_like(picture, (height, width))
        left, top = (width - picture.width) // 4 * 2, (height - picture.height) // 4 * 2
        for target, source, black in zip(planes(whole), planes(picture), YUV_OF_BLACK, strict=True):
            target[:] = black
            x, y = (left, top) if target.shape == (height, width) else (left // 2, top // 2)
            target[y : y + source.shape[0], x : x + source.shape[1]] = source
        return whole

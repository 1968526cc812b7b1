"""What a video is: `VideoInfo`, its `Frame`, and how its pictures are stored."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import Interpolation

from pothole.detector import Image
from pothole.video.audio import audio_streams

# The defaults of reformat() darken by 1 level of 255 each time.
UNBIASED = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# YUV matrices: code points of ITU-T H.273, as FFmpeg numbers them.
MATRIX_BT709 = 1
MATRIX_BT601 = 6
KNOWN_MATRICES = {MATRIX_BT709, 4, 5, MATRIX_BT601, 7, 9}

DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself.

    Attributes:
        width: Pixels, upright.
        height: Pixels, upright.
        rate: Average frames per second.
        time_base: Seconds per unit of `pts`.
        start: `pts` of the first frame.
        duration_s: Declared length in seconds, of the pictures alone where the file knows it, or None.
        frame_count: Declared number of frames, None when the file has no exact one.
        rotation: Degrees counter-clockwise by which the stored pictures are turned.
        codec: Name of the codec, e.g. `h264`.
        pixel_format: FFmpeg's name, e.g. `yuv420p10le`.
        has_audio: Whether there is an audio track.
        sample_aspect_ratio: Width of a pixel to its height, upright.
        color_matrix: YUV matrix, H.273 code point; the one that players assume when the file does not say.
        color_primaries: H.273 code point.
        color_transfer: H.273 code point.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    start: int
    duration_s: float | None
    frame_count: int | None
    rotation: int
    codec: str
    pixel_format: str
    has_audio: bool
    sample_aspect_ratio: Fraction
    color_matrix: int
    color_primaries: int
    color_transfer: int

    @classmethod
    def of(cls, container: InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> "VideoInfo":
        """Describe an open video by its headers and its first decoded frame."""
        orientation = Orientation.of(first)
        width, height = first.width, first.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if orientation.transposed:
            width, height, aspect = height, width, 1 / aspect
        matrix = first.colorspace
        if matrix not in KNOWN_MATRICES:
            matrix = MATRIX_BT709 if first.width > 1024 or first.height > 576 else MATRIX_BT601
        assert stream.time_base is not None
        return cls(
            width=width,
            height=height,
            rate=stream.average_rate or stream.guessed_rate or DEFAULT_RATE,
            time_base=stream.time_base,
            start=first.pts or 0,
            duration_s=_duration(container, stream),
            frame_count=_frame_count(container, stream),
            rotation=orientation.rotation,
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            has_audio=bool(audio_streams(container)),
            sample_aspect_ratio=aspect,
            color_matrix=matrix,
            color_primaries=first.color_primaries,
            color_transfer=first.color_trc,
        )


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        index: Counted from 0.
        pts: Time stamp in the video's `time_base`, greater than the one before.
        time: Seconds since the first frame.
        image: `(height, width, 3)` uint8 RGB, upright, writable.
    """

    index: int
    pts: int
    time: Fraction
    image: Image


@dataclass(frozen=True)
class Orientation:
    """How stored pictures become upright: first transposed, then flipped. Covers all eight orientations."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False
    rotation: int = 0

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """Read the display matrix, which takes stored (x, y) to (a x + c y, b x + d y); to right angles."""
        matrix = cast(SideDataContainer, frame.side_data).get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
        transposed = abs(b) > abs(a)
        x, y = (c, b) if transposed else (a, d)
        return cls(transposed, x < 0, y < 0, round(frame.rotation / 90) * 90 % 360)

    def apply(self, image: Image) -> Image:
        """Turn a stored picture upright."""
        if self.transposed:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.mirrored or self.upside_down:
            axis = -1 if self.mirrored and self.upside_down else int(self.mirrored)
            image = np.asarray(cv2.flip(image, axis), np.uint8)
        return image


def _duration(container: InputContainer, stream: av.VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Of one track of an MKV or WebM, as "00:00:12.345000000".
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, tag.groups())
        return 3600 * hours + 60 * minutes + seconds
    return container.duration / av.time_base if container.duration else None


def _frame_count(container: InputContainer, stream: av.VideoStream) -> int | None:
    # Only MP4 and MOV have an exact one. Their edit list may hide frames of it.
    if not stream.frames or "mp4" not in container.format.name.split(","):
        return None
    return sum(not entry.is_discard for entry in stream.index_entries)

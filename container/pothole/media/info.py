"""What a video says about itself."""

import re
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer

from pothole.media.audio import audio_streams
from pothole.media.frame import LUMA_WEIGHTS, MATRIX_BT601, MATRIX_BT709, Orientation

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

    def frames_in(self, memory: int) -> int:
        """Return how many frames fit into so many bytes; at least 2."""
        return max(2, memory * 2 // (3 * self.width * self.height))

    @classmethod
    def of(cls, container: InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> "VideoInfo":
        """Describe an open video by its headers and its first decoded frame."""
        orientation = Orientation.of(first)
        width, height = first.width, first.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if orientation.transposed:
            width, height, aspect = height, width, 1 / aspect
        matrix = first.colorspace
        if matrix not in LUMA_WEIGHTS:
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

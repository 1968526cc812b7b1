"""Coded clips made small: a frame's number is its grey level, and so can be read back from the picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import Interpolation

from pothole.media import Frame, SegmentWriter, Video, VideoWriter
from pothole.media.frame import MATRIX_BT601
from pothole.types import Image

AUDIO_RATE = 48_000
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
AS_IT_IS = {"vorbis", "wmav2"}  # encoders that have to be told more
LEVELS_PER_NUMBER = 3  # what coding at a good quality cannot blur


def numbered_image(number: int, size: tuple[int, int]) -> Image:
    """A grey picture of `(width, height)` that `number_of` reads."""
    width, height = size
    return np.full((height, width, 3), 20 + LEVELS_PER_NUMBER * number, np.uint8)


def number_of(image: Image) -> int:
    return round((float(image.mean()) - 20) / LEVELS_PER_NUMBER)


def frame_of(image: Image, index: int = 0, rate: Fraction | int = 30, matrix: int = MATRIX_BT601) -> Frame:
    """A frame as the reader gives it, of `(height, width, 3)` uint8 RGB or `(height, width)` grey."""
    rgb = image if image.ndim == 3 else np.stack([image] * 3, axis=2)
    picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
        format="yuv420p", interpolation=EXACT, dst_colorspace=matrix, dst_color_range=1
    )
    picture.colorspace = matrix
    return Frame(index, index, index / Fraction(rate), picture)


@dataclass(frozen=True)
class ClipOptions:
    """The options say how a clip is made.

    Attributes:
        frames: How many.
        rate: Frames a second.
        size: `(width, height)` as coded, before rotation.
        audio: Name of an audio encoder, for one track as long as the pictures.
        rotation: Degrees counter-clockwise by which a player turns the pictures.
        mirrored: A player also mirrors them, left to right.
        codec: Name of a video encoder.
        pix_fmt: What it codes.
        pts: Time stamps in `time_base`, one per frame; evenly spaced when None.
        time_base: Unit of `pts`; `1/rate` when None.
        picture: Gives frame i as `(height, width, 3)` uint8 RGB; `numbered_image` when None.
        faststart: Put an mp4's index in front.
        sample_aspect_ratio: Of one pixel.
        color: `(matrix, range)` of the coded pictures as FFmpeg numbers them, written into the file too.
        audio_delay: Seconds after which the audio starts.
        audio_rate: Samples a second.
        layout: Of the channels.
        loud: Whether one hears a tone while frame i is shown.
        options: Of the video encoder, beside those that are always set.
        interlaced: Code each picture as two fields, the upper one first.
    """

    frames: int = 12
    rate: Fraction | int = 30
    size: tuple[int, int] = (64, 48)
    audio: str | None = None
    rotation: int = 0
    mirrored: bool = False
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    pts: Sequence[int] | None = None
    time_base: Fraction | None = None
    picture: Callable[[int], Image] | None = None
    faststart: bool = False
    sample_aspect_ratio: Fraction | None = None
    color: tuple[int, int] | None = None
    audio_delay: Fraction = Fraction(0)
    audio_rate: int = AUDIO_RATE
    layout: str = "stereo"
    loud: Callable[[int], bool] = lambda number: True
    options: Mapping[str, str] = field(default_factory=dict)
    interlaced: bool = False

    @property
    def unit(self) -> Fraction:
        """The unit of the pictures' time stamps."""
        return self.time_base or 1 / Fraction(self.rate)


def make_clip(
    path: Path,
    frames: int = ClipOptions.frames,
    rate: Fraction | int = ClipOptions.rate,
    size: tuple[int, int] = ClipOptions.size,
    **options: Any,
) -> Path:
    """Write a clip with these `ClipOptions`; the suffix of `path` decides the format."""
    clip = ClipOptions(frames, rate, size, **options)
    with av.open(path, "w", options={"movflags": "+faststart"} if clip.faststart else {}) as container:
        video = _add_video(container, clip)
        track = _add_audio(container, clip.audio, clip) if clip.audio else None
        for number, stamp in enumerate(clip.pts or range(frames)):
            frame = _coded_picture(number, clip)
            frame.pts, frame.time_base = stamp, clip.unit
            container.mux(video.encode(frame))
            if track:
                container.mux(track.encode(_beep(number, track, clip)))
        container.mux(video.encode())
        if track:
            container.mux(track.encode())
    return path


def _add_video(container: av.container.OutputContainer, clip: ClipOptions) -> av.VideoStream:
    video = container.add_stream(clip.codec, rate=Fraction(clip.rate))
    assert isinstance(video, av.VideoStream)
    context = video.codec_context
    context.width, context.height = clip.size
    context.pix_fmt = clip.pix_fmt
    context.time_base = clip.unit
    _set_quality(context, clip)
    if clip.interlaced:
        context.flags |= Flags.interlaced_dct
    if clip.sample_aspect_ratio:
        context.sample_aspect_ratio = clip.sample_aspect_ratio
    if clip.color:
        context.colorspace, context.color_range = clip.color
    if clip.rotation or clip.mirrored:
        video.set_display_rotation(clip.rotation, hflip=clip.mirrored)
    return video


def _set_quality(context: av.VideoCodecContext, clip: ClipOptions) -> None:
    if clip.codec in {"libx264", "libx265", "libvpx-vp9"}:
        usual = {"crf": "5", "g": "6", "x265-params": "log-level=none", "preset": "veryfast"}
        context.options = usual | dict(clip.options)
    else:
        context.flags |= Flags.qscale
        context.global_quality = 2 * 118  # FF_QP2LAMBDA times a fine quantiser


def _add_audio(container: av.container.OutputContainer, codec: str, clip: ClipOptions) -> av.AudioStream:
    track = container.add_stream(codec, rate=clip.audio_rate)
    assert isinstance(track, av.AudioStream)
    track.codec_context.layout = clip.layout  # type: ignore[assignment]
    track.codec_context.options = {"strict": "experimental", "b": "128k"} if codec in AS_IT_IS else {}
    return track


def _coded_picture(number: int, clip: ClipOptions) -> av.VideoFrame:
    image = clip.picture(number) if clip.picture else numbered_image(number, clip.size)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    if clip.color:
        frame.colorspace = clip.color[0]
    color_range = clip.color[1] if clip.color else 1
    return frame.reformat(format=clip.pix_fmt, interpolation=EXACT, dst_color_range=color_range)


def _beep(number: int, track: av.AudioStream, clip: ClipOptions) -> av.AudioFrame:
    """The sound while a frame is shown: a tone, or silence."""
    rate = track.codec_context.sample_rate
    start, end = (clip.audio_delay + i / Fraction(clip.rate) for i in (number, number + 1))
    first, last = round(start * rate), round(end * rate)
    level = 0.2 if clip.loud(number) else 0.0
    samples = level * np.sin(np.arange(first, last) * (2 * np.pi * 440 / rate))
    channels = np.stack([samples] * track.codec_context.channels).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(channels, "fltp", track.codec_context.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
    return frame


def transcode(source: Path, output: Path, until: Fraction | None = None, segment: int | None = None) -> Path:
    """Code a video anew, in segments of so many frames, one for all of it when None."""
    with Video.open(source) as video, VideoWriter(output, video.info, source, until) as writer:
        frames = video.frames(until)
        while batch := list(islice(frames, segment)):
            piece = output.with_name(f"{batch[0].index}.nut")
            with SegmentWriter(piece, video.info) as coded:
                for frame in batch:
                    coded.write(frame)
            writer.append(piece)
            piece.unlink()
    return output


def audio_packets(path: Path) -> list[bytes]:
    """The coded bytes of the first audio track, packet by packet."""
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

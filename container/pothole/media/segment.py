"""A segment is a run of frames, coded so that other segments can be joined before and after it.

A segment is H.264 alone, in a NUT file: that keeps times exactly, and no upload of one is taken for a video.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from pothole.media.frame import PIXEL_FORMAT, Frame, empty_like, planes
from pothole.media.info import VideoInfo

SUFFIX = ".nut"
FORMAT: Final = "nut"
ENCODER: Final = "libx264"
PRESET = "ultrafast"  # it has no B-frames, so that nothing reaches over the end of a segment
CRF = 22
# The preset leaves out what is worth its time: a third to a half off a file of the same fidelity, and no
# blocks on a plain road.
PARAMETERS = "cabac=1:8x8dct=1:deblock=0,0:subme=1:partitions=i8x8"


class SegmentWriter:
    """A segment writer writes H.264 with the source's time stamps, from a key frame on. A context manager.

    When the body or the end of writing fails, the file is removed.

    Args:
        path: The output; is overwritten.
        info: The source's; size, times and colours follow it. An odd size gets one more row or column.
    """

    def __init__(self, path: Path, info: VideoInfo) -> None:
        self._path = path
        self._info = info
        with ExitStack() as undo:
            undo.callback(path.unlink, missing_ok=True)
            self._output = undo.enter_context(av.open(path.absolute(), "w", format=FORMAT))
            self._stream = self._output.add_stream(ENCODER, rate=info.rate)
            _set_up(self._stream.codec_context, info)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Encode one frame."""
        self._output.mux(self._stream.encode(coded_picture(frame, self._info)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            undo.callback(self._path.unlink, missing_ok=True)
            with self._output:
                if error is None:
                    self._output.mux(self._stream.encode())
            if error is None:
                undo.pop_all()


def coded_picture(frame: Frame, info: VideoInfo) -> av.VideoFrame:
    """Return a frame as the encoder takes it: of an even size, its time counted from the output's begin."""
    picture = _even(frame.picture)
    picture.pts, picture.time_base = frame.pts - info.start, info.time_base
    picture.pict_type = PictureType.NONE  # the encoder would take the source's type for a wish
    return picture


def open_encoder(info: VideoInfo, crf: float = CRF, parameters: str = "") -> av.VideoCodecContext:
    """Open an encoder for frames alone, whose parameter sets stand in its `extradata`.

    Args:
        info: See `SegmentWriter`.
        crf: The quality, as x264 counts it.
        parameters: Further ones of x264, each after a colon.
    """
    encoder = av.VideoCodecContext.create(ENCODER, "w")
    _set_up(encoder, info, crf, parameters)
    encoder.flags |= Flags.global_header
    encoder.open()
    return encoder


def _set_up(encoder: av.VideoCodecContext, info: VideoInfo, crf: float = CRF, parameters: str = "") -> None:
    encoder.options = {"preset": PRESET, "crf": str(crf), "x264-params": PARAMETERS + parameters}
    encoder.time_base = info.time_base
    encoder.framerate = info.rate
    encoder.width, encoder.height = info.width + info.width % 2, info.height + info.height % 2
    encoder.pix_fmt = PIXEL_FORMAT
    encoder.sample_aspect_ratio = info.sample_aspect_ratio
    encoder.color_range = ColorRange.MPEG
    encoder.colorspace = info.color_matrix
    encoder.color_primaries = info.color_primaries
    encoder.color_trc = info.color_transfer


def check_segment(path: Path, info: VideoInfo, frames: int) -> None:
    """Check that a segment has so many frames and can be joined with those that are written now.

    Raises:
        ValueError: It was coded in another way.
        av.FFmpegError: It is none.
    """
    check_frames_of(path, open_encoder(info).extradata, frames)


def check_frames_of(path: Path, head: bytes | None, frames: int) -> None:
    """Check that a segment has so many frames, and these parameter sets.

    Raises:
        ValueError: It has others.
        av.FFmpegError: It is none.
    """
    with open_segment(path) as segment:
        [stream] = segment.streams.video
        if stream.codec_context.extradata != head:
            raise ValueError(f"{path.name} is coded in another way than its successors would be")
        count = sum(packet.pts is not None for packet in segment.demux(stream))
        if count != frames:
            raise ValueError(f"{path.name} has {count} frames, expected {frames}")


def open_segment(path: Path) -> InputContainer:
    """Open a segment for reading, and no other file that it may name.

    Raises:
        av.FFmpegError: It is none.
    """
    limits = {"format_whitelist": FORMAT, "protocol_whitelist": "file"}
    # Its header says all; by default FFmpeg decodes frames to learn more, which takes longer than the rest.
    quickly = {"probesize": "32"}
    return av.open(path.absolute(), format=FORMAT, container_options=limits | quickly)


def _even(picture: av.VideoFrame) -> av.VideoFrame:
    """Repeat the last row and column of an odd size, which 4:2:0 cannot have in H.264."""
    height, width = picture.height, picture.width
    if height % 2 == width % 2 == 0:
        return picture
    even = empty_like(picture, (height + height % 2, width + width % 2))
    for target, source in zip(planes(even), planes(picture), strict=True):
        target[: source.shape[0], : source.shape[1]] = source
        target[source.shape[0] :, : source.shape[1]] = source[-1:]
        target[:, source.shape[1] :] = target[:, source.shape[1] - 1 : source.shape[1]]
    return even

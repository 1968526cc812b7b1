"""`VideoWriter`: marked frames and the source's audio into an MP4 that browsers play."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from pothole.errors import SourceIsOutput
from pothole.video.audio import AudioCopier
from pothole.video.frame import PIXEL_FORMAT, Frame, empty_like, planes
from pothole.video.info import VideoInfo
from pothole.video.reader import open_container

ENCODER: Final = "libx264"
PRESET = "ultrafast"
CRF = 21
# What the preset forgoes and is worth its time: together a third off the file, and no blocks on a plain road.
PARAMETERS = "cabac=1:8x8dct=1:deblock=0,0:subme=1:partitions=i4x4,i8x8"


class VideoWriter:
    """Writes H.264 in MP4, index in front, with the source's time stamps and audio. A context manager.

    When the body or the end of writing fails, the file is removed.

    Args:
        path: The output; is overwritten.
        info: The source's; size, times and colours follow it. An odd size gets one more row or column.
        source: The file whose audio is copied, None for a silent output. Audio that players do not take from
            an MP4 is coded anew as AAC.
        until: Seconds at which the audio is cut, where only a part of the video is written.

    Raises:
        SourceIsOutput: `path` is `source`.
    """

    def __init__(
        self, path: Path, info: VideoInfo, source: Path | None = None, until: Fraction | None = None
    ) -> None:
        if source is not None and path.exists() and path.samefile(source):
            raise SourceIsOutput(f"{path.name} would overwrite its own source.", "Name another output.")
        self._path = path
        self._info = info
        self._audio: AudioCopier | None = None
        with ExitStack() as files:
            output = av.open(path.absolute(), "w", format="mp4", options={"movflags": "+faststart"})
            self._output = files.enter_context(output)
            self._stream = self._add_stream()
            if source is not None and info.has_audio:
                inputs = files.enter_context(open_container(source))
                self._audio = AudioCopier(inputs, output, info.start * info.time_base, until)
            self._files = files.pop_all()

    def _add_stream(self) -> av.VideoStream:
        info = self._info
        options = {"preset": PRESET, "crf": str(CRF), "x264-params": PARAMETERS}
        stream = self._output.add_stream(ENCODER, rate=info.rate, options=options, time_base=info.time_base)
        context = stream.codec_context
        context.width, context.height = info.width + info.width % 2, info.height + info.height % 2
        context.pix_fmt = PIXEL_FORMAT
        context.sample_aspect_ratio = info.sample_aspect_ratio
        context.color_range = ColorRange.MPEG
        context.colorspace = info.color_matrix
        context.color_primaries = info.color_primaries
        context.color_trc = info.color_transfer
        return stream

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Encode one frame, and the audio up to it."""
        picture = _even(frame.picture)
        picture.pts, picture.time_base = frame.pts - self._info.start, self._info.time_base
        picture.pict_type = PictureType.NONE  # the source's would be taken for a wish
        self._output.mux(self._stream.encode(picture))
        if self._audio:
            self._audio.copy_until(frame.time)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            undo.callback(self._path.unlink, missing_ok=True)
            with self._files:
                if error is None:
                    self._output.mux(self._stream.encode())
                    if self._audio:
                        self._audio.finish()
            if error is None:
                undo.pop_all()


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

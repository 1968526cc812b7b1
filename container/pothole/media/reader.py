"""`Video`: frames of a file, one after the other."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pothole.errors import InvalidMedia, TooLarge
from pothole.media.frame import PIXEL_FORMAT, Frame, Orientation
from pothole.media.info import VideoInfo

# A playlist or a concatenation script named .mp4 would make FFmpeg open other files and addresses.
DEMUXERS = "mov,matroska,avi,mpegts,mpeg,asf,flv"
KNOWN_FORMATS = "Expected an MP4, MOV, MKV, WebM, AVI, TS, MPEG, WMV or FLV video."
INDEX_MISSING = "Its index is missing or damaged, as in a recording that was cut off: send it anew."

# The defaults of reformat() darken by 1 level of 255 each time.
UNBIASED = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

DURATION_SLACK_S = 1.0  # a declared duration is rounded, or that of the audio


class Video:
    """A video that is read once, front to back. Made by `Video.open`, a context manager.

    Attributes:
        info: What the file says about itself.
        missing_frames: After the last frame, how many of the declared ones could not be read.
    """

    def __init__(self, path: Path, container: InputContainer, max_pixels: int | None) -> None:
        self.missing_frames = 0
        self._path = path
        self._container = container
        self._max_pixels = max_pixels
        self._stream = _picture_stream(path, container)
        self._check_size(self._stream.codec_context.width, self._stream.codec_context.height)
        self._stream.thread_type = "AUTO"
        self._damaged = 0
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise InvalidMedia(f"{path.name} has no readable frame.", "It may be cut short or damaged.")
        self._first = first
        self._orientation = Orientation.of(first)
        self.info = VideoInfo.of(container, self._stream, first)
        self._to_420 = VideoReformatter()

    @classmethod
    def open(cls, path: Path, max_pixels: int | None = None) -> Self:
        """Open a video and decode its first frame.

        Args:
            path: The file.
            max_pixels: Largest allowed `width * height` of a frame.

        Raises:
            InvalidMedia: Not a video that can be read; names the file.
            TooLarge: A frame has more than `max_pixels`; `frames` raises it too, should the size change.
        """
        with ExitStack() as undo:
            container = undo.enter_context(open_container(path))
            video = cls(path, container, max_pixels)
            undo.pop_all()
        return video

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoded.close()
        self._container.close()

    @property
    def decode_warning(self) -> str | None:
        """One sentence on what could not be read, after the last frame; None when all was well."""
        declared = self.info.frame_count
        if self.missing_frames and declared:
            read = declared - self.missing_frames
            return f"{read} of {declared} frames could be read: the file is cut short or damaged."
        if self.missing_frames:
            return f"About {self.missing_frames} frames could not be read: the file is cut short or damaged."
        if self._damaged:
            return f"{self._damaged} frames are damaged: what could be decoded of them was used."
        return None

    def frames(
        self,
        until: Fraction | None = None,
        first: int = 0,
        on_skipped: Callable[[], None] = lambda: None,
    ) -> Iterator[Frame]:
        """Decode the frames, once.

        Args:
            until: Only frames with a time below this many seconds, but at least one.
            first: Index of the first frame to yield. Those before are decoded all the same: it is fast beside
                all other work, and counts alike in every file, which to jump to a time does not.
            on_skipped: Called after each of them; what it raises goes on.

        Raises:
            TooLarge: See `open`.
        """
        start, time_base = self.info.start, self.info.time_base
        step = max(1, round(1 / (self.info.rate * time_base)))
        index, pts = 0, start - 1
        for index, decoded in enumerate(self._from_first()):
            pts = _increasing(decoded.pts, pts, step, time_base)
            time = (pts - start) * time_base
            if index and until is not None and time >= until:
                return
            if index < first:
                on_skipped()
            else:
                yield Frame(index, pts, time, self._upright(decoded))
        self.missing_frames = self._count_missing(index + 1, (pts + step - start) * time_base)

    def _from_first(self) -> Iterator[av.VideoFrame]:
        yield self._first
        yield from self._decoded

    def _decode(self) -> Generator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._damaged += 1
                continue
            for frame in frames:
                self._damaged += frame.is_corrupt
                self._check_size(frame.width, frame.height)
                yield frame

    def _check_size(self, width: int, height: int) -> None:
        if self._max_pixels is not None and width * height > self._max_pixels:
            raise TooLarge(
                f"{self._path.name} has frames of {width}x{height}, more than {self._max_pixels} pixels.",
                "Scale the video down.",
            )

    def _upright(self, frame: av.VideoFrame) -> av.VideoFrame:
        frame.colorspace = self.info.color_matrix
        size = self._first.width, self._first.height
        # A stream may change its size on the way, and the output cannot.
        as_needed = frame.format.name == PIXEL_FORMAT and (frame.width, frame.height) == size
        if not as_needed or frame.color_range == ColorRange.JPEG:
            frame = self._to_420.reformat(
                frame,
                *size,
                PIXEL_FORMAT,
                dst_colorspace=self.info.color_matrix,
                interpolation=UNBIASED,
                dst_color_range=ColorRange.MPEG,
            )
        return self._orientation.apply(frame)

    def _count_missing(self, decoded: int, end: Fraction) -> int:
        if self.info.frame_count is not None:
            return max(0, self.info.frame_count - decoded)
        gap = (self.info.duration_s or 0.0) - float(end)
        return round(gap * self.info.rate) if gap > DURATION_SLACK_S else 0


def open_container(path: Path) -> InputContainer:
    """Open a file for reading, nothing but that file.

    Raises:
        InvalidMedia: Not a video or audio file that can be read; names it.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise InvalidMedia(f"{path.name} is empty.", KNOWN_FORMATS)
    limits = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
    try:
        # An absolute path: a relative one like "concat:x" would be taken for a protocol.
        return av.open(path.absolute(), container_options=limits, metadata_errors="replace")
    except av.FFmpegError as exc:
        hint = INDEX_MISSING if head[4:] == b"ftyp" else KNOWN_FORMATS
        raise InvalidMedia(f"{path.name} is not a video that can be read.", hint) from exc


def _picture_stream(path: Path, container: InputContainer) -> av.VideoStream:
    """Return the best stream of moving pictures; a song's cover picture is none."""
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or Disposition.attached_pic in stream.disposition:
        raise InvalidMedia(f"{path.name} has no video stream.", "Send a file with pictures, not sound alone.")
    if not stream.codec_context:
        raise InvalidMedia(f"{path.name} is coded in a way that is not known here.", "Convert it to H.264.")
    return stream


def _increasing(pts: int | None, last: int, step: int, time_base: Fraction) -> int:
    """Mend a time stamp that is missing, repeated or jumps back, where time goes on at the usual pace."""
    if pts is None:
        return last + step
    if pts > last:
        return pts
    return last + (step if (last - pts) * time_base > 1 else 1)

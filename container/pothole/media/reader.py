"""`Video` reads a video frame by frame."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Self

import av
from av.container import InputContainer

from pothole.errors import InvalidMedia, TooLarge
from pothole.media.container import is_joined, open_container, read_packets
from pothole.media.decoder import Damage, decode, deinterlace, on_time
from pothole.media.frame import Frame
from pothole.media.info import DURATION_SLACK_S, VideoInfo
from pothole.media.scan import DEFAULT_RATE, Scan, scan
from pothole.media.upright import Upright

JOINED = "Behind the end of this MP4 lies another one, which was not used: join videos by a tool for videos."
MIN_WHOLE = Fraction(1, 10)  # a file is refused when a smaller part of its packets gives whole pictures


class Video:
    """A video is read once, front to back. Made by `Video.open`, a context manager.

    Attributes:
        info: What the file says about itself.
        missing_frames: After the last frame, how many could not be read: of the declared ones where the file
            has their number, else about as many as fit into the declared time. None when the file is cut
            short and does not say how many it had.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        known: Scan,
        max_pixels: int | None,
        deinterlace: bool,
        remarks: tuple[str, ...],
    ) -> None:
        self._remarks = remarks
        self.missing_frames: int | None = 0
        self._path = path
        self._container = container
        self._known = known
        self._track = known.timeline.tracks[known.stream]
        self._max_pixels = max_pixels
        self._deinterlaces = deinterlace
        stream = container.streams[known.stream]
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        self._check_size(stream.codec_context.width, stream.codec_context.height)
        stream.thread_type = "AUTO"
        self._damage = Damage()
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise InvalidMedia(f"{path.name} has no readable frame.", "It may be cut short or damaged.")
        self._first = first
        self._lost_at_first = self._damage.broken
        self.info = VideoInfo.of(container, stream, first, known)
        self._upright = Upright(first, self._aspect)

    @classmethod
    def open(
        cls,
        path: Path,
        max_pixels: int | None = None,
        stream: int | None = None,
        deinterlace: bool = True,
        remarks: tuple[str, ...] = (),
    ) -> Self:
        """Look through a video and decode its first frame.

        Args:
            path: The file.
            max_pixels: Largest allowed `width * height` of a frame.
            stream: Which of its video streams, counted from 0; the first that has pictures when None.
            deinterlace: Make whole pictures of interlaced ones.
            remarks: Sentences on what of the source is not in the file, for `decode_warning`.

        Raises:
            InvalidMedia: Not a video that can be read, or encrypted; names the file.
            TooLarge: A frame has more than `max_pixels`; `frames` raises it too, should the size change.
        """
        known = scan(path, stream)
        with ExitStack() as undo:
            container = undo.enter_context(open_container(path, known.thorough))
            if is_joined(path, container.format.name):
                remarks = (*remarks, JOINED)
            video = cls(path, container, known, max_pixels, deinterlace, remarks)
            undo.pop_all()
        return video

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoded.close()
        self._container.close()

    @property
    def decode_warning(self) -> str | None:
        """Return in sentences what of the file was not used, after the last frame; None when all was."""
        sentences = [*filter(None, [self._damage_sentence()]), *self._known.remarks, *self._remarks]
        return " ".join(sentences) or None

    def _damage_sentence(self) -> str | None:
        declared = self.info.frame_count
        if self.missing_frames and declared:
            read = declared - self.missing_frames
            return f"{read} of {declared} frames could be read: the file is cut short or damaged."
        if self.missing_frames:
            return f"About {self.missing_frames} frames could not be read: the file is cut short or damaged."
        if self.missing_frames is None:
            return "The file is cut short: what is in it was used."
        if broken := self._damage.broken:
            frames = "1 frame is" if broken == 1 else f"{broken} frames are"
            return f"{frames} damaged: what could be decoded was used."
        return None

    def frames(
        self,
        until: Fraction | None = None,
        first: int = 0,
        on_skipped: Callable[[], None] = lambda: None,
    ) -> Iterator[Frame]:
        """Decode the frames, once.

        Args:
            until: Only frames less than this many seconds after the first, but at least one.
            first: Index of the first frame to yield. Those before are decoded all the same: it is fast beside
                all other work, and counts alike in every file, which to jump to a time does not.
            on_skipped: Called after each of them; what it raises goes on.

        Raises:
            InvalidMedia: Next to nothing could be decoded.
            TooLarge: See `open`.
        """
        start, time_base = self.info.start, self.info.time_base
        index = pts = 0
        for index, decoded in enumerate(chain([self._first], self._decoded)):
            pts = decoded.pts or 0
            time = (pts - start) * time_base
            if index and until is not None and time - self.info.delay >= until:
                return
            if index < first:
                on_skipped()
            else:
                yield Frame(index, pts, time, self._upright(decoded, self._aspect))
        self._check_damage()
        end = pts * time_base + self.info.length_of((pts - start) * time_base)
        self.missing_frames = self._count_missing(index + 1, end)

    def _decode(self) -> Generator[av.VideoFrame]:
        unit, rate = self._stream.time_base, self._stream.average_rate or self._stream.guessed_rate
        assert unit is not None
        packets = self._known.timeline.mend(read_packets(self._container, self._stream))
        pictures = self._checked(decode(packets, self._stream, self._damage, self._track.by_decoding))
        if self._deinterlaces:
            pictures = deinterlace(pictures, unit)
        step = max(1, round(1 / ((rate or DEFAULT_RATE) * unit)))
        yield from on_time(pictures, step, unit)

    def _checked(self, pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            self._check_size(picture.width, picture.height)
            yield picture

    def _check_size(self, width: int, height: int) -> None:
        if self._max_pixels is not None and width * height > self._max_pixels:
            raise TooLarge(
                f"{self._path.name} has frames of {width}x{height}, more than {self._max_pixels} pixels.",
                "Scale the video down.",
            )

    @property
    def _aspect(self) -> Fraction:
        return self._stream.codec_context.sample_aspect_ratio or Fraction(1)

    def _check_damage(self) -> None:
        if self._damage.whole < self._track.packets * MIN_WHOLE:
            raise InvalidMedia(
                f"{self._path.name} has {self._track.packets} frames, and {self._damage.whole} can be read.",
                "It is damaged, or encrypted: send it anew.",
            )

    def _count_missing(self, decoded: int, end: Fraction) -> int | None:
        if self.info.frame_count is not None:
            # Pictures before the first that can be decoded by itself do not count, as where a video was cut.
            before = (self._first.pts or 0) * self.info.time_base - self._track.begin
            cut_off = 0 if self._lost_at_first else round(before * self.info.rate)
            return max(0, self.info.frame_count - decoded - max(0, cut_off))
        if self.info.is_cut:
            return None
        gap = (self.info.declared_s or 0.0) - float(end - self._track.begin)
        return round(gap * self.info.rate) if gap > DURATION_SLACK_S else 0

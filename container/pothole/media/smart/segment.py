"""This module writes segments of which some packets are the source's, and others are coded anew."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.packet import Packet
from av.video.frame import PictureType

from pothole.media.frame import Frame
from pothole.media.info import VideoInfo
from pothole.media.segment import FORMAT, coded_picture, open_encoder
from pothole.media.smart.chunks import Chunk, Chunks
from pothole.media.smart.plan import CopyPlan
from pothole.media.smart.times import DecodingTimes


class CopyingSegmentWriter:
    """This writer copies each GOP up to the first frame that was changed, and codes the rest of it anew.

    Frames wait until all of a chunk are there. In the file all stamps are later by `DecodingTimes.lead`,
    since NUT has none before 0. A context manager; see `SegmentWriter`.

    Args:
        path: The output; is overwritten.
        info: The source's.
        plan: What of it may be copied.
        source: Its packets.
    """

    def __init__(self, path: Path, info: VideoInfo, plan: CopyPlan, source: Chunks) -> None:
        self._path, self._info, self._plan, self._source = path, info, plan, source
        self._times = DecodingTimes.of(info, plan)
        self._shift = self._times.lead - info.start
        self._chunk: Chunk | None = None
        self._waiting: list[Frame] = []  # of the chunk, unchanged
        self._copies = False  # whether all of this GOP so far was copied, or waits
        self._encoder: av.VideoCodecContext | None = None
        with ExitStack() as undo:
            undo.callback(path.unlink, missing_ok=True)
            self._output = undo.enter_context(av.open(path.absolute(), "w", format=FORMAT))
            self._stream = self._output.add_stream_from_template(source.stream)
            self._stream.codec_context.extradata = plan.head
            self._stream.time_base = info.time_base
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame, is_changed: bool) -> None:
        """Take the next frame, which is as it came from the source or was changed."""
        chunk = self._source.at(frame.pts)
        if chunk is not self._chunk:
            self._begin(chunk)
        place = len(self._waiting)
        fits = chunk is not None and place < len(chunk.times) and frame.pts == chunk.times[place]
        if not self._copies or is_changed or not fits or frame.picture.is_corrupt:
            self._code_waiting()
            self._code(frame)
            return
        self._waiting.append(frame)
        if chunk and len(self._waiting) == len(chunk.times):
            self._waiting = []
            for packet in chunk.packets:
                self._write(packet)

    def _begin(self, chunk: Chunk | None) -> None:
        if self._waiting:  # a frame of the chunk before is missing
            self._code_waiting()
        follows = chunk and self._chunk and chunk.number == self._chunk.number + 1
        if chunk and chunk.begins_gop:
            self._finish_coding()
            self._copies = True
        elif not follows:
            self._copies = False
        self._chunk = chunk

    def _code_waiting(self) -> None:
        self._copies = False
        for frame in self._waiting:
            self._code(frame)
        self._waiting = []

    def _code(self, frame: Frame) -> None:
        picture = coded_picture(frame, self._info)
        picture.pict_type = PictureType.P if self._encoder else PictureType.I
        self._encoder = self._encoder or open_encoder(self._info, self._plan.crf, self._plan.parameters)
        self._write_all(self._encoder.encode(picture))

    def _finish_coding(self) -> None:
        if self._encoder:
            self._write_all(self._encoder.encode(None))
            self._encoder = None

    def _write_all(self, packets: Iterable[Packet[Any]]) -> None:
        for packet in packets:
            packet.pts = (packet.pts or 0) + self._info.start
            packet.time_base = self._info.time_base
            self._write(packet)

    def _write(self, packet: Packet[Any]) -> None:
        assert packet.pts is not None
        packet.pts += self._shift
        packet.dts = self._times.take(packet.pts)
        packet.stream = self._stream
        self._output.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            undo.callback(self._path.unlink, missing_ok=True)
            with self._output:
                if error is None:
                    self._code_waiting()
                    self._finish_coding()
            if error is None:
                undo.pop_all()

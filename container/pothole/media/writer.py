"""This module joins segments and the source's audio in an MP4 that browsers play."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from pothole.errors import SourceIsOutput
from pothole.media.audio import TrackCopier
from pothole.media.container import open_container
from pothole.media.info import VideoInfo
from pothole.media.metadata import carry_over
from pothole.media.segment import open_segment
from pothole.media.smart.plan import CopyPlan
from pothole.media.smart.times import DecodingTimes


class VideoWriter:
    """A video writer joins segments and the source's audio in an MP4, index in front. A context manager.

    No picture is coded anew: it takes milliseconds. What the source says of itself comes along, and so does a
    camera's telemetry (GPMF).
    When the body or the end of writing fails, the file is removed.

    Args:
        path: The output; is overwritten.
        info: The source's.
        source: The file whose audio is copied, None for a silent output. Audio that browsers do not play from
            an MP4 is coded anew as AAC.
        until: Seconds of the pictures at which the audio is cut, where only a part of the video is written.
        plan: What of the source is copied, where segments are made so.

    Attributes:
        copied_frames: How many frames so far are packets of the source.

    Raises:
        SourceIsOutput: `path` is `source`.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        source: Path | None = None,
        until: Fraction | None = None,
        plan: CopyPlan | None = None,
    ) -> None:
        if source is not None and path.exists() and path.samefile(source):
            raise SourceIsOutput(f"{path.name} would overwrite its own source.", "Name another output.")
        self._path = path
        self._info = info
        self._source = source
        self._until = None if until is None else until + info.delay
        self._plan = plan
        self.copied_frames = 0
        self._times = DecodingTimes.of(info, plan)
        self._stream: av.VideoStream | None = None
        self._tracks: TrackCopier | None = None
        with ExitStack() as files:
            output = av.open(path.absolute(), "w", format="mp4", options={"movflags": "+faststart"})
            self._output = files.enter_context(output)
            self._files = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def append(self, segment: Path) -> None:
        """Write the frames of the next segment, and the audio up to them.

        Args:
            segment: See `SegmentWriter` and `CopyingSegmentWriter`; its frames come after those of the
                segments before.
        """
        with open_segment(segment) as frames:
            [stream] = frames.streams.video
            self._stream = self._stream or self._add_streams(stream)
            for packet in frames.demux(stream):
                if packet.pts is None:  # the end
                    continue
                packet.pts = round(packet.pts * packet.time_base / self._info.time_base) - self._times.lead
                packet.dts = self._times.take(packet.pts)  # NUT does not keep it
                packet.time_base = self._info.time_base
                time = packet.pts * packet.time_base
                if self._plan:
                    self.copied_frames += self._plan.is_copied(packet)
                # The last packet's duration is how long its frame is shown.
                packet.duration = max(1, round(self._info.length_of(time) / packet.time_base))
                packet.stream = self._stream
                self._output.mux(packet)
                if self._tracks:
                    self._tracks.copy_until(time)

    def _add_streams(self, template: av.VideoStream) -> av.VideoStream:
        stream = self._output.add_stream_from_template(template)
        stream.time_base = self._info.time_base
        if self._source:
            scan = self._info.scan
            source = self._files.enter_context(open_container(self._source, scan.thorough))
            start = self._info.start * self._info.time_base
            pictures = source.streams[scan.stream]
            assert isinstance(pictures, av.VideoStream)
            carry_over(source, pictures, self._output, stream, start, self._until)
            if scan.sounds or scan.telemetry:
                self._tracks = TrackCopier(source, self._output, scan, start, self._until)
        return stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            undo.callback(self._path.unlink, missing_ok=True)
            with self._files:
                if error is None and self._tracks:
                    self._tracks.finish()
            if error is None:
                undo.pop_all()

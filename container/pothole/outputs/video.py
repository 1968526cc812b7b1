"""The marked video, `<stem>_output.mp4`, is the source with its objects marked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pothole.geo.located import Located
from pothole.media import SegmentWriter, Video, VideoWriter
from pothole.media.segment import SUFFIX, check_frames_of, check_segment
from pothole.media.smart.chunks import Chunks
from pothole.media.smart.segment import CopyingSegmentWriter
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracks import Track


class VideoSink:
    """This sink makes the same video with its objects marked. See `Sink`."""

    part_suffix = SUFFIX

    def __init__(self, path: Path, source: Source) -> None:
        self._info, self._plan = source.info, source.rendering.plan
        self._writer = VideoWriter(path, source.info, source.path, source.until, self._plan)
        self._packets = Chunks(source.path, source.info, self._plan) if self._plan else None

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._packets:
                self._packets.close()
        finally:
            self._writer.__exit__(kind, error, trace)

    @property
    def copied_frames(self) -> int:
        """Return how many of the frames appended so far are packets of the source."""
        return self._writer.copied_frames

    @contextmanager
    def open_part(self, path: Path) -> Iterator["_VideoPart | _CopyingPart"]:
        """See `Sink.open_part`."""
        if self._plan and self._packets:
            with CopyingSegmentWriter(path, self._info, self._plan, self._packets) as copying:
                yield _CopyingPart(copying)
            return
        with SegmentWriter(path, self._info) as segment:
            yield _VideoPart(segment)

    def check_part(self, path: Path, frames: int) -> None:
        """See `Sink.check_part`."""
        if self._plan:
            check_frames_of(path, self._plan.head, frames)
        else:
            check_segment(path, self._info, frames)

    def append(self, part: Path) -> None:
        """See `Sink.append`."""
        self._writer.append(part)

    def finish(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None = None
    ) -> None:
        """See `Sink.finish`; a video has nothing more to say than its frames."""


class _VideoPart:
    def __init__(self, segment: SegmentWriter) -> None:
        self._segment = segment

    def write(self, marked: MarkedFrame) -> None:
        self._segment.write(marked.picture)


class _CopyingPart:
    def __init__(self, segment: CopyingSegmentWriter) -> None:
        self._segment = segment

    def write(self, marked: MarkedFrame) -> None:
        self._segment.write(marked.picture, is_changed=marked.picture is not marked.plain)

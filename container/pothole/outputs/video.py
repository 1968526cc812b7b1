"""The marked video, `<stem>_output.mp4`, is the source with its objects marked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pothole.geo.located import Located
from pothole.media import SegmentWriter, Video, VideoWriter
from pothole.media.segment import SUFFIX, check_segment
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracks import Track


class VideoSink:
    """This sink makes the same video with its objects marked. See `Sink`."""

    part_suffix = SUFFIX

    def __init__(self, path: Path, source: Source) -> None:
        self._info = source.info
        self._writer = VideoWriter(path, source.info, source.path, source.until)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    @contextmanager
    def open_part(self, path: Path) -> Iterator["_VideoPart"]:
        """See `Sink.open_part`."""
        with SegmentWriter(path, self._info) as segment:
            yield _VideoPart(segment)

    def check_part(self, path: Path, frames: int) -> None:
        """See `Sink.check_part`."""
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

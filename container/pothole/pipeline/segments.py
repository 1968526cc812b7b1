"""Segments: the pieces in which a job makes its outputs, each a checkpoint from which it can go on."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from pothole.media import SegmentWriter, VideoInfo
from pothole.media.segment import SUFFIX
from pothole.outputs.report import ReportPart
from pothole.tracking.state import TrackerState
from pothole.tracking.tracker import Followed


@dataclass(frozen=True)
class Segment:
    """A piece of a job's outputs.

    Attributes:
        video: Its frames, see `SegmentWriter`.
        report: What is said of them.
        state: Of the tracker after the last of them; None at the end of the video.
    """

    video: Path
    report: ReportPart
    state: TrackerState | None


def encode(
    marked: Iterable[Followed], info: VideoInfo, folder: Path, on_frame: Callable[[int], None]
) -> Iterator[Segment]:
    """Encode and describe marked frames; a segment ends at each checkpoint, and at the end.

    Args:
        marked: Frames in order.
        info: The source's.
        folder: Where the segments' files are written.
        on_frame: Called after each frame with the number of frames so far; what it raises goes on.
    """
    rest = iter(marked)
    for first in rest:
        video, report = folder / f"{first.frame.index}{SUFFIX}", ReportPart()
        with SegmentWriter(video, info) as writer:
            for followed in chain([first], rest):
                writer.write(followed.frame)
                report.add(followed.frame, followed.potholes)
                on_frame(followed.frame.index + 1)
                if followed.state:
                    break
        yield Segment(video, report, followed.state)


class Checkpoints(Protocol):
    """Where segments are kept, so that a job goes on where an earlier attempt ended; a seam of `run_job`."""

    def resume(self, info: VideoInfo, folder: Path) -> TrackerState:
        """Look for segments of an earlier attempt.

        Args:
            info: The source's.
            folder: Where copies are written if some are needed.

        Returns:
            The state to go on from; that of a beginning when there are none, or none that fit.
        """
        ...

    def keep(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """Yield the segments of the earlier attempt, then these, and keep each of these.

        That is done when the next one is asked for. The segment's file may then be gone.
        """
        ...


class NoCheckpoints:
    """Keeps nothing: a job starts from its beginning."""

    def resume(self, info: VideoInfo, folder: Path) -> TrackerState:
        """See `Checkpoints.resume`."""
        return TrackerState()

    def keep(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """See `Checkpoints.keep`."""
        for segment in segments:
            yield segment
            segment.video.unlink()

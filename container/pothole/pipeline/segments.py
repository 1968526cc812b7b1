"""A job makes its outputs in segments, each a checkpoint from which it can go on."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from pothole.geo.flow import FlowMeter
from pothole.media import Frame
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.sink import Sink
from pothole.tracking.observation import TrackedFrame
from pothole.tracking.state import TrackerState
from pothole.types import Natural

Marks = tuple[MarkedFrame, TrackerState | None]
"""A frame with its marks, and the tracker's state after it, at a checkpoint."""


@dataclass(frozen=True)
class Counts:
    """Counts say how much some frames hold.

    Attributes:
        frames: Number of the frames.
        detections: Marks, over all frames.
        frames_with_potholes: Frames with one mark or more.
    """

    frames: Natural = 0
    detections: Natural = 0
    frames_with_potholes: Natural = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.frames + other.frames,
            self.detections + other.detections,
            self.frames_with_potholes + other.frames_with_potholes,
        )


@dataclass(frozen=True)
class Segment:
    """A segment is a piece of a job's outputs.

    Attributes:
        parts: The part of each sink, by its name.
        counts: Counts of the segment's frames.
        state: The tracker's state after the last of them; None at the end of the video.
    """

    parts: Mapping[str, Path]
    counts: Counts
    state: TrackerState | None

    def delete(self) -> None:
        """Remove the files that are still there."""
        for path in self.parts.values():
            path.unlink(missing_ok=True)


def mark(
    tracked: Iterable[tuple[Frame, TrackedFrame]],
    draws: bool,
    short_labels: bool = False,
    meter: FlowMeter | None = None,
) -> Iterator[Marks]:
    """Join frames with their marks, and draw the marks already here when some sink shows every frame.

    Args:
        tracked: Frames, and what the tracker says of them.
        draws: Whether some sink shows every frame.
        short_labels: See `annotate.marked`.
        meter: Measures how the road moves, before marks are drawn on it; None to leave that out.
    """
    for frame, said in tracked:
        flow = meter.look(frame.index, frame.time, frame.planes[0]) if meter else None
        marked = MarkedFrame(frame, said.detections, short_labels, flow)
        if draws:
            _ = marked.picture
        if meter and said.state:  # whoever goes on from here knows no frame before
            meter.reset()
        yield marked, said.state


def write_segments(
    marks: Iterable[Marks], sinks: Mapping[str, Sink], folder: Path, on_frame: Callable[[int], None]
) -> Iterator[Segment]:
    """Write frames into a part of each sink; a segment ends at each checkpoint, and at the end.

    Args:
        marks: Frames in order.
        sinks: The sinks, by name.
        folder: Where the parts are written.
        on_frame: Called after each frame with the number of frames so far; what it raises goes on.
    """
    rest = iter(marks)
    for first in rest:
        index, counts, state = first[0].index, Counts(), None
        parts = {name: folder / f"{index}-{name}{sink.part_suffix}" for name, sink in sinks.items()}
        with ExitStack() as stack:
            writers = [stack.enter_context(sinks[name].open_part(path)) for name, path in parts.items()]
            for marked, state in chain([first], rest):
                for writer in writers:
                    writer.write(marked)
                counts += Counts(1, len(marked.detections), bool(len(marked.detections)))
                on_frame(marked.index + 1)
                if state:
                    break
        yield Segment(parts, counts, state)


class Checkpoints(Protocol):
    """Checkpoints keep segments, so that a job goes on where an attempt ended; a seam of `run_job`."""

    def resume(self, sinks: Mapping[str, Sink], folder: Path) -> TrackerState:
        """Look for segments of an earlier attempt.

        Args:
            sinks: The job's sinks, by name, which check the parts.
            folder: Where copies are written if some are needed.

        Returns:
            The state to go on from; that of a job's beginning when there are no segments, or none that fit.
        """
        ...

    def save(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """Yield the segments of the earlier attempt, then the new ones, and save each new one.

        A segment is saved when the next one is asked for. Its files may then be gone.
        """
        ...


class NoCheckpoints:
    """`NoCheckpoints` saves nothing, so that a job starts from its beginning."""

    def resume(self, sinks: Mapping[str, Sink], folder: Path) -> TrackerState:
        """See `Checkpoints.resume`."""
        return TrackerState()

    def save(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """See `Checkpoints.save`."""
        for segment in segments:
            yield segment
            segment.delete()

"""A sink makes one output of a job, piece by piece."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from pothole.geo.located import Located
from pothole.media import Video, VideoInfo
from pothole.media.sequence import Taken
from pothole.media.smart.plan import Rendering
from pothole.outputs.annotate import MarkedFrame
from pothole.tracking.tracks import Track


@dataclass(frozen=True)
class Summary:
    """The summary says what a video holds.

    Attributes:
        potholes: Confirmed potholes, each counted once.
        detections: Marks drawn, over all frames.
        frames: Frames written.
        frames_with_potholes: Frames with one mark or more.
        seen_once: Potholes that were detected, and too seldom to count.
        copied_frames: Frames of the marked video that are the source's, bit for bit.
    """

    potholes: int
    detections: int
    frames: int
    frames_with_potholes: int
    seen_once: int = 0
    copied_frames: int = 0


@dataclass(frozen=True)
class Source:
    """A source is what a sink is told before the first frame.

    Attributes:
        path: The video's file.
        info: What it says about itself.
        until: Seconds at which its sound is cut, where only a part of it is worked on.
        address: Where the video is, for people.
        output: Where the marked video goes, for people; None when none is made.
        model: The detector's name.
        min_confidence: Lowest score that counts.
        class_names: What the detector can tell apart.
        settings: The caller's, whatever JSON can say.
        pictures: What is known of each frame of a folder of pictures; empty for a video.
        rendering: How the pictures come into the marked video.
    """

    path: Path
    info: VideoInfo
    until: Fraction | None
    address: str
    output: str | None
    model: str
    min_confidence: float
    class_names: tuple[str, ...]
    settings: dict[str, Any]
    pictures: tuple[Taken, ...] = ()
    rendering: Rendering = Rendering()


class PartWriter(Protocol):
    """A part writer writes one part of an output: some frames after one another."""

    def write(self, marked: MarkedFrame) -> None:
        """Take the next frame."""
        ...


class Sink(AbstractContextManager["Sink"], Protocol):
    """A sink makes one output. When the body fails, or ends without `finish`, its file is removed.

    An output is made of parts, each the work on one segment of the video and a part of its checkpoint: a job
    that is taken up again appends the parts of the earlier attempt and goes on with its own. Parts are
    written in one thread and appended in another.

    Attributes:
        part_suffix: How the name of a part's file ends.
    """

    part_suffix: str

    def open_part(self, path: Path) -> AbstractContextManager[PartWriter]:
        """Begin a part; when the body fails, its file is removed."""
        ...

    def check_part(self, path: Path, frames: int) -> None:
        """Check a part that an earlier attempt has stored.

        Args:
            path: The part.
            frames: Number of frames that it was made of.

        Raises:
            ValueError: It is none, or was made in another way than the next ones would be.
            av.FFmpegError: It is no video.
        """
        ...

    def append(self, part: Path) -> None:
        """Add the next part; the file may be gone afterwards."""
        ...

    def finish(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None
    ) -> None:
        """Write what is known only after the last frame.

        Args:
            summary: Of all frames.
            tracks: The confirmed potholes.
            video: The source, after its last frame.
            located: Where the potholes are, None where nothing is known of it.
        """
        ...

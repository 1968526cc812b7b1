"""A job tells how much of it is done, and at the end what it did."""

from dataclasses import dataclass
from typing import Any

from pothole.tracking.tracks import Track


@dataclass(frozen=True)
class Progress:
    """The progress of a job says how much of it is done.

    Attributes:
        frames: Frames done.
        total: Frames to do, None when the file does not say.
        potholes: Potholes found so far.
        resumed_at: How many of these frames an earlier attempt has done.
    """

    frames: int
    total: int | None
    potholes: int
    resumed_at: int = 0


@dataclass(frozen=True)
class JobResult:
    """The result says what a job did.

    Attributes:
        outputs: Where they are, the marked video first.
        frames: Frames marked.
        potholes: Potholes, each counted once however many frames show it.
        frames_with_potholes: Frames that show one or more.
        seen_once: Potholes that were detected, and too seldom to count.
        seconds: Time that the job took.
        missing_frames: Frames of a damaged source that could not be read; None when nobody can tell how many.
        warning: What of the source was not used, in a sentence or more; None when all was.
        tracks: A record per pothole, in the order of their ids.
    """

    outputs: tuple[str, ...]
    frames: int
    potholes: int
    frames_with_potholes: int
    seen_once: int
    seconds: float
    missing_frames: int | None
    warning: str | None
    tracks: tuple[Track, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what stands under `job` in an answer; outputs stand beside it, tracks in the report."""
        return {
            "frames": self.frames,
            "potholes": self.potholes,
            "frames_with_potholes": self.frames_with_potholes,
            "seen_once": self.seen_once,
            "seconds": round(self.seconds, 3),
            "missing_frames": self.missing_frames,
            "warning": self.warning,
        }

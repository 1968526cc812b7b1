"""`Guard`: follows one job, tells how far it is, and ends it when it has to end."""

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from pothole.errors import DiskFull, Interrupted, PotholeError, TooLarge
from pothole.job import Progress
from pothole.jobs.record import Lease
from pothole.metrics import Metrics
from pothole.settings import Settings
from pothole.storage.local import NO_ROOM

LOG_EVERY_S = 10.0
LOOK_AT_DISK_EVERY_S = 2.0
WAY_OUT = "Mount a larger disk there, or wait for other jobs to end."
_logger = logging.getLogger("pothole.jobs")


@dataclass(frozen=True)
class Stopping:
    """How the end of the process is told to its jobs.

    Attributes:
        soon: Once set, nothing more is taken or begun, and jobs end at their next checkpoint.
        now: Once set, jobs end at their next frame.
    """

    soon: threading.Event = field(default_factory=threading.Event)
    now: threading.Event = field(default_factory=threading.Event)


class Guard:
    """Called with the progress of a job after each frame; what it raises ends the job.

    Args:
        settings: Limits.
        metrics: Counts the frames.
        stopping: Set when the process is about to end.
        lease: The job's, which learns of the progress; None for a job that has none.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, stopping: Stopping, lease: Lease | None = None
    ) -> None:
        self._settings, self._metrics, self._stopping, self._lease = settings, metrics, stopping, lease
        self._started = self._logged = self._looked = time.monotonic()
        self._first: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Follow the job.

        Raises:
            Interrupted: The process is about to end.
            LeaseLost: Another worker has the job.
            TooLarge: It has too many frames.
            DiskFull: There is hardly room left.
        """
        self.check()
        now = time.monotonic()
        self._metrics.frames.inc(progress.frames > progress.resumed_at)
        self._first = self._first or progress
        if max(progress.frames, progress.total or 0) > self._settings.max_video_frames:
            raise TooLarge(
                f"The video has more than {self._settings.max_video_frames} frames.",
                hint="Cut the video, or raise MAX_VIDEO_FRAMES.",
            )
        if now - self._looked >= LOOK_AT_DISK_EVERY_S:
            self._looked = now
            check_disk(self._settings)
        if self._lease:
            self._lease.note(state="running", **asdict(progress), eta_s=self._eta_s(progress, now))
        if now - self._logged >= LOG_EVERY_S:
            self._logged = now
            _logger.info("marking", extra=asdict(progress) | {"seconds": round(now - self._started, 1)})

    def check(self, at_rest: bool = False) -> None:
        """Raise `Interrupted` when the job has to end.

        Args:
            at_rest: Nothing is lost here: it has not begun, or just stored what it did.
        """
        if self._stopping.now.is_set() or (at_rest and self._stopping.soon.is_set()):
            raise Interrupted(
                "The server stopped in the middle of this job.",
                hint="Send the request again: nothing is lost.",
            )

    def _eta_s(self, progress: Progress, now: float) -> float | None:
        assert self._first is not None
        done = progress.frames - self._first.frames
        if progress.total is None or not done:
            return None
        return round((progress.total - progress.frames) * (now - self._started) / done, 1)


@contextmanager
def room(settings: Settings, needed: int) -> Iterator[None]:
    """Look for room in the temporary folder, and raise `DiskFull` when it turns out to be too little."""
    check_disk(settings, needed)
    try:
        yield
    except PotholeError:
        raise
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise DiskFull("The disk of TMPDIR is full.", hint=WAY_OUT) from exc
        raise


def check_disk(settings: Settings, needed: int = 0) -> None:
    """Raise `DiskFull` when the temporary folder has no room for `needed` bytes and what is to stay free."""
    free = shutil.disk_usage(settings.temp_dir).free
    if free < needed + settings.min_free_bytes:
        raise DiskFull(
            f"The disk of TMPDIR has {free} bytes left, and needs {needed} beside {settings.min_free_bytes}.",
            hint=WAY_OUT,
        )

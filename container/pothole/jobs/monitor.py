"""A monitor follows one job, tells how far it is, and ends it when it has to end."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict

from pothole.errors import Interrupted
from pothole.job_result import Progress
from pothole.jobs.lease import Lease
from pothole.jobs.shutdown import ShutdownSignal
from pothole.metrics import Metrics

LOG_EVERY_S = 10.0
_logger = logging.getLogger("pothole.jobs")


class JobMonitor:
    """The monitor is called with the progress of a job after each frame; what it raises ends the job.

    Args:
        metrics: Counts the frames.
        shutdown: Set when the process is about to end.
        lease: The job's, which learns of the progress; None for a job that has none.
        about: What each line of the log says of the job, see `log_fields`.
    """

    def __init__(
        self,
        metrics: Metrics,
        shutdown: ShutdownSignal,
        lease: Lease | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self._about = dict(about or {})
        self._metrics, self._shutdown, self._lease = metrics, shutdown, lease
        self._started = self._logged = time.monotonic()
        self._first: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Take note of how far the job is, and end it when it has to end.

        Raises:
            Interrupted: The process is about to end.
            LeaseLost: Another worker has the job.
        """
        self.check()
        now = time.monotonic()
        self._metrics.frames.inc(progress.frames > progress.resumed_at)
        self._first = self._first or progress
        if self._lease:
            self._lease.note(state="running", **asdict(progress), eta_s=self._eta_s(progress, now))
        if now - self._logged >= LOG_EVERY_S:
            self._logged = now
            seconds = round(now - self._started, 1)
            _logger.info("marking", extra=self._about | asdict(progress) | {"seconds": seconds})

    def check(self, at_rest: bool = False) -> None:
        """Raise `Interrupted` when the job has to end.

        Args:
            at_rest: Nothing is lost here: it has not begun, or just stored what it did.
        """
        if self._shutdown.now.is_set() or (at_rest and self._shutdown.soon.is_set()):
            raise Interrupted(
                "The work was stopped in the middle of this job.",
                hint="Start the job again: it can go on from its last checkpoint.",
            )

    def _eta_s(self, progress: Progress, now: float) -> float | None:
        assert self._first is not None
        done = progress.frames - self._first.frames
        if progress.total is None or not done:
            return None
        return round((progress.total - progress.frames) * (now - self._started) / done, 1)

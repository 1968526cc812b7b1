"""Jobs on local files are done by a worker as in the server; their records are deleted when they end."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pothole.detection.detector import Detector
from pothole.errors import Busy, Interrupted
from pothole.files import folder_digest
from pothole.job_order import Job
from pothole.job_result import Progress
from pothole.jobs.checkpoints import stored_frames
from pothole.jobs.lease import Lease
from pothole.jobs.record import Record, publishing_key
from pothole.jobs.shutdown import ShutdownSignal
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import Storage

# The lease is short, so that a job whose process was killed can be taken up soon.
LEASE_S = 8
WAIT_S = 0.25


class LocalJobs:
    """A `LocalJobs` works on one job after the other, each with a record beside its outputs until it ends.

    Args:
        detector: Finds the potholes.
        model_dir: Where it was loaded from.
        open_store: Opens buckets; that of the outputs is a folder.
        settings: Limits.
        resume: Go on with jobs that were ended before.

    Attributes:
        shutdown: Once set, the job in work ends.
    """

    def __init__(
        self,
        detector: Detector,
        model_dir: Path,
        open_store: Callable[[str], Storage],
        settings: Settings,
        resume: bool,
    ) -> None:
        model, settings = folder_digest(model_dir), replace(settings, lease_s=LEASE_S)
        self.shutdown = ShutdownSignal()
        self._worker = Worker(detector, model, open_store, settings, shutdown=self.shutdown)
        self._resume = resume
        self._record: Path | None = None

    def run(self, job: Job, on_progress: Callable[[Progress], None]) -> Record:
        """Do a job.

        Raises:
            Interrupted: It was stopped; `kept` says what is left of it.
            PotholeError: It failed, and nothing of it is left.
        """
        self._record = None
        lease = self._claim(job)
        self._record = record = Path(self._worker.record_address(job, lease.record)).parent
        if not self._resume:
            shutil.rmtree(record / "segments", ignore_errors=True)
            lease.note(segments=0, crashes=0)
        keeps = False
        try:
            return self._worker.run(job, lease, on_progress)
        except Interrupted:
            keeps = self.kept > 0
            raise
        finally:
            if not keeps:
                shutil.rmtree(record, ignore_errors=True)
                Path(job.output_bucket or job.source_bucket, publishing_key(job.outputs_key)).unlink(True)
                with suppress(OSError):  # another job's files may be in it
                    record.parent.rmdir()

    @property
    def kept(self) -> int:
        """Return the frames of the last job that are stored to go on from."""
        return stored_frames(self._record / "segments") if self._record else 0

    def last_words(self) -> str:
        """Say what is left of a job that was stopped."""
        frames = self.kept
        if not frames or self._record is None:
            return "Stopped. Of the video in work nothing is kept."
        where = self._record.parent
        return (
            f"Stopped. Of the video in work the first {frames} frames are kept in {where}: the same command "
            "with --resume goes on from there."
        )

    def _claim(self, job: Job) -> Lease:
        """Take the job, as soon as the lease of a process that was killed has run out.

        Raises:
            Busy: A process that lives works on it.
        """
        patience = time.monotonic() + 2 * LEASE_S
        while not isinstance(claimed := self._worker.claim(job, retry=True), Lease):
            if claimed.state == "done":  # its process was killed before it could tidy up
                shutil.rmtree(Path(self._worker.record_address(job, claimed)).parent, ignore_errors=True)
            if time.monotonic() > patience:
                raise Busy(f"Another process works on {claimed.source}.", hint="Let it end, or stop it.")
            if self._worker.shutdown.now.is_set():
                raise Interrupted("Stopped.")
            time.sleep(WAIT_S)
        return claimed

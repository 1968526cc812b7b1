"""A worker does jobs once: `run_job` with a record and a lease around it."""

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pothole import __version__
from pothole.detection.detector import Detector
from pothole.detection.lock import SharedDetector
from pothole.errors import (
    RESUMABLE,
    AccessDenied,
    GivenUp,
    Interrupted,
    PotholeError,
    SourceChanged,
    SourceIsOutput,
)
from pothole.files import folder_digest
from pothole.job import run_job
from pothole.job_order import Job
from pothole.job_result import JobResult, Progress
from pothole.jobs.accounting import accounted, log_fields
from pothole.jobs.cancel import check_cancelled
from pothole.jobs.checkpoints import StoredCheckpoints
from pothole.jobs.fence import fenced
from pothole.jobs.files import JobFiles
from pothole.jobs.lease import Lease, claim, exclusive, find_active
from pothole.jobs.monitor import JobMonitor
from pothole.jobs.names import release_names, take_names
from pothole.jobs.record import Record, State
from pothole.jobs.shutdown import ShutdownSignal
from pothole.metrics import Metrics
from pothole.settings import Settings
from pothole.storage import Publish, Stat, Storage
from pothole.storage.base import check_size
from pothole.storage.scratch import FOLDER

_logger = logging.getLogger("pothole.jobs")


@dataclass(frozen=True)
class Worker:
    """A worker does jobs once, however often they are asked for. A server has one, and so may a queue.

    Attributes:
        detector: Finds the potholes.
        model: What `folder_digest` says of its folder, since another model makes other outputs.
        open_store: Opens a bucket.
        settings: Limits.
        metrics: What is counted.
        shutdown: Once set, jobs end, interrupted.
    """

    detector: Detector
    model: str
    open_store: Callable[[str], Storage]
    settings: Settings
    metrics: Metrics = field(default_factory=Metrics)
    shutdown: ShutdownSignal = field(default_factory=ShutdownSignal)

    @classmethod
    def load(
        cls,
        settings: Settings,
        load_detector: Callable[[Path], Detector],
        open_store: Callable[[str], Storage],
        metrics: Metrics,
        shutdown: ShutdownSignal,
    ) -> "Worker":
        """Load the model that the settings name, and return a worker whose jobs share it."""
        detector = SharedDetector(load_detector(settings.model_dir), metrics)
        return cls(detector, folder_digest(settings.model_dir), open_store, settings, metrics, shutdown)

    def named(self, job: Job) -> Job:
        """Return the job as it is to be claimed: with names for its outputs that no other video has.

        A slash in front of its source's key is dropped where no source has one.

        Raises:
            PotholeError: As `claim`.
        """
        files = self._files(job)
        if job.source_key.startswith("/") and not files.has_source():
            files = self._files(replace(job, source_key=job.source_key.removeprefix("/")))
        self._check(files)
        return take_names(files, self.settings.lease_s)

    def claim(self, job: Job, retry: bool = False) -> Lease | Record:
        """Take a job to work on it, or return the record of who works on it or has done it.

        Args:
            job: The job.
            retry: Also take one that failed for a reason of its own, though its source is still the same.

        Raises:
            PotholeError: The job may not be done, or the storage failed.
        """
        files = self._files(job)
        record, age_s = self._new_record(job)
        claimed = claim(
            files.outputs,
            files.record_key(record.id),
            record,
            lambda event: self.metrics.lease_events.labels(event).inc(),
            None if retry else age_s,
        )
        if isinstance(claimed, Record) and claimed.state == "done":
            self._delete_segments(files, claimed)  # its worker may have ended before it did this
        return claimed

    def find_active(self, job: Job, retry: bool = False) -> Record | None:
        """Return the record of a job that `claim` would not take; None of any other.

        Raises:
            PotholeError: As `claim`.
        """
        files = self._files(job)
        record, age_s = self._new_record(job)
        return find_active(files.outputs, files.record_key(record.id), None if retry else age_s)

    def record_address(self, job: Job, record: Record) -> str:
        """Return where the record is, for people."""
        return self._files(job).record_address(record.id)

    def run(
        self, job: Job, lease: Lease, on_progress: Callable[[Progress], None] = lambda progress: None
    ) -> Record:
        """Do a job that was claimed.

        Args:
            job: The job.
            lease: From `claim`.
            on_progress: Called after each frame.

        Returns:
            Its record.

        Raises:
            LeaseLost: Another worker has taken it over.
            Interrupted: `shutdown` was set. The record says so, and whoever claims the job next goes on.
            PotholeError: It failed, as the record says.
        """
        files = self._files(replace(job, source_version=lease.record.source_version))
        with accounted(self.metrics, lease.record.id, job) as done:
            try:
                result = self._mark(files, lease, on_progress)
                done.update(result.to_json())
                record = lease.end("done", result=result.to_json())
                self._delete_segments(files, record)
            except PotholeError as exc:
                check_cancelled(exc, files, lease.record)
                outcome: State = "interrupted" if isinstance(exc, Interrupted) else "failed"
                self._give_up(files, lease, outcome, exc.about(lease.record.source))
                raise
            except Exception:
                error = PotholeError("The work failed; the log says why.").about(lease.record.source)
                self._give_up(files, lease, "failed", error)
                raise
        return record

    def run_unrecorded(self, job: Job, open_store: Callable[[str], Storage]) -> JobResult:
        """Do a job whose source nobody else can name, so that it needs no record.

        Args:
            job: The job.
            open_store: Opens its buckets, which are this request's own.

        Raises:
            Interrupted: `shutdown` was set.
            PotholeError: It failed.
        """
        job_id = uuid.uuid4().hex
        monitor = JobMonitor(self.metrics, self.shutdown, about=log_fields(job_id, job))
        with accounted(self.metrics, job_id, job) as done:
            monitor.check(at_rest=True)
            result = run_job(job, self.detector, open_store, self.settings, monitor)
            done.update(result.to_json())
        return result

    def _mark(self, files: JobFiles, lease: Lease, on_progress: Callable[[Progress], None]) -> JobResult:
        monitor = JobMonitor(self.metrics, self.shutdown, lease, log_fields(lease.record.id, files.job))
        monitor.check(at_rest=True)
        if lease.record.crashes >= self.settings.max_crashes:
            raise GivenUp(
                f"{lease.record.source} is given up: {lease.record.crashes} workers died of it.",
                hint="See the log of the workers; more memory, or the video scaled down, may help.",
            )
        lease.note(state="running")
        lease.renew()  # at once, so that a worker that the video kills is counted
        publishing = partial(self._publishing, files, lease, monitor)
        checkpoints = StoredCheckpoints(
            files.outputs,
            files.segments_folder(lease.record.id),
            lease,
            self.settings.max_video_bytes,
            partial(monitor.check, at_rest=True),
        )

        def follow(progress: Progress) -> None:
            monitor(progress)
            on_progress(progress)

        return run_job(
            files.job, self.detector, self.open_store, self.settings, follow, publishing, checkpoints
        )

    @contextmanager
    def _publishing(self, files: JobFiles, lease: Lease, monitor: JobMonitor) -> Iterator[Publish]:
        """Keep jobs of other settings from the outputs, or one's video might lie beside another's data."""
        held = exclusive(
            files.outputs, files.publishing_key, files.source_address, self.settings.lease_s, monitor.check
        )
        with held as right:
            lease.renew()
            if files.source_stat().version != files.job.source_version:
                raise SourceChanged(
                    f"{files.source_address} was replaced meanwhile.", hint="Start the job again."
                )
            with fenced([lease, right]) as publish:
                yield publish
                published = files.published()
        lease.note(outputs=published)

    def _give_up(self, files: JobFiles, lease: Lease, state: State, error: PotholeError) -> None:
        """Write into the record that the job has ended; where that fails, the lease runs out."""
        stored = lease.record
        keeps = isinstance(error, RESUMABLE)
        try:
            lease.end(
                state, error=error.to_json()["error"], outputs=(), segments=stored.segments if keeps else 0
            )
        except PotholeError as exc:
            _logger.warning("the record stays", extra={"job": stored.id, "reason": str(exc)})
            return
        if not keeps:
            self._delete_segments(files, stored)
            with suppress(PotholeError):  # where this fails, the next video has longer names
                release_names(files)

    def _delete_segments(self, files: JobFiles, record: Record) -> None:
        """Delete the segments of a job that needs them no more."""
        if not record.segments and record.attempt == 1:  # an earlier attempt may have left some
            return
        try:
            files.outputs.delete(files.segments_folder(record.id))
        except PotholeError as exc:
            _logger.warning("the segments stay", extra={"job": record.id, "reason": str(exc)})

    def _files(self, job: Job) -> JobFiles:
        return JobFiles.of(job, self.open_store)

    def _new_record(self, job: Job) -> tuple[Record, float]:
        """Check a job; return a record for it, and the source's age in seconds."""
        files = self._files(job)
        source, address = self._check(files), files.source_address
        record = Record.new(
            id=_digest(
                [asdict(job), address, source.version, self._track_version(job), self.model, __version__]
            ),
            source=address,
            source_version=source.version,
            lease_s=self.settings.lease_s,
        )
        return record, source.age_s

    def _track_version(self, job: Job) -> str | None:
        """Return the version of the file of positions; None where none is named."""
        if job.track is None:
            return None
        return self.open_store(job.track_bucket or job.source_bucket).stat(job.track).version

    def _check(self, files: JobFiles) -> Stat:
        """Check a job without reading its source, and return what the storage says of the source."""
        job = files.job
        if FOLDER in job.source_key.split("/"):
            raise SourceIsOutput(
                f"{job.source_key!r} lies in a folder of this system's own.", hint="Name a video elsewhere."
            )
        if job.output_bucket not in {None, job.source_bucket, *self.settings.output_buckets}:
            raise AccessDenied(
                f"Outputs may not go to the bucket {job.output_bucket!r}.",
                hint="Name it in the setting OUTPUT_BUCKETS, or leave output_bucket out.",
            )
        source = files.source_stat()
        check_size(files.source_address, source.size, self.settings.max_video_bytes)
        return source


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]

"""Jobs done once: `run_job` with a record and a lease around it."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pothole import __version__
from pothole.detection.detector import Detector
from pothole.errors import (
    AccessDenied,
    DiskFull,
    GivenUp,
    Interrupted,
    PotholeError,
    SourceChanged,
    SourceIsOutput,
    StorageUnavailable,
)
from pothole.job import Job, JobResult, run_job
from pothole.jobs.checkpoints import StoredCheckpoints
from pothole.jobs.monitor import Guard, Stopping, room
from pothole.jobs.record import (
    FOLDER,
    Lease,
    Output,
    Record,
    State,
    alone,
    claim,
    look,
    publishing_key,
    record_key,
    segments_folder,
)
from pothole.metrics import Metrics
from pothole.settings import Settings
from pothole.storage import Storage
from pothole.storage.base import check_size

# Of a source that have to fit on the disk: itself, and the marked video, which is about as large. Of its
# segments there are three at most, but for those of an earlier attempt, which make room as that video grows.
COPIES = 2
# After these a job goes on from its last checkpoint: they say nothing against the video.
RESUMABLE = (Interrupted, StorageUnavailable, DiskFull, AccessDenied)
_logger = logging.getLogger("pothole.jobs")


@dataclass(frozen=True)
class Worker:
    """Does jobs once, however often they are asked for. A server has one, and so may a queue's consumer.

    Attributes:
        detector: Finds the potholes.
        model: What `model_digest` says of its files, since another model makes other outputs.
        open_store: Opens a bucket.
        settings: Limits.
        metrics: What is counted.
        stopping: Once set, jobs end, interrupted.
    """

    detector: Detector
    model: str
    open_store: Callable[[str], Storage]
    settings: Settings
    metrics: Metrics = field(default_factory=Metrics)
    stopping: Stopping = field(default_factory=Stopping)

    def claim(self, job: Job) -> Lease | Record:
        """Take a job to work on it, or return the record of who works on it or has done it.

        Raises:
            PotholeError: The job may not be done, or the storage failed.
        """
        outputs, key, record = self._known(job)
        claimed = claim(outputs, key, record, lambda event: self.metrics.lease_events.labels(event).inc())
        if isinstance(claimed, Record) and claimed.state == "done":
            self._clean(job, claimed)  # which its worker may not have come to
        return claimed

    def look(self, job: Job) -> Record | None:
        """Return the record of a job that somebody works on or that is done; None of any other.

        Raises:
            PotholeError: As `claim`.
        """
        outputs, key, _ = self._known(job)
        return look(outputs, key)

    def record_address(self, job: Job, record: Record) -> str:
        """Return where the record is, for people."""
        return self._outputs(job).address(record_key(job.output_key(""), record.id))

    def run(self, job: Job, lease: Lease) -> Record:
        """Do a job that was claimed.

        Returns:
            Its record.

        Raises:
            LeaseLost: Another worker has taken it over.
            Interrupted: `stopping` was set. The record says so, and whoever claims the job next goes on.
            PotholeError: It failed, as the record says.
        """
        started = time.monotonic()
        outcome: State = "failed"
        try:
            result = self._mark(job, lease)
            record = lease.end("done", result=result.to_json())
            outcome = "done"
            self._clean(job, record)
        except PotholeError as exc:
            named = exc.about(lease.record.source)
            outcome = "interrupted" if isinstance(exc, Interrupted) else "failed"
            self._give_up(job, lease, outcome, named)
            raise named from exc
        except Exception:
            self._give_up(job, lease, outcome, PotholeError("The server failed."))
            raise
        finally:
            self.metrics.jobs.labels(outcome).inc()
            self.metrics.job_seconds.observe(time.monotonic() - started)
        return record

    def _mark(self, job: Job, lease: Lease) -> JobResult:
        guard = Guard(self.settings, self.metrics, self.stopping, lease)
        guard.check(at_rest=True)
        if lease.record.crashes >= self.settings.max_crashes:
            raise GivenUp(
                f"{lease.record.source} is given up: {lease.record.crashes} workers died of it.",
                hint="See the server's log; more memory, or the video scaled down, may help. "
                "Then send the request again.",
            )
        lease.note(state="running")
        lease.renew()  # at once: should the video kill the worker, that is counted
        source = self.open_store(job.source_bucket).stat(job.source_key)
        job = replace(job, source_version=lease.record.source_version)
        publishing = partial(self._publishing, job, lease, guard)
        checkpoints = StoredCheckpoints(
            self._outputs(job),
            self._segments(job, lease.record),
            lease,
            self.settings.max_video_bytes,
            partial(guard.check, at_rest=True),
        )
        with room(self.settings, COPIES * source.size):
            return run_job(job, self.detector, self.open_store, self.settings, guard, publishing, checkpoints)

    @contextmanager
    def _publishing(self, job: Job, lease: Lease, guard: Guard) -> Iterator[None]:
        """Keep jobs of other settings from the outputs, or one's video might lie beside another's data."""
        outputs = self._outputs(job)
        with alone(outputs, publishing_key(job.output_key("")), self.settings.lease_s, guard.check):
            lease.renew()
            self._check_source(job)
            yield
            written = [
                Output(key=key, address=outputs.address(key), version=outputs.stat(key).version)
                for key in (job.output_key(".mp4"), job.output_key(".json"))
            ]
        lease.note(outputs=tuple(written))

    def _check_source(self, job: Job) -> None:
        """Raise `SourceChanged` when the outputs would be those of a source that is no longer there."""
        store = self.open_store(job.source_bucket)
        if store.stat(job.source_key).version != job.source_version:
            raise SourceChanged(
                f"{store.address(job.source_key)} was replaced meanwhile.", hint="Send the request again."
            )

    def _give_up(self, job: Job, lease: Lease, state: State, error: PotholeError) -> None:
        """Say so in the record, if that can be; without it the lease runs out."""
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
            self._clean(job, stored)

    def _clean(self, job: Job, record: Record) -> None:
        """Delete the segments of a job that needs them no more."""
        if not record.segments:
            return
        try:
            self._outputs(job).delete(self._segments(job, record))
        except PotholeError as exc:
            _logger.warning("the segments stay", extra={"job": record.id, "reason": str(exc)})

    def _segments(self, job: Job, record: Record) -> str:
        return segments_folder(record_key(job.output_key(""), record.id))

    def _known(self, job: Job) -> tuple[Storage, str, Record]:
        """Check a job as far as that is possible without its source, and return where its record is."""
        if FOLDER in job.source_key.split("/"):
            raise SourceIsOutput(
                f"{job.source_key!r} lies in a folder of this system's own.", hint="Name a video elsewhere."
            )
        if job.output_bucket not in {None, job.source_bucket, *self.settings.output_buckets}:
            raise AccessDenied(
                f"Outputs may not go to the bucket {job.output_bucket!r}.",
                hint="Name it in the server's OUTPUT_BUCKETS, or leave output_bucket out.",
            )
        inputs = self.open_store(job.source_bucket)
        source = inputs.stat(job.source_key)
        address = inputs.address(job.source_key)
        check_size(address, source.size, self.settings.max_video_bytes)
        record = Record.new(
            id=_digest([asdict(job), address, source.version, self.model, __version__]),
            source=address,
            source_version=source.version,
            lease_s=self.settings.lease_s,
        )
        return self._outputs(job), record_key(job.output_key(""), record.id), record

    def _outputs(self, job: Job) -> Storage:
        return self.open_store(job.output_bucket or job.source_bucket)


def model_digest(folder: Path) -> str:
    """Return a digest of all files of a model folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _digest([(str(path.relative_to(folder)), _file_digest(path)) for path in files])


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]

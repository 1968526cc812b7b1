"""`JobFiles` says where all that belongs to a job is."""

from collections.abc import Callable
from dataclasses import dataclass

from pothole.errors import AccessDenied, RequestError, SourceNotFound
from pothole.job_order import Job
from pothole.jobs.record import Output, publishing_key, record_key, segments_folder
from pothole.storage import Stat, Storage, stat_source


@dataclass(frozen=True)
class JobFiles:
    """These are a job's files, by key and by address.

    Attributes:
        job: The job.
        source: The bucket of its source.
        outputs: The bucket of its outputs, record and segments.
    """

    job: Job
    source: Storage
    outputs: Storage

    @classmethod
    def of(cls, job: Job, open_store: Callable[[str], Storage]) -> "JobFiles":
        """Open a job's buckets."""
        return cls(job, open_store(job.source_bucket), open_store(job.output_bucket or job.source_bucket))

    @property
    def source_address(self) -> str:
        """Return the name of the source, for people."""
        return self.source.address(self.job.source_key)

    @property
    def publishing_key(self) -> str:
        """Return the key of the record of who publishes outputs in these places."""
        return publishing_key(self.job.outputs_key)

    def source_stat(self) -> Stat:
        """Return the size, version and age of the source."""
        return stat_source(self.source, self.job.source_key)

    def has_source(self) -> bool:
        """Say whether the source is there, as far as this worker may know."""
        try:
            self.source_stat()
        except (SourceNotFound, AccessDenied, RequestError):  # the last for what no file can be called
            return False
        return True

    def record_key(self, job_id: str) -> str:
        """Return the key of the job's record."""
        return record_key(self.job.outputs_key, job_id)

    def record_address(self, job_id: str) -> str:
        """Return the name of the job's record, for people."""
        return self.outputs.address(self.record_key(job_id))

    def segments_folder(self, job_id: str) -> str:
        """Return the key of the folder of the job's segments."""
        return segments_folder(self.record_key(job_id))

    def is_published(self) -> bool:
        """Say whether one of the outputs, or more, is there."""
        for name in self.job.outputs:
            try:
                self.outputs.stat(self.job.output_key(name))
            except SourceNotFound:
                continue
            return True
        return False

    def published(self) -> tuple[Output, ...]:
        """Return the outputs as they are there now."""
        keys = [self.job.output_key(name) for name in self.job.outputs]
        return tuple(
            Output(key=key, address=self.outputs.address(key), version=self.outputs.stat(key).version)
            for key in keys
        )

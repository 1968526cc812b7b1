"""This module counts the work in a form that Prometheus reads."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

MODEL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
JOB_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600)


class Metrics:
    """These are the metrics of one process, with those of the process itself: memory, time and open files."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.frames = Counter("pothole_frames", "Frames marked.", registry=registry)
        self.jobs = Counter("pothole_jobs", "Jobs that ended, by how.", ["outcome"], registry=registry)
        self.job_seconds = Histogram(
            "pothole_job_seconds", "Time that jobs took.", buckets=JOB_SECONDS, registry=registry
        )
        self.errors = Counter("pothole_errors", "Errors answered, by code.", ["code"], registry=registry)
        self.lease_events = Counter(
            "pothole_lease_events", "What became of leases.", ["event"], registry=registry
        )
        self.model_seconds = Histogram(
            "pothole_model_seconds",
            "Time that the model took for a batch, without waiting for its turn.",
            buckets=MODEL_SECONDS,
            registry=registry,
        )
        self.running = Gauge("pothole_jobs_running", "Videos in work.", registry=registry)
        self.queued = Gauge("pothole_jobs_queued", "Videos that wait for their turn.", registry=registry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

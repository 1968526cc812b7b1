"""This module counts the work in a form that Prometheus reads, and one that CloudWatch reads from the log."""

import time
from collections.abc import Mapping
from typing import Any

MODEL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
JOB_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600)


EMBEDDED = "embedded_metrics"
"""This field of a line of the log says which others are metrics; `entrypoints.logs` writes it as `_aws`."""
UNITS = {"jobs": "Count", "frames": "Count", "potholes": "Count", "seconds": "Seconds"}


def about_metrics(namespace: str, units: Mapping[tuple[str, ...], Mapping[str, str]]) -> dict[str, Any]:
    """Return what says of a line of the log which of its fields are metrics of CloudWatch.

    Args:
        namespace: CloudWatch's.
        units: Of each metric its unit, by the fields that are its dimensions.
    """
    directives = [
        {
            "Namespace": namespace,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in of_metrics.items()],
        }
        for dimensions, of_metrics in units.items()
    ]
    return {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": directives}


class Metrics:
    """These are the metrics of one process, with those of the process itself: memory, time and open files.

    Args:
        namespace: CloudWatch's, of what the log says of jobs; empty to say nothing for it.
    """

    def __init__(self, namespace: str = "") -> None:
        # It brings a web server along, and what starts ours needs the names below alone.
        from prometheus_client import (  # noqa: PLC0415
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            PlatformCollector,
            ProcessCollector,
        )

        self._namespace = namespace
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

    def embedded(self, outcome: str, said: dict[str, Any]) -> dict[str, Any]:
        """Return what makes a line of the log about a job's end metrics of CloudWatch.

        Its embedded metric format names the fields of the line that are metrics. Behind an endpoint the log
        is the only way there.

        Args:
            outcome: How the job ended: the metrics' one dimension.
            said: What the line says beside that.
        """
        if not self._namespace:
            return {}
        told = {"jobs": 1, **said}
        units = {name: unit for name, unit in UNITS.items() if name in told}
        return {
            "jobs": 1,
            "outcome": outcome,
            EMBEDDED: about_metrics(self._namespace, {("outcome",): units}),
        }

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        from prometheus_client import generate_latest  # noqa: PLC0415

        return generate_latest(self._registry)

"""Each job is counted, and the log says how it began and ended."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pothole.errors import Cancelled, Interrupted, PotholeError
from pothole.job_order import Job
from pothole.metrics import Metrics

_logger = logging.getLogger("pothole.jobs")


def log_fields(job_id: str, job: Job) -> dict[str, str]:
    """Return what lines of the log say of a job, named as in the Lambda function's log."""
    return {"job": job_id, "bucket": job.source_bucket, "key": job.source_key}


@contextmanager
def accounted(metrics: Metrics, job_id: str, job: Job) -> Iterator[dict[str, Any]]:
    """Count the job that runs in the `with` block and log how it goes, since nobody may wait for its answer.

    Args:
        metrics: Where it is counted.
        job_id: Its record's id, or another name for one that has no record.
        job: The job.

    Yields:
        What the log says of the job's end when all goes well, for the block to fill.
    """
    started, outcome, about = time.monotonic(), "failed", log_fields(job_id, job)
    done: dict[str, Any] = {}
    _logger.info("the job begins", extra=about)
    try:
        yield done
        outcome = "done"
        _logger.info("the job is done", extra=about | done | metrics.embedded(outcome, done))
    except Interrupted as exc:
        outcome = "interrupted"
        embedded = metrics.embedded(outcome, {})
        _logger.warning("the job was interrupted", extra=about | {"reason": str(exc)} | embedded)
        raise
    except Cancelled:
        outcome = "cancelled"
        _logger.warning("the job was cancelled", extra=about | metrics.embedded(outcome, {}))
        raise
    except PotholeError as exc:
        embedded = metrics.embedded(outcome, {})
        _logger.error("the job failed", extra=about | {"code": exc.code, "reason": str(exc)} | embedded)
        raise
    except Exception:
        _logger.exception("the job failed", extra=about | metrics.embedded(outcome, {}))
        raise
    finally:
        metrics.jobs.labels(outcome).inc()
        metrics.job_seconds.observe(time.monotonic() - started)

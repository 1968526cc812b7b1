"""A job is cancelled by its record: its worker looks at that every few seconds, and ends."""

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime

from pothole.errors import Cancelled, LeaseLost, PotholeError, StorageUnavailable
from pothole.jobs.files import JobFiles
from pothole.jobs.listing import read_job
from pothole.jobs.names import release_names
from pothole.jobs.record import Record, segments_folder
from pothole.storage import Storage

TRIES, WAIT_S = 20, 0.1  # a heartbeat may be written at the same moment
ACTIVE = ("queued", "running", "interrupted")
_logger = logging.getLogger("pothole.jobs")


def cancel(store: Storage, key: str) -> Record:
    """Cancel a job, whoever works on it; its segments are deleted.

    Args:
        store: Where its record is.
        key: The record's, see `record_key`.

    Returns:
        The record as it is then; one of a job that had ended before is unchanged.

    Raises:
        RequestError: There is no such job.
        StorageUnavailable: It was written to at each try.
        PotholeError: The storage failed.
    """
    for _ in range(TRIES):
        there, version = read_job(store, key)
        if there.state not in ACTIVE:
            return there
        ended = {"state": "cancelled", "eta_s": None, "segments": 0, "heartbeat": datetime.now(UTC)}
        cancelled = there.model_copy(update=ended)
        if store.write(key, cancelled.to_bytes(), version):
            try:
                store.delete(segments_folder(key))
            except PotholeError as exc:  # its worker deletes them, too, and maybe at this moment
                _logger.warning("the segments stay", extra={"job": there.id, "reason": str(exc)})
            return cancelled
        time.sleep(WAIT_S)
    raise StorageUnavailable(f"{store.address(key)} was written to at each of {TRIES} tries to cancel it.")


def check_cancelled(error: PotholeError, files: JobFiles, record: Record) -> None:
    """Raise `Cancelled` in place of an error, when a worker has lost its job as that was cancelled.

    Args:
        error: What ended the job.
        files: The job's; what its worker stored after it was cancelled is deleted.
        record: As its worker knows it.

    Raises:
        Cancelled: The job was.
    """
    if isinstance(error, LeaseLost) and _was_cancelled(files, record):
        raise Cancelled(
            f"{record.source} was cancelled.", hint="Ask for it anew to begin it again."
        ) from error


def _was_cancelled(files: JobFiles, record: Record) -> bool:
    key = files.record_key(record.id)
    try:
        there, _ = read_job(files.outputs, key)
    except PotholeError:
        return False
    # Whoever asks for the job anew has another attempt, whose segments lie in the same place.
    if there.state != "cancelled" or there.attempt != record.attempt:
        return False
    with suppress(PotholeError):  # what is left is cleared away by the next attempt, or by the bucket's rules
        files.outputs.delete(segments_folder(key))
        release_names(files)
    return True

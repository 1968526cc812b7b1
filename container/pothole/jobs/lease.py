"""A worker holds a lease on its job, so that each job has one worker.

A record is only ever replaced by who knows its version, so of two workers one is refused, whatever their
clocks say. Its age, by the storage's clock, shows whether the worker lives: once it is above the lease, the
next may take the job over. The first learns so when it next looks, every few seconds; so it does when the
job was cancelled.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any, Literal

from pothole.errors import LeaseLost, PotholeError, RequestError, SourceNotFound
from pothole.jobs.record import Output, Record, State
from pothole.storage import Storage
from pothole.storage.base import version_at

HEARTBEATS_PER_LEASE = 4  # several, so that one that is late or fails is not the end
LOOK_S = 2.0  # between two looks at the record, which somebody may have cancelled
WAIT_S = 0.5
# The record may be looked at so much later than the source, and the clock of a storage may be so coarse.
SLACK_S = 2.0
_logger = logging.getLogger("pothole.jobs")

Event = Literal["claimed", "taken_over", "renewed", "lost", "ended"]


class Lease:
    """A lease is the right to work on a job, renewed in the background until `end`. Made by `claim`.

    Attributes:
        record: The job's, as this worker knows it.
    """

    def __init__(
        self, store: Storage, key: str, record: Record, version: str, on_event: Callable[[Event], None]
    ) -> None:
        self.record = record
        self._store, self._key, self._version, self._on_event = store, key, version, on_event
        self._noting, self._writing = threading.Lock(), threading.Lock()
        self._ended, self._lost = threading.Event(), threading.Event()
        # The thread runs in the caller's context, so that what it logs has the id of the request.
        self._thread = threading.Thread(
            target=copy_context().run, args=[self._stay_alive], name=f"lease-{record.id}", daemon=True
        )
        self._thread.start()

    def note(self, **changes: Any) -> None:
        """Change the record, to be written with the next heartbeat.

        Raises:
            LeaseLost: Another worker has it.
        """
        with self._noting:
            self.record = self.record.model_copy(update=changes)
        if self._lost.is_set():
            raise LeaseLost("Another worker has taken this job over.")

    def renew(self) -> None:
        """Write the record now.

        Raises:
            LeaseLost: Another worker has it.
            PotholeError: The storage failed.
        """
        with self._writing:
            self.note(heartbeat=datetime.now(UTC))
            version = self._store.write(self._key, self.record.to_bytes(), self._version)
            if version is None:
                self._lost.set()
                self._on_event("lost")
                raise LeaseLost("Another worker has taken this job over.")
            self._version = version
        self._on_event("renewed")

    def end(self, state: State, **changes: Any) -> Record:
        """Write the record for the last time and let go of it.

        Raises:
            LeaseLost: Another worker has it.
            PotholeError: The storage failed.
        """
        self._ended.set()
        self._thread.join()
        self.note(state=state, eta_s=None, **changes)
        self.renew()
        self._on_event("ended")
        return self.record

    def _is_as_written(self) -> bool:
        with self._writing:
            return version_at(self._store, self._key) == self._version

    def _stay_alive(self) -> None:
        beat_s = self.record.lease_s / HEARTBEATS_PER_LEASE
        due = time.monotonic() + beat_s
        while not self._ended.wait(min(beat_s, LOOK_S)):
            try:
                # What a look shows is not believed: the write tells who has the job.
                if time.monotonic() >= due or not self._is_as_written():
                    due = time.monotonic() + beat_s
                    self.renew()
            except LeaseLost:
                return
            except PotholeError as exc:
                # Nothing is lost before another worker comes, and the next heartbeat may get through.
                _logger.warning("no heartbeat", extra={"job": self.record.id, "reason": str(exc)})


def claim(
    store: Storage,
    key: str,
    record: Record,
    on_event: Callable[[Event], None] = lambda event: None,
    failures_s: float | None = None,
) -> Lease | Record:
    """Take a job to work on it, unless it is done, somebody works on it, or it would fail again.

    Args:
        store: Where the outputs go.
        key: The record's, see `record_key`.
        record: See `Record.new`.
        on_event: Told what becomes of the lease.
        failures_s: Seconds for which a failure stands, see `is_taken`.

    Returns:
        The lease, or the record of who has or had it.
    """
    replaces, mine = None, record
    while True:
        if version := store.write(key, mine.to_bytes(), replaces):
            on_event("claimed" if mine.attempt == 1 else "taken_over")
            return Lease(store, key, mine, version, on_event)
        try:
            data, stat = store.read(key)
        except SourceNotFound:  # deleted meanwhile
            replaces, mine = None, record
            continue
        there = Record.from_bytes(data)
        if there and is_taken(store, there, stat.age_s, failures_s):
            return there
        replaces, mine = stat.version, record.after(there) if there else record


@contextmanager
def exclusive(
    store: Storage, key: str, source: str, lease_s: int, check: Callable[[], None]
) -> Iterator[Lease]:
    """Hold a lease at `key` and yield it; wait while somebody else holds it.

    Args:
        store: Where it is.
        key: The record's.
        source: For whom it is held.
        lease_s: Seconds after which one that is not renewed is nobody's.
        check: Called while waiting; what it raises goes on.
    """
    record = Record.new(id=key, source=source, source_version="", lease_s=lease_s)
    while not isinstance(lease := claim(store, key, record), Lease):
        check()
        time.sleep(WAIT_S)
    try:
        yield lease
    finally:
        with suppress(PotholeError):  # it runs out by itself, or has been taken
            lease.end("interrupted")


def find_active(store: Storage, key: str, failures_s: float | None = None) -> Record | None:
    """Return the record of a job that needs no worker, see `is_taken`; None of any other."""
    try:
        data, stat = store.read(key)
    except PotholeError:
        return None
    there = Record.from_bytes(data)
    return there if there and is_taken(store, there, stat.age_s, failures_s) else None


def is_taken(store: Storage, record: Record, age_s: float, failures_s: float | None) -> bool:
    """Say whether a job needs no worker.

    It is done, its outputs untouched; or its worker is alive; or it failed for a reason of its own.
    An age far below zero, as after a clock was set back, says as little for a worker's life as a high one.

    Args:
        store: Where the outputs are.
        record: The job's.
        age_s: Seconds since the record was written.
        failures_s: Seconds for which a failure stands, mostly the age of the source: who puts it there once
            more wants it tried once more. It does not stand when None.
    """
    if record.state == "done":
        return all(_is_there(store, output) for output in record.outputs)
    if record.failure:
        return failures_s is not None and age_s < failures_s + SLACK_S
    return record.state in {"queued", "running"} and abs(age_s) <= record.lease_s


def _is_there(store: Storage, output: Output) -> bool:
    try:
        return store.stat(output.key).version == output.version
    except (SourceNotFound, RequestError):  # where no output can be, as somebody may have written
        return False

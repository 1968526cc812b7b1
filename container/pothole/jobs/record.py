"""One job, one worker: the record of a job beside its output, and the lease that its worker holds on it.

    queued ──▶ running ──▶ done           the outputs are there
                  │  └───▶ failed         for a reason that `error` says
                  └──────▶ interrupted    the worker was told to stop; whoever comes next goes on

A record is only ever replaced by who knows its version, so of two workers one is refused, whatever their
clocks say. Its age, by the storage's clock, shows whether the worker lives: once it is above the lease, the
next may take the job over, and the first learns so at its next sign of life.
"""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pothole.errors import LeaseLost, PotholeError, SourceNotFound
from pothole.storage import Storage

FOLDER = ".pothole"
SIGNS_PER_LEASE = 4  # so that one that is late or fails is not the end
WAIT_S = 0.5
_logger = logging.getLogger(__name__)

State = Literal["queued", "running", "interrupted", "done", "failed"]
Event = Literal["claimed", "taken_over", "renewed", "lost", "ended"]


class Output(BaseModel):
    """A file that a job wrote, by the version that it had then."""

    model_config = ConfigDict(frozen=True)

    key: str
    address: str
    version: str


class Record(BaseModel):
    """What is known of a job.

    Attributes:
        id: Of the job: the same for the same source, settings and model.
        state: See above.
        source: Where the source is, for people.
        source_version: The version of it that is meant.
        owner: Who works on it.
        lease_s: Seconds after which a record that is not renewed belongs to nobody.
        attempt: Counts who has claimed it.
        heartbeat: When it was written last, by the worker's clock: for people alone.
        frames: Frames done.
        total: Frames to do, None when the file does not say.
        potholes: Found so far.
        resumed_at: Frames of these that an earlier worker has done.
        segments: Number of those that are stored, from which the job can go on.
        crashes: Workers that died with it since the last of them was stored.
        eta_s: Seconds to the end as it looks now, None when that is not known.
        outputs: The video first.
        result: What `JobResult.to_json` says, of a job that is done.
        error: `code`, `message` and `hint` of a job that failed.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    state: State
    source: str
    source_version: str
    owner: str
    lease_s: int
    attempt: int = 1
    heartbeat: datetime
    frames: int = 0
    total: int | None = None
    potholes: int = 0
    resumed_at: int = 0
    segments: int = 0
    crashes: int = 0
    eta_s: float | None = None
    outputs: tuple[Output, ...] = ()
    result: dict[str, Any] | None = None
    error: dict[str, str | None] | None = None

    @classmethod
    def new(cls, id: str, source: str, source_version: str, lease_s: int) -> Self:
        """Return the record of a job that waits for its turn, with an owner of its own."""
        return cls(
            id=id,
            state="queued",
            source=source,
            source_version=source_version,
            owner=uuid.uuid4().hex,
            lease_s=lease_s,
            heartbeat=datetime.now(UTC),
        )

    def after(self, earlier: "Record") -> Self:
        """Return the record of the next attempt, which goes on from what an earlier one has stored.

        A worker that was still running has died: one that was told to stop says so.
        """
        crashes = {"running": earlier.crashes + 1, "interrupted": earlier.crashes}
        return self.model_copy(
            update={
                "attempt": earlier.attempt + 1,
                "segments": 0 if earlier.state == "done" else earlier.segments,
                "crashes": crashes.get(earlier.state, 0),
            }
        )


class Lease:
    """The right to work on a job, renewed in the background until `end`. Made by `claim`.

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
        self._thread = threading.Thread(target=self._stay_alive, name=f"lease-{record.id}", daemon=True)
        self._thread.start()

    def note(self, **changes: Any) -> None:
        """Change the record, to be written with the next sign of life.

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
            version = self._store.write(self._key, _coded(self.record), self._version)
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

    def _stay_alive(self) -> None:
        while not self._ended.wait(self.record.lease_s / SIGNS_PER_LEASE):
            try:
                self.renew()
            except LeaseLost:
                return
            except PotholeError as exc:
                # Nothing is lost before another worker comes, and the next sign of life may get through.
                _logger.warning("no sign of life", extra={"job": self.record.id, "reason": str(exc)})


def publishing_key(output_key: str) -> str:
    """Return the key of the record of who publishes outputs there."""
    folder, slash, name = output_key.rpartition("/")
    # Of a fixed length, since keys end at 1024 bytes.
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{folder}{slash}{FOLDER}/publishing-{digest}.json"


def segments_folder(record_key: str) -> str:
    """Return the folder of a job's segments, beside its record."""
    return record_key.rpartition("/")[0] + "/segments"


def record_key(output_key: str, job_id: str) -> str:
    """Return the key of a job's record, in a folder beside its outputs that is the job's own."""
    folder, slash, _ = output_key.rpartition("/")
    return f"{folder}{slash}{FOLDER}/{job_id}/record.json"


def claim(
    store: Storage, key: str, record: Record, on_event: Callable[[Event], None] = lambda event: None
) -> Lease | Record:
    """Take a job to work on it, unless it is done or somebody works on it.

    Args:
        store: Where the outputs go.
        key: The record's, see `record_key`.
        record: See `Record.new`.
        on_event: Told what becomes of the lease.

    Returns:
        The lease, or the record of who has or had it.
    """
    replaces, mine = None, record
    while True:
        if version := store.write(key, _coded(mine), replaces):
            on_event("claimed" if mine.attempt == 1 else "taken_over")
            return Lease(store, key, mine, version, on_event)
        try:
            data, stat = store.read(key)
        except SourceNotFound:  # deleted meanwhile
            replaces, mine = None, record
            continue
        there = _decoded(data)
        if there and is_taken(store, there, stat.age_s):
            return there
        replaces, mine = stat.version, record.after(there) if there else record


@contextmanager
def alone(store: Storage, key: str, lease_s: int, check: Callable[[], None]) -> Iterator[None]:
    """Hold a lease of its own at `key`; wait while somebody else does.

    Args:
        store: Where it is.
        key: The record's.
        lease_s: Seconds after which one that is not renewed is nobody's.
        check: Called while waiting; what it raises goes on.
    """
    record = Record.new(id=key, source=store.address(key), source_version="", lease_s=lease_s)
    while not isinstance(lease := claim(store, key, record), Lease):
        check()
        time.sleep(WAIT_S)
    try:
        yield
    finally:
        with suppress(PotholeError):  # it runs out by itself, or has been taken
            lease.end("interrupted")


def look(store: Storage, key: str) -> Record | None:
    """Return the record of a job that is done or that somebody works on; None of any other."""
    try:
        data, stat = store.read(key)
    except PotholeError:
        return None
    there = _decoded(data)
    return there if there and is_taken(store, there, stat.age_s) else None


def is_taken(store: Storage, record: Record, age_s: float) -> bool:
    """Say whether a job needs no worker: it is done, its outputs untouched, or its worker is alive.

    An age far below zero, as after a clock was set back, says as little for a worker's life as a high one.
    """
    if record.state == "done":
        return all(_is_there(store, output) for output in record.outputs)
    return record.state in {"queued", "running"} and abs(age_s) <= record.lease_s


def _is_there(store: Storage, output: Output) -> bool:
    try:
        return store.stat(output.key).version == output.version
    except SourceNotFound:
        return False


def _coded(record: Record) -> bytes:
    return record.model_dump_json(indent=1).encode()


def _decoded(data: bytes) -> Record | None:
    """Return a record; None when somebody has written something else in its place."""
    try:
        return Record.model_validate_json(data)
    except ValidationError:
        return None

"""The record of a job lies beside its outputs.

It says in which of these states the job is:

    queued ──▶ running ──▶ done           the outputs are there
                  │  └───▶ failed         `error` says the reason
                  ├──────▶ interrupted    the worker was told to stop; whoever comes next goes on
                  └──────▶ cancelled      somebody wanted it to end; whoever comes next begins anew
"""

import hashlib
import json
import os
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from pothole.errors import PASSING, PotholeError
from pothole.files import readable_text
from pothole.storage.scratch import FOLDER
from pothole.types import Natural

State = Literal["queued", "running", "interrupted", "cancelled", "done", "failed"]


class Output(BaseModel):
    """This is a file that a job wrote, by the version that it had then."""

    model_config = ConfigDict(frozen=True)

    key: Annotated[str, PlainSerializer(readable_text)]  # a file's key may be no UTF-8, which JSON has to be
    address: str
    version: str


class Record(BaseModel):
    """The record says what is known of a job.

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
        resumed_at: How many of these frames an earlier worker has done.
        segments: Number of segments that are stored, from which the job can go on.
        crashes: Number of workers that died with it since the last segment was stored.
        eta_s: Seconds to the end as it looks now, None when that is not known.
        outputs: The video first.
        result: What `JobResult.to_json` says, of a job that is done.
        error: `code`, `message` and `hint` of a job that failed.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    id: str
    state: State
    source: str
    source_version: str
    owner: str
    lease_s: Annotated[int, Field(ge=1)]
    attempt: Annotated[int, Field(ge=1)] = 1
    heartbeat: datetime
    frames: Natural = 0
    total: Natural | None = None
    potholes: Natural = 0
    resumed_at: Natural = 0
    segments: Natural = 0
    crashes: Natural = 0
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
                "segments": 0 if earlier.state in ("done", "cancelled") else earlier.segments,
                "crashes": crashes.get(earlier.state, 0),
            }
        )

    @property
    def failure(self) -> PotholeError | None:
        """Return why the job failed, if it would fail so again; None for any other job."""
        if self.state != "failed" or self.error is None:
            return None
        error = PotholeError.from_json(self.error)
        return None if isinstance(error, PASSING) else error

    def to_bytes(self) -> bytes:
        """Return the record as it is stored."""
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self | None:
        """Return a record; None when somebody has written something else in its place."""
        try:
            record = cls.model_validate_json(data)
            json.dumps(record.result, allow_nan=False)  # it is answered as it is
        except ValueError:
            return None
        return record


def publishing_key(output_key: str) -> str:
    """Return the key of the record of who publishes outputs there."""
    folder, slash, name = output_key.rpartition("/")
    # The digest has a fixed length, since keys end at 1024 bytes.
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return f"{folder}{slash}{FOLDER}/publishing-{digest}.json"


def segments_folder(record_key: str) -> str:
    """Return the folder of a job's segments, beside its record."""
    return record_key.rpartition("/")[0] + "/segments"


def record_key(output_key: str, job_id: str) -> str:
    """Return the key of a job's record, in a folder beside its outputs that is the job's own."""
    folder, slash, _ = output_key.rpartition("/")
    return f"{folder}{slash}{FOLDER}/{job_id}/record.json"

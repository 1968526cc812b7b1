"""What was seen goes as records into a stream of Kinesis Data: of each video stream one by one, in order."""

import base64
import json
import logging
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.errors import Interrupted, TooLarge
from pothole.types import Json

MAX_RECORD_BYTES = 2**20  # of its data and its key
MAX_RECORDS, MAX_CALL_BYTES = 500, 5 * 2**20  # of one call of PutRecords
FIRST_WAIT_S, MAX_WAIT_S = 0.1, 10.0  # until records that were not taken are sent again
_logger = logging.getLogger("pothole.stream")


@dataclass(frozen=True)
class StreamFrame:
    """A stream frame is where a picture comes from.

    Attributes:
        stream: Name of the video stream.
        fragment: Number of the fragment.
        server_ms: When the fragment came in, by the service's clock, in milliseconds since 1970.
        producer_ms: When it began, by the producer's clock.
        track: The track in the fragment.
        timecode_ms: The picture's time as the fragment has it.
    """

    stream: str
    fragment: str
    server_ms: int
    producer_ms: int
    track: int
    timecode_ms: int


def original_record(frame: StreamFrame, output: bytes) -> bytes:
    """Return a record as AWS's application writes it: what it is of in the words of its Java classes."""
    fragment = (
        f"FragmentMetadata(fragmentNumberString={frame.fragment}, "
        f"serverSideTimestampMillis={frame.server_ms}, producerSideTimestampMillis={frame.producer_ms}, "
        f"fragmentNumber={frame.fragment}, success=true, errorId=0, errorCode=null, "
        "millisBehindNow=OptionalLong.empty, continuationToken=Optional.empty)"
    )
    picture = (
        f"Frame(trackNumber={frame.track}, timeCode={frame.timecode_ms}, keyFrame=true, invisible=false, "
        "discardable=false, lacing=NO)"
    )
    record = {
        "streamName": frame.stream,
        "fragmentMetaData": fragment,
        "frameMetaData": picture,
        "sageMakerOutput": base64.b64encode(output).decode(),
    }
    return json.dumps(record).encode()


def json_record(frame: StreamFrame, output: bytes, picture: bytes | None) -> bytes:
    """Return a record in plain JSON.

    Args:
        frame: Where the picture comes from.
        output: What the endpoint said of it.
        picture: The picture as it was sent; None to leave it out.
    """
    record: Json = {
        "stream": frame.stream,
        "fragment": frame.fragment,
        "time": datetime.fromtimestamp(frame.producer_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "ingested": datetime.fromtimestamp(frame.server_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "track_number": frame.track,
        "timecode_ms": frame.timecode_ms,
    }
    try:
        record["answer"] = json.loads(output, parse_constant=_no_number)
    except ValueError:  # an endpoint may answer with anything
        record["answer_base64"] = base64.b64encode(output).decode()
    if picture is not None:
        record["picture_base64"] = base64.b64encode(picture).decode()
    return json.dumps(record, ensure_ascii=False).encode()


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is none in JSON")


@dataclass(frozen=True)
class _Record:
    key: str
    data: bytes
    done: "Future[None]" = field(default_factory=Future)

    @property
    def size(self) -> int:
        return len(self.data) + len(self.key.encode())


class RecordStream:
    """A record stream takes one record of each video stream at a time, and sends those of all together.

    So a record that is not taken is sent again before the next one of its stream, and none overtakes it: the
    answer to a call that took some of several says nothing of their order. A context manager.

    Args:
        client: Asks Kinesis Data Streams.
        name: The stream's name.
        metrics: Are told of what was written.
    """

    def __init__(self, client: Any, name: str, metrics: StreamMetrics) -> None:
        self._client, self._name, self._metrics = client, name, metrics
        self._queue: queue.SimpleQueue[_Record | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._queue.put(None)
        self._thread.join()

    def put(self, key: str, data: bytes) -> None:
        """Write a record; return when it is in.

        Args:
            key: The video stream, whose records stay in order.
            data: The record.

        Raises:
            TooLarge: Kinesis takes none of this size.
            Interrupted: The consumer ends.
        """
        record = _Record(key, data)
        if record.size > MAX_RECORD_BYTES:
            raise TooLarge(
                f"A record of {key} has {record.size} bytes, and {MAX_RECORD_BYTES} are taken.",
                hint="Leave out the picture, or let the endpoint say less.",
            )
        self._queue.put(record)
        record.done.result()

    def _run(self) -> None:
        waiting: list[_Record] = []
        wait_s = FIRST_WAIT_S
        while not self._ended.is_set():
            waiting += self._arrived(wait=not waiting)
            batch = _batch(waiting)
            left = self._send(batch)
            waiting = left + waiting[len(batch) :]
            if left:
                self._ended.wait(wait_s)
                wait_s = min(MAX_WAIT_S, 2 * wait_s)
            else:
                wait_s = FIRST_WAIT_S
        for record in waiting + self._arrived(wait=False):
            record.done.set_exception(Interrupted("The consumer ends before a record is in."))

    def _arrived(self, wait: bool) -> list[_Record]:
        """Return what was put meanwhile."""
        found = [self._queue.get()] if wait else []
        while not self._queue.empty():
            found.append(self._queue.get())
        return [record for record in found if record is not None]

    def _send(self, batch: list[_Record]) -> list[_Record]:
        """Send records, and return those that were not taken."""
        if not batch:
            return []
        records = [{"PartitionKey": record.key, "Data": record.data} for record in batch]
        try:
            answers = self._client.put_records(StreamName=self._name, Records=records)["Records"]
        except (ClientError, BotoCoreError) as exc:
            return self._not_taken(batch, str(exc))
        failed = []
        for record, answer in zip(batch, answers, strict=True):
            if "ErrorCode" in answer:
                failed.append(record)
            else:
                record.done.set_result(None)
        self._metrics.count("RecordsWritten", len(batch) - len(failed))
        if not failed:
            return []
        codes = sorted({answer["ErrorCode"] for answer in answers if "ErrorCode" in answer})
        return self._not_taken(failed, ", ".join(codes))

    def _not_taken(self, records: list[_Record], reason: str) -> list[_Record]:
        self._metrics.count("RecordsRetried", len(records))
        _logger.warning("records not taken", extra={"records": len(records), "reason": reason})
        return records


def _batch(waiting: list[_Record]) -> list[_Record]:
    """Return the oldest records that fit into one call."""
    chosen, size = [], 0
    for record in waiting[:MAX_RECORDS]:
        size += record.size
        if size > MAX_CALL_BYTES:
            break
        chosen.append(record)
    return chosen

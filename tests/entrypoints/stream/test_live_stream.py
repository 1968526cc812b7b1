"""A stream from its fragments to its records: every sixth picture, in order, none lost and none too many."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from pothole.entrypoints.stream.inference import Inference, Places
from pothole.entrypoints.stream.lease_table import Checkpoint
from pothole.entrypoints.stream.live_stream import LiveStream, Part, Picture, Services
from pothole.entrypoints.stream.local import LocalDetector
from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.entrypoints.stream.records import RecordStream, json_record, original_record
from pothole.errors import StorageUnavailable
from support.fakes import MagentaDetector
from support.pictures import SIZE, road
from support.streams import DataStream, FaultyEndpoint, numbered, parts


class Running:
    """What serves streams in a test.

    Attributes:
        saved: Checkpoints, in order.
        is_ours: Whether the lease still is.
    """

    def __init__(self, predictor: Any, data: DataStream, interval: int, most: int = 5000) -> None:
        self.metrics, self.places = StreamMetrics(), Places(most)
        self.saved: list[Checkpoint] = []
        self.is_ours = True
        self._stack = ExitStack()
        inference = self._stack.enter_context(Inference(predictor, 20, 0.6, "look-{}".format, self.metrics))
        records = self._stack.enter_context(RecordStream(data.client, data.name, self.metrics))
        self.services = Services(
            *(self.read, predictor, inference, self.places, records, self.form, False, self.save),
            *(self.metrics, interval),
        )
        self.parts: Callable[[str | None], Iterator[Part]] = lambda after: parts(60, after)
        self.form_of: Any = original_record

    def form(self, frame: Any, output: bytes, picture: bytes | None) -> bytes:
        return (
            self.form_of(frame, output)
            if self.form_of is original_record
            else json_record(frame, output, picture)
        )

    def read(self, stream: str, after: str | None, stopped: threading.Event) -> Iterator[Part]:
        return self.parts(after)

    def save(self, stream: str, checkpoint: Checkpoint) -> bool:
        if self.is_ours:
            self.saved.append(checkpoint)
        return self.is_ours

    def counted(self) -> dict[str, int]:
        with self.metrics._lock:
            return dict(self.metrics._counts)

    def close(self) -> None:
        self._stack.close()


@contextmanager
def running(predictor: Any, data: DataStream, interval: int = 6, **options: Any) -> Iterator[Running]:
    run = Running(predictor, data, interval, **options)
    try:
        yield run
    finally:
        run.close()


def wait(stream: LiveStream, timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not stream.is_done:
        assert time.monotonic() < end
        time.sleep(0.01)


def fragments(data: DataStream) -> list[int]:
    return [int(r["fragmentMetaData"].partition("String=")[2].partition(",")[0]) for r in data.read()]


SIXTH = [1, 7, 13, 19, 25, 31, 37, 43, 49, 55]


def test_of_60_i_frames_ten_are_looked_at_and_ten_records_written_in_order(
    endpoint: FaultyEndpoint, data_stream: DataStream
) -> None:
    predictor = endpoint.predictor(timeout_s=0.6)
    with running(predictor, data_stream) as run:
        stream = LiveStream("road", run.services, None)
        wait(stream)
    assert len(endpoint.bodies) == 10
    assert fragments(data_stream) == SIXTH
    for record, number in zip(data_stream.read(), SIXTH, strict=True):
        answer = json.loads(base64.b64decode(record["sageMakerOutput"]))
        sent = predictor.prepare(numbered(number).image)
        assert answer["digest"] == hashlib.sha256(sent).hexdigest(), "the answer is another picture's"
    assert run.saved[-1] == Checkpoint("60", 60)
    assert run.places.taken == 0


def test_an_endpoint_that_fails_for_half_of_the_calls_loses_nothing_and_the_queue_stays_bounded(
    endpoint: FaultyEndpoint, data_stream: DataStream
) -> None:
    endpoint.fault = lambda number: 503 if number % 2 else None
    with running(endpoint.predictor(timeout_s=0.6), data_stream, interval=1, most=5) as run:
        run.parts = lambda after: parts(16)
        stream = LiveStream("road", run.services, None)
        most = 0
        while not stream.is_done:
            most = max(most, run.places.taken)
            time.sleep(0.005)
    assert fragments(data_stream) == list(range(1, 17))
    assert 0 < most <= 5
    assert run.saved[-1] == Checkpoint("16", 16)


def test_no_checkpoint_is_before_its_records_and_the_choice_of_pictures_goes_on_from_it(
    endpoint: FaultyEndpoint, data_stream: DataStream
) -> None:
    """A consumer that dies after any checkpoint leaves the next one exactly what is missing."""
    with running(endpoint.predictor(timeout_s=0.6), data_stream) as run:
        run.services.records.put = _ending_after(3, run)  # type: ignore[method-assign]
        wait(LiveStream("road", run.services, None))
    assert fragments(data_stream) == SIXTH[:3]
    assert run.saved[-1] == Checkpoint("18", 18), "what comes before the fourth chosen picture, and no more"
    with running(endpoint.predictor(timeout_s=0.6), data_stream) as again:
        wait(LiveStream("road", again.services, run.saved[-1]))
    assert fragments(data_stream) == SIXTH


def _ending_after(number: int, run: Running) -> Callable[[str, bytes], None]:
    put, left = run.services.records.put, iter(range(number))

    def ending(key: str, data: bytes) -> None:
        if next(left, None) is None:
            raise RuntimeError("the consumer dies")
        put(key, data)

    return ending


def test_a_stream_that_others_have_taken_writes_nothing_more(
    endpoint: FaultyEndpoint, data_stream: DataStream
) -> None:
    with running(endpoint.predictor(timeout_s=0.6), data_stream) as run:
        run.is_ours = False
        wait(LiveStream("road", run.services, None))
        assert len(data_stream.read()) <= 1
        assert run.places.taken == 0


def test_a_stream_that_is_stopped_writes_what_it_has_read(
    endpoint: FaultyEndpoint, data_stream: DataStream
) -> None:
    endpoint.fault = lambda number: 0.3
    with running(endpoint.predictor(timeout_s=0.6), data_stream, interval=1) as run:
        asked = threading.Event()

        def slowly(after: str | None) -> Iterator[Part]:
            for number, part in enumerate(parts(60)):
                yield part
                if number == 4:
                    asked.set()
                    time.sleep(0.1)

        run.parts = slowly
        stream = LiveStream("road", run.services, None)
        asked.wait()
        stream.stop()
        wait(stream)
        found = fragments(data_stream)
    assert found in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6])
    assert run.saved[-1].fragment == str(found[-1]), "who goes on would write a record twice"


def test_a_refused_picture_and_a_reader_that_fails_are_told_and_stop_nothing_else(
    endpoint: FaultyEndpoint, data_stream: DataStream, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.fault = lambda number: 415 if number == 0 else None

    def failing(after: str | None) -> Iterator[Part]:
        yield from parts(12)
        raise StorageUnavailable("the connection was cut")

    with running(endpoint.predictor(timeout_s=0.6), data_stream) as run:
        run.parts = failing
        wait(LiveStream("road", run.services, None))
    assert fragments(data_stream) in ([1], [7])  # two were on their way at once
    assert run.saved[-1] == Checkpoint("12", 12)
    said = {record.message: record.__dict__.get("reason", "") for record in caplog.records}
    assert "415" in said["a picture is refused"]
    assert "connection was cut" in said["a stream cannot be read"]


def test_our_own_model_tells_of_a_pothole_once_while_the_camera_sees_it(data_stream: DataStream) -> None:
    detector = MagentaDetector()
    with running(LocalDetector(detector), data_stream, interval=1) as run:
        run.form_of = json_record
        # A camera that stands: five pictures of one road with a pothole.
        run.parts = lambda after: (
            Part(p.number, p.server_ms, p.producer_ms, [lambda: Picture(1, 0, road())]) for p in parts(5)
        )
        wait(LiveStream("road", run.services, None))
    answers = [record["answer"] for record in data_stream.read()]
    assert [len(answer["output"]) for answer in answers] == [1] * 5
    assert [answer["output"][0]["new"] for answer in answers] == [True, False, False, False, False]
    assert {answer["output"][0]["track_id"] for answer in answers} == {1}
    assert answers[0]["image"] == {"width": SIZE[0], "height": SIZE[1]}
    assert run.counted()["Potholes"] == 1

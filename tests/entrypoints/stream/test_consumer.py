"""Consumers that share streams: what one leaves, whether it ends or dies, another goes on with."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pothole.entrypoints.stream.consumer import Consumer
from pothole.entrypoints.stream.inference import Inference, Places
from pothole.entrypoints.stream.lease_table import LeaseTable
from pothole.entrypoints.stream.leases import SYNC_KEY, Leases
from pothole.entrypoints.stream.live_stream import LiveStream, Part, Services
from pothole.entrypoints.stream.local import LocalDetector
from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.entrypoints.stream.records import RecordStream, json_record
from support.fakes import MagentaDetector
from support.streams import DataStream, parts

BEAT_S = 0.1


class Fleet:
    """Consumers in threads, over real tables and a real data stream.

    Attributes:
        wanted: The streams that there are.
        duration_s: For which leases last without a sign of life; nobody is slow for so long.
    """

    def __init__(self, open_table: Callable[[str], LeaseTable], data: DataStream) -> None:
        self.open_table, self.data = open_table, data
        self.wanted, self.duration_s = {"a", "b", "c"}, 15.0
        self.threads: dict[str, threading.Thread] = {}
        self.consumers: dict[str, Consumer] = {}

    def start(self, name: str) -> Consumer:
        table, metrics = self.open_table(name), StreamMetrics()
        leases = Leases(table, self.duration_s)
        predictor = LocalDetector(MagentaDetector())
        inference = Inference(predictor, 4, 1, "look-{}".format, metrics)
        records = RecordStream(self.data.client, self.data.name, metrics)

        def read(stream: str, after: str | None, stopped: threading.Event) -> Iterator[Part]:
            for part in parts(10_000, after):
                yield part
                if stopped.wait(0.02):
                    return

        services = Services(
            *(read, predictor, inference, Places(100), records, json_record, False, leases.save, metrics, 1)
        )
        consumer = Consumer(
            table=table,
            leases=leases,
            streams=Chosen(self),  # type: ignore[arg-type]
            open_stream=lambda stream, start: LiveStream(stream, services, start),
            metrics=metrics,
            beat_s=BEAT_S,
            sync_s=0.2,
            shutdown=threading.Event(),
        )

        def run() -> None:
            with records, inference:
                consumer.run()
            consumer.give_back()

        self.consumers[name] = consumer
        self.threads[name] = threading.Thread(target=run, daemon=True)
        self.threads[name].start()
        return consumer

    def end(self, name: str) -> None:
        self.consumers.pop(name).shutdown.set()
        self.threads.pop(name).join(10)

    def owners(self) -> dict[str, str | None]:
        return {lease.key: lease.owner for lease in self.open_table("a test").all()}

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, self.owners()
            time.sleep(0.02)

    def numbers(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        records: list[Any] = self.data.read()
        for record in records:
            found.setdefault(record["stream"], []).append(int(record["fragment"]))
        return found


class Chosen:
    """Stands for `Streams`: which there are is up to the test."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def wanted(self) -> set[str]:
        return set(self.fleet.wanted)


@pytest.fixture
def fleet(lease_table: Callable[[str], LeaseTable], data_stream: DataStream) -> Iterator[Fleet]:
    fleet = Fleet(lease_table, data_stream)
    yield fleet
    for name in list(fleet.consumers):
        fleet.end(name)


def test_streams_are_read_shared_and_handed_over_with_no_picture_twice_or_lost(fleet: Fleet) -> None:
    fleet.start("first")
    fleet.until(lambda: fleet.numbers().keys() == {"a", "b", "c"})
    fleet.start("second")
    fleet.until(lambda: sorted(map(str, fleet.owners().values())) == ["first"] * 2 + ["second"] * 2)
    [one, *_] = [key for key, owner in fleet.owners().items() if owner == "second" and key != SYNC_KEY]
    before = len(fleet.numbers()[one])
    fleet.until(lambda: len(fleet.numbers()[one]) > before + 3)
    fleet.end("first")
    assert "first" not in fleet.owners().values()
    fleet.until(lambda: set(fleet.owners().values()) == {"second"})
    lengths = {stream: len(found) for stream, found in fleet.numbers().items()}
    fleet.until(lambda: all(len(found) > lengths[stream] + 3 for stream, found in fleet.numbers().items()))
    fleet.end("second")
    for found in fleet.numbers().values():
        assert found == list(range(1, len(found) + 1))
    assert set(fleet.owners().values()) == {None}


def test_streams_that_come_and_go_are_noticed(fleet: Fleet) -> None:
    fleet.wanted = {"a"}
    fleet.start("alone")
    fleet.until(lambda: "a" in fleet.numbers())
    fleet.wanted = {"b"}
    fleet.until(lambda: "b" in fleet.numbers())
    fleet.until(lambda: set(fleet.owners()) == {"b", SYNC_KEY})


def test_what_a_dead_consumer_had_goes_on_elsewhere_from_its_checkpoint(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.duration_s = 1.0
    dead = fleet.start("dead")
    fleet.until(
        lambda: all(len(found) > 3 for found in fleet.numbers().values()) and len(fleet.numbers()) == 3
    )
    # It beats no more, and writes nothing more.
    monkeypatch.setattr(dead.leases, "keep", lambda: None)
    monkeypatch.setattr(dead.leases, "renew", lambda: None)
    fleet.start("heir")
    fleet.until(lambda: set(fleet.owners().values()) == {"heir"})
    lengths = {stream: len(found) for stream, found in fleet.numbers().items()}
    fleet.until(lambda: all(len(found) > lengths[stream] + 3 for stream, found in fleet.numbers().items()))
    for found in fleet.numbers().values():
        assert set(found) == set(range(1, max(found) + 1))
        assert len(found) - len(set(found)) <= 2, "more than what was on its way was done twice"

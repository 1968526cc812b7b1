"""Consumers of live streams are killed and streams break: no picture is lost, and few are looked at twice.

`make stream-chaos` does it with STREAMS=8, WORKERS=3, STREAM_SECONDS=1800 of each stream at SPEED=10,
KILLS=30 and FAULTS=30.
"""

import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytest

from kinesis_video import KinesisVideo
from live_fragments import groups_of
from support.clips import make_clip
from support.pictures import SIZE, road
from support.servers import ROOT
from support.streams import DataStream

STREAMS = int(os.environ.get("STREAMS", "2"))
WORKERS = int(os.environ.get("WORKERS", "2"))
SECONDS = float(os.environ.get("STREAM_SECONDS", "16"))
SPEED = float(os.environ.get("SPEED", "4"))
KILLS = int(os.environ.get("KILLS", "1"))
FAULTS = int(os.environ.get("FAULTS", "2"))
KINDS = ("cut", "stall", "throttle", "down", "error:5000", "error:3002")
GROUP_S = 1.0  # each has one I-frame
LEASE_MS = 2000
PATIENCE_S = 90 + SECONDS / SPEED
figures = logging.getLogger("figures")
Seen = tuple[str, str]  # stream and fragment


class Workers:
    """Processes that share the streams; one that is killed is followed by a new one."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = os.environ | environment, log
        self.running: list[subprocess.Popen[bytes]] = []
        self.memory_mb: list[float] = []

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, str(ROOT / "tests/support/magenta_pothole.py"), "stream"]
            self.running.append(subprocess.Popen(command, env=self._environment, stdout=log, stderr=log))

    def kill(self, dice: random.Random) -> None:
        worker = dice.choice(self.running)
        self.look()
        worker.kill()
        worker.wait()
        self.running.remove(worker)
        self.start()

    def look(self) -> None:
        """Note how much memory each has."""
        for worker in self.running:
            assert worker.poll() is None, self._log.read_text()[-2000:]
            status = Path(f"/proc/{worker.pid}/status").read_text()
            self.memory_mb.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)


@contextmanager
def workers(environment: dict[str, str], log: Path) -> Iterator[Workers]:
    started = Workers(environment, log)
    try:
        for _ in range(WORKERS):
            started.start()
        yield started
    finally:
        for worker in started.running:
            worker.kill()
            worker.wait()


@pytest.mark.timeout(4000)
def test_no_picture_is_lost_and_few_are_looked_at_twice(
    lease_table: Any, data_stream: DataStream, tmp_path: Path
) -> None:
    dice = random.Random(1)
    clip = make_clip(tmp_path / "clip.mp4", round(30 * GROUP_S) * 4, size=SIZE, picture=road)
    groups = list(groups_of(clip, GROUP_S))
    names = [f"car-{number}" for number in range(STREAMS)]
    told = {
        "streamNames": names,
        "kdsStreamName": data_stream.name,
        "inferenceInterval": 1,
        "recordFormat": "json",
        "leaseTable": lease_table("a test")._table,
        "leaseDurationInMilli": LEASE_MS,
    }
    with KinesisVideo(stall_s=1.0) as service:
        for name in names:
            service.create(name)
        environment = {
            "AWS_ENDPOINT_URL_KINESIS_VIDEO": service.url,
            "STREAM_CONFIGURATION": json.dumps(told),
        }
        with workers(environment, tmp_path / "log") as running:
            first = _read_from(service, names, groups, data_stream, running)
            rounds = round(SECONDS / (len(groups) * GROUP_S))
            cameras = [service.produce(name, groups, SPEED, rounds) for name in names]
            began, lasts = time.monotonic(), SECONDS / SPEED
            events = sorted(
                [(dice.uniform(0, lasts), "kill") for _ in range(KILLS)]
                + [(dice.uniform(0, lasts), "fault") for _ in range(FAULTS)]
            )
            for at, what in events:
                time.sleep(max(0.0, began + at - time.monotonic()))
                if what == "kill":
                    running.kill(dice)
                else:
                    service.fault(dice.choice(names), dice.choice(KINDS))
            for camera in cameras:
                camera.join()
            running.look()
            wanted = {
                (name, number)
                for name in names
                for number in service.fragments(name)[:-1]  # the last one may wait for a next one
                if int(number) > first[name]
            }
            arrived = _all_of(wanted, data_stream)
    seen = [_seen(record) for record, _ in arrived]
    missing = wanted - set(seen)
    assert not missing, f"{len(missing)} of {len(wanted)} are missing, such as {sorted(missing)[:3]}"
    twice = len(seen) - len(set(seen))
    late = [written - datetime.fromisoformat(record["ingested"]).timestamp() for record, written in arrived]
    figures.info(
        "%d I-frames of %d streams, %d kills, %d faults: all recorded, %d twice (%.1f %%); lag p50 %.1f s, "
        "p95 %.1f s, longest %.1f s; a worker took %.0f MB at most",
        *(len(wanted), STREAMS, KILLS, FAULTS, twice, 100 * twice / len(wanted)),
        *(median(late), quantiles(late, n=20)[18], max(late)),
        max(running.memory_mb),
    )
    assert twice <= max(0.02 * len(wanted), 4 * (KILLS + FAULTS))


def _read_from(
    service: KinesisVideo, names: list[str], groups: list[Any], data: DataStream, running: Workers
) -> dict[str, int]:
    """Feed the streams until each is read; return the number of the last fragment before the count begins."""
    end = time.monotonic() + 120
    while {record["stream"] for record in data.read()} != set(names):
        assert time.monotonic() < end, "not every stream is read"
        running.look()
        for name in names:
            service.produce(name, groups[:1], speed=100).join()
        time.sleep(0.5)
    time.sleep(1)
    return {name: int(service.fragments(name)[-1]) for name in names}


def _all_of(wanted: set[Seen], data: DataStream) -> list[tuple[dict[str, Any], float]]:
    """Return the records that are wanted, with their times of arrival, once all are there or time is up."""
    end = time.monotonic() + PATIENCE_S
    while True:
        arrived = [each for each in data.arrived() if _seen(each[0]) in wanted]
        if wanted == {_seen(record) for record, _ in arrived} or time.monotonic() > end:
            return arrived
        time.sleep(0.5)


def _seen(record: dict[str, Any]) -> Seen:
    return record["stream"], record["fragment"]

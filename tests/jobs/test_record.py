"""One job, one worker: who gets it, who keeps it, who gets it next; in S3 and in folders alike."""

import json
import math
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pothole.errors import LeaseLost, StorageUnavailable
from pothole.jobs.lease import Event, Lease, claim, find_active
from pothole.jobs.record import Output, Record, record_key
from pothole.settings import Settings
from pothole.storage import LocalStorage, Storage, open_s3

KEY = record_key("dir/clip_output", "id")


@pytest.fixture(params=["s3", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return open_s3(request.getfixturevalue("bucket"), Settings())
    return LocalStorage(tmp_path / "root")


def new(lease_s: int = 60) -> Record:
    return Record.new("id", "s3://b/dir/clip.mp4", "v1", lease_s)


def taken(store: Storage, record: Record | None = None) -> Lease:
    lease = claim(store, KEY, record or new())
    assert isinstance(lease, Lease)
    return lease


def there(store: Storage) -> Record:
    return Record.model_validate_json(store.read(KEY)[0])


def aged(store: Storage, seconds: float) -> Storage:
    """The same storage, whose clock is some seconds ahead."""

    class Aged(type(store)):  # type: ignore[misc]
        def __init__(self) -> None:
            self.__dict__ = store.__dict__

        def read(self, key: str) -> tuple[bytes, object]:
            from dataclasses import replace

            data, stat = store.read(key)
            return data, replace(stat, age_s=stat.age_s + seconds)

    return Aged()  # type: ignore[no-any-return]


def test_the_record_lies_in_a_folder_of_the_job_beside_its_output() -> None:
    assert KEY == "dir/.pothole/id/record.json"
    assert record_key("clip_output", "id") == ".pothole/id/record.json"


def test_a_job_is_claimed_once_and_the_next_one_is_shown_who_has_it(store: Storage) -> None:
    lease = taken(store)
    second = claim(store, KEY, new())
    assert isinstance(second, Record)
    assert second.owner == lease.record.owner == there(store).owner
    assert (second.state, second.attempt) == ("queued", 1)
    lease.end("failed")


def test_of_twenty_claims_at_once_one_is_granted(store: Storage) -> None:
    start, got = threading.Barrier(20), []

    def ask() -> None:
        start.wait()
        got.append(claim(store, KEY, new()))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [lease] = [answer for answer in got if isinstance(answer, Lease)]
    assert {answer.owner for answer in got if isinstance(answer, Record)} == {lease.record.owner}
    lease.end("failed")


def test_progress_is_in_the_record_and_the_lease_is_renewed_while_the_work_goes_on(store: Storage) -> None:
    lease = taken(store, new(lease_s=1))
    lease.note(state="running", frames=7, total=20, eta_s=3.5)
    deadline = time.monotonic() + 20
    while there(store).frames != 7 and time.monotonic() < deadline:
        time.sleep(0.05)
    seen = there(store)
    assert (seen.state, seen.frames, seen.total, seen.eta_s) == ("running", 7, 20, 3.5)
    while there(store).heartbeat == seen.heartbeat and time.monotonic() < deadline:
        time.sleep(0.05)
    assert datetime.now(UTC).timestamp() - there(store).heartbeat.timestamp() < 5
    lease.end("interrupted")


def test_a_job_whose_worker_shows_no_sign_of_life_goes_to_the_next(store: Storage) -> None:
    first = taken(store)
    assert isinstance(claim(aged(store, 50), KEY, new()), Record)
    second = claim(aged(store, 70), KEY, new())
    assert isinstance(second, Lease)
    assert second.record.attempt == 2

    events: list[Event] = []
    first._on_event = events.append
    with pytest.raises(LeaseLost):
        first.renew()
    assert events == ["lost"]
    with pytest.raises(LeaseLost):
        first.note(frames=1)
    with pytest.raises(LeaseLost):
        first.end("done")
    assert there(store).owner == second.record.owner
    second.end("failed")


@pytest.mark.parametrize("name", ["frames", "segments", "crashes", "attempt", "lease_s", "potholes"])
def test_a_record_with_a_negative_number_is_none(name: str) -> None:
    good = Record.new(id="id", source="s", source_version="1", lease_s=60).model_dump(mode="json")
    assert Record.from_bytes(json.dumps(good).encode())
    assert Record.from_bytes(json.dumps(good | {name: -1}).encode()) is None


@pytest.mark.parametrize(
    "written",
    [{"eta_s": math.nan}, {"eta_s": math.inf}, {"eta_s": 10**400}, {"result": {"frames": math.nan}}],
    ids=str,
)
def test_a_record_with_what_is_no_number_of_json_is_none(written: dict[str, Any]) -> None:
    """It would be answered as it is, and no client could read the answer."""
    good = Record.new(id="id", source="s", source_version="1", lease_s=60).model_dump(mode="json")
    assert Record.from_bytes(json.dumps(good | written).encode()) is None


@pytest.mark.parametrize("key", ["../../etc/passwd", "/", "a\0b", "a" * 5000])
def test_a_job_whose_output_is_where_none_can_be_is_done_again(store: Storage, key: str) -> None:
    taken(store).end("done", outputs=(Output(key=key, address="a", version="1"),))
    taken(store).end("failed")


def test_the_next_worker_knows_of_the_segments_and_how_many_died_since_the_last(store: Storage) -> None:
    later = aged(store, 70)
    for crashes in range(3):
        lease = claim(later, KEY, new())
        assert isinstance(lease, Lease)
        assert (lease.record.segments, lease.record.crashes) == (0, crashes)
        lease.note(state="running")
        lease.renew()
        lease._ended.set()
    lease = claim(later, KEY, new())
    assert isinstance(lease, Lease)
    lease.note(state="running", segments=4, crashes=0)
    lease.end("interrupted")
    lease = taken(store)
    assert (lease.record.segments, lease.record.crashes, lease.record.attempt) == (4, 0, 5)
    lease._ended.set()
    lease = claim(later, KEY, new())
    assert isinstance(lease, Lease)
    assert (lease.record.segments, lease.record.crashes) == (4, 0), "to die in the queue is no crash of a job"
    lease.note(crashes=2)
    lease.end("failed")
    lease = taken(store)
    assert (lease.record.segments, lease.record.crashes) == (4, 0)
    lease.end("done", outputs=(Output(key="gone", address="a", version="v"),))
    lease = taken(store)
    assert (lease.record.segments, lease.record.attempt) == (0, 8)
    lease.end("failed")


def test_notes_of_two_threads_are_all_kept(tmp_path: Path) -> None:
    """One tells of the progress, the other of the segments."""
    lease = taken(LocalStorage(tmp_path))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    together = threading.Barrier(2)

    def count(field: str) -> None:
        together.wait()
        for _ in range(20_000):
            lease.note(**{field: getattr(lease.record, field) + 1})

    threads = [threading.Thread(target=count, args=[field]) for field in ("frames", "segments")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert (lease.record.frames, lease.record.segments) == (20_000, 20_000)
    lease.end("failed")


def test_a_clock_that_was_set_back_keeps_no_dead_worker_alive(store: Storage) -> None:
    taken(store)
    assert isinstance(claim(aged(store, -3600), KEY, new()), Lease)


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_a_job_that_did_not_end_well_is_taken_up_at_once(store: Storage, state: str) -> None:
    taken(store).end(state)  # type: ignore[arg-type]
    assert find_active(store, KEY) is None
    again = taken(store)
    assert again.record.attempt == 2
    again.end("failed")


def test_a_job_that_is_done_is_not_done_again_while_its_outputs_are_there(store: Storage) -> None:
    version = store.write("dir/clip_output.mp4", b"marked", None)
    assert version
    output = Output(key="dir/clip_output.mp4", address="a", version=version)
    taken(store).end("done", outputs=(output,))
    done = claim(store, KEY, new())
    assert isinstance(done, Record)
    assert (done.state, done.outputs) == ("done", (output,))
    assert find_active(store, KEY) == done

    store.write("dir/clip_output.mp4", b"another's", version)
    taken(store).end("done", outputs=(output,))
    store.delete("dir")
    taken(store).end("failed")


def test_a_record_that_somebody_else_has_written_over_is_replaced(store: Storage) -> None:
    store.write(KEY, b'{"hello": 1}', None)
    taken(store).end("failed")
    assert there(store).state == "failed"


def test_a_storage_that_fails_for_a_while_costs_no_lease(tmp_path: Path) -> None:
    failing = threading.Event()

    class Failing(LocalStorage):
        def write(self, key: str, data: bytes, replaces: str | None) -> str | None:
            if failing.is_set():
                raise StorageUnavailable("S3 did not answer.")
            return super().write(key, data, replaces)

    store = Failing(tmp_path)
    lease = taken(store, new(lease_s=1))
    failing.set()
    time.sleep(0.6)  # two signs of life fail
    failing.clear()
    lease.note(frames=3)
    assert lease.end("interrupted").frames == 3
    assert there(store).state == "interrupted"

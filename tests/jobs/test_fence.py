"""A worker that was overtaken while it published writes over nothing of its successor."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pothole.errors import Interrupted, LeaseLost
from pothole.job import Job
from pothole.jobs.lease import Lease
from pothole.jobs.record import Record
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import ANY, LocalStorage, Storage, open_folder, open_s3
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road

OUTPUTS = "clip_output.json", "clip_output.mp4"


class Stalling:
    """A storage whose worker is stopped before an output is published: it renews no lease meanwhile."""

    def __init__(self, store: Storage, before: str, lost: threading.Event, go_on: threading.Event) -> None:
        self._store, self._before, self._lost, self._go_on = store, before, lost, go_on

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def write(self, key: str, data: bytes, replaces: str | None) -> str | None:
        if self._lost.is_set() and not self._go_on.is_set():
            self._go_on.wait(30)
        return self._store.write(key, data, replaces)

    def publish(self, path: Path, key: str, content_type: str, replaces: str | None = ANY) -> str | None:
        if key.endswith(self._before):
            self._lost.set()
            assert self._go_on.wait(30)
        return self._store.publish(path, key, content_type, replaces)


@pytest.fixture(params=["s3", "folder"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, settings: Settings
) -> Callable[[str], Storage]:
    if request.param == "folder":
        return lambda _: LocalStorage(tmp_path / "folder")
    bucket = request.getfixturevalue("bucket")
    return lambda _: open_s3(bucket, settings)


def put_clip(store: Storage, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "made.mp4", 4, size=SIZE, picture=road)
    store.publish(clip, "clip.mp4", "video/mp4")


def outputs(store: Storage, tmp_path: Path) -> list[bytes]:
    folder = tmp_path / "fetched"
    folder.mkdir(exist_ok=True)
    return [store.fetch(key, folder, 10**7).read_bytes() for key in OUTPUTS]


def start(worker: Worker, job: Job) -> Record:
    lease = worker.claim(job)
    assert isinstance(lease, Lease)
    return worker.run(job, lease)


@pytest.mark.parametrize("before", OUTPUTS)
@pytest.mark.parametrize("same_job", [True, False])
def test_who_was_stopped_while_publishing_leaves_the_outputs_of_the_next_alone(
    tmp_path: Path, settings: Settings, open_store: Callable[[str], Storage], before: str, same_job: bool
) -> None:
    settings = replace(settings, lease_s=1)
    put_clip(open_store(""), tmp_path)
    lost, go_on = threading.Event(), threading.Event()
    stalled = Worker(
        MagentaDetector(), "model", lambda name: Stalling(open_store(name), before, lost, go_on), settings
    )
    other = Worker(MagentaDetector(), "model", open_store, settings)
    job = Job("bucket", "clip.mp4", is_live=True)
    second = job if same_job else replace(job, short_labels=True)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(start, stalled, job)
        assert lost.wait(30)
        while not isinstance(lease := other.claim(second), Lease):
            pass
        record = other.run(second, lease)
        whole = outputs(open_store(""), tmp_path)
        go_on.set()
        with pytest.raises(LeaseLost):
            first.result(30)
    assert outputs(open_store(""), tmp_path) == whole
    assert other.claim(second) == record


def test_an_output_that_somebody_without_a_lease_replaces_is_no_done_job(
    tmp_path: Path, settings: Settings
) -> None:
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)

    class Meddled(LocalStorage):
        def publish(self, path: Path, key: str, content_type: str, replaces: str | None = ANY) -> str | None:
            version = super().publish(path, key, content_type, replaces)
            if key.endswith(".mp4"):
                (tmp_path / "clip_output.json").write_text("{}")
            return version

    job = Job(str(tmp_path), "clip.mp4", is_live=True)
    with pytest.raises(Interrupted, match=r"clip_output.json was replaced"):
        start(Worker(MagentaDetector(), "model", lambda _: Meddled(tmp_path), settings), job)
    assert start(Worker(MagentaDetector(), "model", open_folder, settings), job).state == "done"

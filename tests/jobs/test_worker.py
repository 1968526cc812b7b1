"""A worker and its lease: what is published, and what is not."""

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pothole.detections import Detections
from pothole.errors import InvalidMedia, LeaseLost, SourceIsOutput, StorageUnavailable
from pothole.job_order import Job
from pothole.jobs.lease import Lease
from pothole.jobs.record import Record
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import Confirm, LocalStorage, open_folder
from pothole.types import Image
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road


def claimed(worker: Worker, job: Job) -> Lease:
    lease = worker.claim(job)
    assert isinstance(lease, Lease)
    return lease


def test_a_worker_that_has_lost_its_lease_publishes_nothing(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)
    job = Job(str(tmp_path), "clip.mp4", is_live=True)
    records = tmp_path / ".pothole"

    class Overtaken(MagentaDetector):
        """Meanwhile another worker writes the record."""

        def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
            [record] = records.glob("*/record.json")
            record.write_text(record.read_text().replace("queued", "running") + " ")
            return super().predict(images, *args, **kwargs)

    worker = Worker(Overtaken(), "model", open_folder, settings)
    with pytest.raises(LeaseLost):
        worker.run(job, claimed(worker, job))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".pothole", "clip.mp4", "temporary"]
    assert not list(settings.temp_dir.iterdir())


def test_a_folder_is_worked_on_as_a_bucket_is(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)
    job = Job(str(tmp_path), "clip.mp4", is_live=True)
    worker = Worker(MagentaDetector(), "model", open_folder, settings)
    record = worker.run(job, claimed(worker, job))
    assert (record.state, record.frames) == ("done", 4)
    assert Path(record.outputs[0].address).is_file()
    assert (
        worker.claim(job)
        == worker.find_active(job)
        == Record.model_validate_json(Path(worker.record_address(job, record)).read_text())
    )


def test_jobs_of_other_settings_write_the_same_outputs_one_after_the_other(
    tmp_path: Path, settings: Settings
) -> None:
    """Or the video of one would lie beside the data of the other."""
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)
    between, go_on = threading.Event(), threading.Event()

    class Slow(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            address = super().publish(path, key, content_type, confirm)
            if key.endswith(".json"):
                between.set()
                assert go_on.wait(30)
            return address

    slow = Worker(MagentaDetector(), "model", lambda _: Slow(tmp_path), settings)
    fast = Worker(MagentaDetector(), "model", open_folder, settings)
    first, second = (Job(str(tmp_path), "clip.mp4", is_live=True, frame_interval=n) for n in (1, 2))
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(slow.run, first, claimed(slow, first))
        assert between.wait(30)
        other = pool.submit(fast.run, second, claimed(fast, second))
        time.sleep(1)
        assert not other.done()
        go_on.set()
        assert one.result().state == other.result().state == "done"
    assert isinstance(fast.claim(second), Record), "its outputs are not all there"
    claimed(fast, first).end("failed")


@pytest.mark.parametrize("fails", [False, True])
def test_the_right_to_publish_is_given_back_at_once(tmp_path: Path, settings: Settings, fails: bool) -> None:
    """Or the next job of that video would wait for the lease to run out."""
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)

    class Refusing(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            if fails and key.endswith(".mp4"):
                raise StorageUnavailable("no")
            return super().publish(path, key, content_type, confirm)

    job = Job(str(tmp_path), "clip.mp4", is_live=True)
    worker = Worker(MagentaDetector(), "model", lambda _: Refusing(tmp_path), settings)
    with pytest.raises(StorageUnavailable) if fails else nullcontext():
        worker.run(job, claimed(worker, job))
    [right] = tmp_path.glob(".pothole/publishing-*.json")
    assert json.loads(right.read_text())["state"] == "interrupted"


def test_an_error_names_the_video(tmp_path: Path, settings: Settings) -> None:
    """For it is read far from here, where many fail: in a message, a queue, a log."""
    (tmp_path / "roads").mkdir()
    (tmp_path / "roads" / "note.mp4").write_text("Dear road, " * 99)
    job = Job(str(tmp_path), "roads/note.mp4", is_live=True)
    worker = Worker(MagentaDetector(), "model", open_folder, settings)
    with pytest.raises(InvalidMedia, match=f"^{tmp_path}/roads/note.mp4: note.mp4 is not a video"):
        worker.run(job, claimed(worker, job))
    [record] = tmp_path.glob("roads/.pothole/*/record.json")
    assert f"{tmp_path}/roads/note.mp4: " in json.loads(record.read_text())["error"]["message"]


def test_a_job_that_fails_in_a_way_nobody_thought_of_is_no_job_of_a_dead_worker(
    tmp_path: Path, settings: Settings
) -> None:
    """Its record says so at once: else all would wait for the lease, and try it again as if it had died."""
    make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road)

    class Broken(MagentaDetector):
        def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
            raise ZeroDivisionError("secret of the code")

    job = Job(str(tmp_path), "clip.mp4", is_live=True)
    worker = Worker(Broken(), "model", open_folder, settings)
    with pytest.raises(ZeroDivisionError):
        worker.run(job, claimed(worker, job))
    [record] = (json.loads(path.read_text()) for path in tmp_path.glob(".pothole/*/record.json"))
    assert record["state"] == "failed"
    assert record["error"]["message"] == f"{tmp_path}/clip.mp4: The work failed; the log says why."


def test_what_is_our_own_is_no_source(tmp_path: Path, settings: Settings) -> None:
    worker = Worker(MagentaDetector(), "model", open_folder, settings)
    with pytest.raises(SourceIsOutput, match="of this system's own"):
        worker.claim(Job(str(tmp_path), "roads/.pothole/id/000.mp4"))

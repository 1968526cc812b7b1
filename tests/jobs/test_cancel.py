"""Jobs are listed, and end within seconds when they are cancelled; nothing is left of them."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient

from pothole.detections import Detections
from pothole.entrypoints.cli import main
from pothole.errors import Cancelled, RequestError, StorageUnavailable
from pothole.job_order import Job
from pothole.jobs.cancel import cancel
from pothole.jobs.lease import LOOK_S, Lease
from pothole.jobs.listing import job_key, list_jobs, read_job
from pothole.jobs.record import Record
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import Storage, open_folder, open_s3
from pothole.types import Image
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TIMES = int(os.environ.get("CANCELS", "3"))


class Slow(MagentaDetector):
    """Needs some seconds for the clip, until it is told to hurry."""

    pause_s = 0.1

    def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
        time.sleep(self.pause_s * len(images))
        return super().predict(images, *args, **kwargs)


@dataclass
class Place:
    """A bucket or a folder with a video in it."""

    job: Job
    worker: Worker
    detector: Slow
    store: Storage

    def start(self) -> tuple[Record, "Future[Record]"]:
        lease = self.worker.claim(self.job)
        assert isinstance(lease, Lease)
        pool = ThreadPoolExecutor(1)
        work = pool.submit(self.worker.run, self.job, lease)
        pool.shutdown(wait=False)
        return lease.record, work

    def left(self) -> list[str]:
        return [key for key in self.store.list("roads") if not key.endswith(("record.json", "clip.mp4"))]


@pytest.fixture(params=["folder", "bucket"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, settings: Settings, bucket: str, s3: "S3Client"
) -> Place:
    clip = make_clip(tmp_path / "clip.mp4", 90, size=SIZE, picture=road)
    settings = replace(settings, segment_s=1)
    opener: Callable[[str], Storage] = open_folder
    name = str(tmp_path)
    (tmp_path / "roads").mkdir()
    clip.rename(tmp_path / "roads" / "clip.mp4")
    if request.param == "bucket":
        s3.upload_file(str(tmp_path / "roads" / "clip.mp4"), bucket, "roads/clip.mp4")
        name, opener = bucket, lambda bucket: open_s3(bucket, settings)
    detector = Slow()
    job = Job(name, "roads/clip.mp4", is_live=True, frame_interval=1)
    return Place(job, Worker(detector, "model", opener, settings), detector, opener(name))


@pytest.mark.parametrize("moment", range(TIMES))
def test_a_cancelled_job_ends_in_seconds_leaves_nothing_and_may_begin_again(
    place: Place, moment: int, settings: Settings
) -> None:
    record, work = place.start()
    time.sleep(0.05 + 4 * moment / TIMES)
    key = job_key("roads", record.id)
    begun = time.monotonic()
    assert cancel(place.store, key).state == "cancelled"
    with pytest.raises(Cancelled, match=r"clip\.mp4 was cancelled"):
        work.result(timeout=30)
    assert time.monotonic() - begun < LOOK_S + 3
    assert place.left() == []
    assert not list(settings.temp_dir.iterdir())
    assert read_job(place.store, key)[0].state == "cancelled"

    place.detector.pause_s = 0
    again, work = place.start()
    assert (again.id, again.attempt, again.segments) == (record.id, 2, 0)
    done = work.result(timeout=60)
    assert (done.state, done.frames, done.resumed_at) == ("done", 90, 0)


def test_a_segment_that_was_left_is_deleted_by_the_next_attempt(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    record, work = place.start()
    cancel(place.store, job_key("roads", record.id))
    with pytest.raises(Cancelled):
        work.result(timeout=30)
    assert "the job was cancelled" in caplog.messages
    assert "the job failed" not in caplog.messages
    left = job_key("roads", record.id).replace("record.json", "segments/0007-video.nut")
    assert place.store.write(left, b"{}", None)
    place.detector.pause_s = 0
    whole = replace(place.worker.settings, segment_s=60)  # it stores no segment of its own
    place.worker = replace(place.worker, settings=whole)
    place.start()[1].result(timeout=60)
    assert not [key for key in place.left() if "/segments/" in key]


def test_what_has_ended_stays_as_it_is(place: Place) -> None:
    place.detector.pause_s = 0
    record, work = place.start()
    done = work.result(timeout=60)
    assert cancel(place.store, job_key("roads", record.id)) == done
    assert place.store.stat("roads/clip_output.mp4").size


def test_a_heartbeat_at_the_same_moment_does_not_save_a_job(place: Place) -> None:
    """The record changes between reading and writing, the first two times."""
    lease = place.worker.claim(place.job)
    assert isinstance(lease, Lease)
    beats = iter([True, True])

    class Beaten:
        def __getattr__(self, name: str) -> Any:
            return getattr(place.store, name)

        def write(self, *args: Any) -> str | None:
            if next(beats, False):
                lease.renew()
            return place.store.write(*args)

    cancelled = cancel(Beaten(), job_key("roads", lease.record.id))
    assert cancelled.state == "cancelled"


def test_a_job_is_cancelled_though_its_segments_stay(place: Place) -> None:
    """Its worker deletes them at the same moment, maybe."""
    lease = place.worker.claim(place.job)
    assert isinstance(lease, Lease)

    class Stuck:
        def __getattr__(self, name: str) -> Any:
            return getattr(place.store, name)

        def delete(self, folder: str) -> None:
            raise StorageUnavailable("not empty")

    assert cancel(Stuck(), job_key("roads", lease.record.id)).state == "cancelled"


def test_a_list_passes_over_what_is_deleted_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_folder(str(tmp_path))
    (tmp_path / "a").write_text("a")
    monkeypatch.setattr(store, "list", lambda folder: ["a", "gone"])
    assert list(store.stats("")) == ["a"]


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["pothole", *map(str, words)])
    main.main()


def test_the_command_lists_shows_and_cancels(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = place.job.source_bucket
    folder = f"{name}/roads" if "/" in name else f"s3://{name}/roads/"
    lease = place.worker.claim(place.job)
    assert isinstance(lease, Lease)
    run(monkeypatch, "jobs", "list", folder, "--json")
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["state"]) == (lease.record.id, "queued")
    run(monkeypatch, "jobs", "list", folder, "--json", "--state", "done")
    assert json.loads(capsys.readouterr().out) == []
    run(monkeypatch, "jobs", "show", folder, lease.record.id)
    assert json.loads(capsys.readouterr().out)["id"] == lease.record.id
    run(monkeypatch, "jobs", "cancel", folder, lease.record.id)
    assert list_jobs(place.store, "roads", "cancelled")[0].id == lease.record.id
    with pytest.raises(SystemExit, match="no id of a job"):
        run(monkeypatch, "jobs", "show", folder, "../../etc")
    with pytest.raises(SystemExit, match="There is no job"):
        run(monkeypatch, "jobs", "cancel", folder, "0" * 32)


def test_the_list_has_the_latest_first_and_passes_over_what_is_no_record(tmp_path: Path) -> None:
    store = open_folder(str(tmp_path))
    for number in range(3):
        record = Record.new(f"{number}" * 32, f"{number}.mp4", "1", 60)
        path = tmp_path / job_key("", record.id)
        path.parent.mkdir(parents=True)
        path.write_bytes(record.to_bytes())
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    (tmp_path / ".pothole" / ("f" * 32)).mkdir()
    (tmp_path / ".pothole" / ("f" * 32) / "record.json").write_text("{}")
    assert [record.source for record in list_jobs(store, "")] == ["2.mp4", "1.mp4", "0.mp4"]
    assert [record.source for record in list_jobs(store, "", limit=1)] == ["2.mp4"]
    with pytest.raises(RequestError, match="is no record of a job"):
        read_job(store, job_key("", "f" * 32))


def test_the_server_answers_questions_about_jobs_and_ends_one(
    client: FlaskClient, bucket: str, s3: "S3Client"
) -> None:
    record = Record.new("a" * 32, "clip.mp4", "1", 60)
    s3.put_object(Bucket=bucket, Key=job_key("roads", record.id), Body=record.to_bytes())
    where = {"s3_bucket": bucket, "prefix": "roads/"}

    def ask(**question: Any) -> Any:
        return client.post("/invocations", json=question)

    assert [job["id"] for job in ask(jobs=where).json["jobs"]] == [record.id]
    assert ask(jobs=where | {"state": "done"}).json == {"jobs": []}
    assert ask(job=where | {"id": record.id}).json["job"]["state"] == "queued"
    assert ask(cancel=where | {"id": record.id}).json["job"]["state"] == "cancelled"
    assert ask(job=where | {"id": record.id}).json["job"]["state"] == "cancelled"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"jobs": {}}, r"jobs\.s3_bucket is missing"),
        ({"jobs": {"s3_bucket": "b", "limit": 0}}, r"jobs\.limit is 0, expected at least 1"),
        ({"jobs": {"s3_bucket": "b", "state": "lost"}}, r"jobs\.state is \"lost\", expected"),
        ({"job": {"s3_bucket": "b"}}, r"job\.id is missing"),
        ({"cancel": {"s3_bucket": "b", "id": "../x"}}, "no id of a job"),
        ({"cancel": 1}, "cancel is 1, expected a JSON object"),
        (
            {"jobs": {"s3_bucket": "b"}, "input": {}},
            "input is not a known field. Known are jobs, job, cancel",
        ),
        ({"jobs": {"s3_bucket": "b"}, "job": {"s3_bucket": "b", "id": "a"}}, "Expected one of"),
        ({"jobs": None}, "Expected one of"),
    ],
)
def test_a_wrong_question_is_refused_by_its_field(
    client: FlaskClient, question: dict[str, Any], message: str
) -> None:
    answer = client.post("/invocations", json=question)
    assert answer.status_code == 400
    error = answer.json["error"]
    assert re.search(message, f"{error['message']} {error['hint']}")

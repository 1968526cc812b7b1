"""Limits that a job meets on its way."""

import errno
from dataclasses import replace
from fractions import Fraction
from http import HTTPStatus
from pathlib import Path

import pytest

from pothole.detections import Detections
from pothole.entrypoints.http.app import create_app
from pothole.errors import Interrupted
from pothole.job_result import Progress
from pothole.jobs.lease import Lease, claim
from pothole.jobs.monitor import JobMonitor
from pothole.jobs.record import Record
from pothole.jobs.shutdown import ShutdownSignal
from pothole.metrics import Metrics
from pothole.settings import Settings
from pothole.storage import LocalStorage
from support.bucket_roads import Road
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road


def client_with(settings: Settings) -> "object":
    app = create_app(settings, lambda _: MagentaDetector())
    app.extensions["worker"].result()
    return app.test_client()


def test_a_video_of_too_many_frames_is_refused_at_its_first_and_leaves_nothing(
    s3_road: Road, settings: Settings
) -> None:
    s3_road.client = client_with(replace(settings, max_video_frames=3))  # type: ignore[assignment]
    response = s3_road.job("good.mp4")
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert "more than 3 frames" in response.json["error"]["message"]
    assert list(s3_road.etags()) == ["good.mp4"]
    assert not list(settings.temp_dir.iterdir())


def test_a_video_that_takes_too_long_is_given_up_for_good_and_leaves_nothing(
    s3_road: Road, settings: Settings
) -> None:
    s3_road.client = client_with(replace(settings, max_job_seconds=0))  # type: ignore[assignment]
    for _ in range(2):
        response = s3_road.job("good.mp4")
        assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert "MAX_JOB_SECONDS" in response.json["error"]["hint"]
        assert list(s3_road.etags()) == ["good.mp4"]
        assert not list(settings.temp_dir.iterdir())


def test_a_video_that_is_too_long_is_refused_and_a_sample_of_it_is_not(
    s3_road: Road, settings: Settings
) -> None:
    slow = make_clip(s3_road.folder / "slow.mp4", 4, rate=Fraction(1, 10), size=SIZE, picture=road)
    s3_road.put("slow.mp4", slow.read_bytes())
    s3_road.client = client_with(replace(settings, max_video_seconds=30))  # type: ignore[assignment]
    response = s3_road.job("slow.mp4")
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert "40 s long, above the limit of 30" in response.json["error"]["message"]
    assert s3_road.job("slow.mp4", is_live=False).status_code == HTTPStatus.OK


def test_a_job_that_does_not_fit_on_the_disk_is_a_507_before_it_is_begun(
    s3_road: Road, settings: Settings
) -> None:
    s3_road.client = client_with(replace(settings, min_free_bytes=2**60))  # type: ignore[assignment]
    response = s3_road.job("good.mp4")
    assert response.status_code == HTTPStatus.INSUFFICIENT_STORAGE
    assert response.json["error"]["code"] == "disk_full"
    assert response.headers["Retry-After"]
    body = s3_road.client.post("/invocations", data=b"video", content_type="video/mp4")
    assert body.status_code == HTTPStatus.INSUFFICIENT_STORAGE
    assert not list(settings.temp_dir.iterdir())


def test_a_disk_that_is_full_all_the_same_is_a_507_too(s3_road: Road, settings: Settings) -> None:
    class Encoder(MagentaDetector):
        def predict(self, *_: object, **__: object) -> list[Detections]:
            raise OSError(errno.ENOSPC, "No space left on device")

    app = create_app(settings, lambda _: Encoder())
    app.extensions["worker"].result()
    s3_road.client = app.test_client()
    assert s3_road.job("good.mp4").status_code == HTTPStatus.INSUFFICIENT_STORAGE
    body = s3_road.client.post(
        "/invocations", data=(s3_road.folder / "good.mp4").read_bytes(), content_type="video/mp4"
    )
    assert body.status_code == HTTPStatus.INSUFFICIENT_STORAGE
    assert not list(settings.temp_dir.iterdir())
    [record] = s3_road.records()
    assert record["error"]["code"] == "disk_full"


def test_a_process_that_is_about_to_end_ends_the_job(settings: Settings) -> None:
    stopping = ShutdownSignal()
    guard = JobMonitor(Metrics(), stopping)
    guard(Progress(1, None, 0))
    stopping.now.set()
    with pytest.raises(Interrupted, match="stopped in the middle"):
        guard(Progress(2, None, 0))


def test_the_record_learns_of_the_progress_and_of_the_time_that_is_left(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = claim(LocalStorage(tmp_path), "record.json", Record.new("id", "clip.mp4", "v1", 60))
    assert isinstance(lease, Lease)
    clock = [100.0]
    monkeypatch.setattr("pothole.jobs.monitor.time.monotonic", lambda: clock[0])
    guard = JobMonitor(Metrics(), ShutdownSignal(), lease)
    guard(Progress(50, 150, 0))  # goes on where another worker was interrupted
    clock[0] += 10
    guard(Progress(70, 150, 2))
    record = lease.end("interrupted")
    assert (record.frames, record.total, record.potholes) == (70, 150, 2)
    guard = JobMonitor(Metrics(), ShutdownSignal())
    assert lease.record.state == "interrupted"

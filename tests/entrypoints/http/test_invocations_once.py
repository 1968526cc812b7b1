"""A job is done once, however often and in whatever way it is asked for."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest

from pothole.detections import Detections
from pothole.entrypoints.http.app import create_app
from pothole.jobs.lease import SLACK_S
from pothole.settings import Settings
from pothole.types import Image
from support.bucket_roads import Road
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, coded, road

pytestmark = pytest.mark.usefixtures("no_temporary_file_is_left")

LOOKS = 4  # of the detector at a video of four frames, which is so small that each moves far


class Gate(MagentaDetector):
    """Counts the pictures, and waits before each until it is opened."""

    def __init__(self) -> None:
        self.pictures = 0
        self.entered, self.open = threading.Event(), threading.Event()

    def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
        self.pictures += len(images)
        self.entered.set()
        assert self.open.wait(30)
        return super().predict(images, *args, **kwargs)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def gated(gate: Gate, s3_road: Road, settings: Settings) -> Road:
    app = create_app(replace(settings, max_queued_jobs=1), lambda _: gate)
    app.extensions["worker"].result()
    s3_road.client = app.test_client()
    return s3_road


def ended(road: Road, job_id: str, timeout_s: float = 30) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for record in road.records():
            if record["id"] == job_id and record["state"] in {"done", "failed", "interrupted"}:
                return record
        time.sleep(0.05)
    raise TimeoutError(f"{job_id} did not end in {timeout_s} s")


def test_wait_false_is_answered_at_once_and_the_work_goes_on(gated: Road, gate: Gate) -> None:
    response = gated.job("good.mp4", wait=False)
    assert response.status_code == HTTPStatus.ACCEPTED
    assert response.json["output"] == []
    job = response.json["job"]
    assert job["state"] in {"queued", "running"}
    assert job["record"] == f"s3://{gated.bucket}/.pothole/{job['id']}/record.json"
    assert list(gated.etags()) == ["good.mp4"]

    gate.open.set()
    record = ended(gated, job["id"])
    assert record["state"] == "done"
    assert [output["key"] for output in record["outputs"]] == ["good_output.mp4", "good_output.json"]
    assert record["result"]["frames"] == record["frames"] == 4
    assert list(gated.etags()) == ["good.mp4", "good_output.json", "good_output.mp4"]


def test_a_second_request_for_a_running_job_is_shown_its_record(gated: Road, gate: Gate) -> None:
    first = gated.job("good.mp4", wait=False).json["job"]
    gate.entered.wait(10)
    second = gated.job("/good.mp4")  # waits for nothing, though it asked to
    assert second.status_code == HTTPStatus.ACCEPTED
    assert second.json["job"]["id"] == first["id"]
    assert second.json["job"]["attempt"] == 1
    gate.open.set()
    ended(gated, first["id"])
    assert gate.pictures == LOOKS


def test_a_finished_job_is_answered_with_its_output_and_nothing_is_computed(gated: Road, gate: Gate) -> None:
    gate.open.set()
    first = gated.job("good.mp4")
    before = gated.etags()
    second = gated.job("good.mp4")
    assert first.status_code == second.status_code == HTTPStatus.OK
    assert first.json == second.json
    assert gate.pictures == LOOKS
    assert gated.etags() == before


@pytest.mark.parametrize(
    "settings_of_request", [{"is_live": False}, {"frame_interval": 2}, {"min_confidence": 0.1}]
)
def test_other_settings_are_another_job(gated: Road, gate: Gate, settings_of_request: dict[str, Any]) -> None:
    gate.open.set()
    gated.job("good.mp4")
    assert gated.job("good.mp4", **settings_of_request).status_code == HTTPStatus.OK
    assert gate.pictures > LOOKS
    pictures = gate.pictures
    # Its outputs took the place of the first one's, which are therefore made anew.
    assert gated.job("good.mp4").json["job"]["frames"] == 4
    assert gate.pictures == pictures + LOOKS


def test_a_source_that_was_replaced_is_another_job(gated: Road, gate: Gate) -> None:
    gate.open.set()
    first = gated.job("good.mp4").json["job"]
    longer = make_clip(gated.folder / "longer.mp4", 6, size=SIZE, picture=road).read_bytes()
    gated.put("good.mp4", longer)
    second = gated.job("good.mp4").json["job"]
    assert second["id"] != first["id"]
    assert second["frames"] == 6


def test_a_source_that_is_replaced_meanwhile_publishes_nothing_and_its_successor_does(
    gated: Road, gate: Gate
) -> None:
    old = gated.job("good.mp4", wait=False).json["job"]
    gate.entered.wait(10)
    gated.put("good.mp4", make_clip(gated.folder / "new.mp4", 6, size=SIZE, picture=road).read_bytes())
    new = gated.job("good.mp4", wait=False).json["job"]
    assert new["id"] != old["id"]
    gate.open.set()
    record = ended(gated, old["id"])
    assert (record["state"], record["error"]["code"]) == ("failed", "source_changed")
    assert ended(gated, new["id"])["state"] == "done"
    assert gated.job("good.mp4").json["job"]["frames"] == 6


def test_another_model_makes_another_job(gated: Road, gate: Gate, settings: Settings) -> None:
    gate.open.set()
    first = gated.job("good.mp4").json["job"]
    settings.model_dir.mkdir()
    (settings.model_dir / "weights.npz").write_bytes(b"better ones")
    app = create_app(settings, lambda _: gate)
    app.extensions["worker"].result()
    gated.client = app.test_client()
    assert gated.job("good.mp4").json["job"]["id"] != first["id"]


@pytest.mark.parametrize("lost", ["good_output.mp4", "good_output.json"])
def test_an_output_that_is_gone_is_made_again(gated: Road, gate: Gate, lost: str) -> None:
    gate.open.set()
    gated.job("good.mp4")
    gated.s3.delete_object(Bucket=gated.bucket, Key=lost)
    assert gated.job("good.mp4").status_code == HTTPStatus.OK
    assert lost in gated.etags()
    assert gate.pictures == 2 * LOOKS


def test_a_failed_job_says_why_when_asked_again_and_is_not_run_again(gated: Road) -> None:
    gated.put("note.mp4", b"Dear road,\n" * 99)
    answer = gated.job("note.mp4", wait=False)
    assert answer.status_code == HTTPStatus.ACCEPTED
    record = ended(gated, answer.json["job"]["id"])
    assert record["state"] == "failed"
    assert record["error"]["code"] == "invalid_media"
    for wait in (False, True, False):
        asked_again = gated.job("note.mp4", wait=wait)
        assert asked_again.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        error = asked_again.json["error"]
        assert (error["code"], error["message"]) == ("invalid_media", record["error"]["message"])
        assert '"retry": true' in error["hint"]
    assert gated.records()[0]["attempt"] == 1


def test_a_failed_job_is_tried_again_on_request_and_when_its_source_comes_anew(gated: Road) -> None:
    gated.put("note.mp4", b"Dear road,\n" * 99)
    assert gated.job("note.mp4").status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    retried = gated.job("note.mp4", retry=True, wait=False)
    assert retried.status_code == HTTPStatus.ACCEPTED
    assert retried.json["job"]["attempt"] == 2
    ended(gated, retried.json["job"]["id"])
    time.sleep(SLACK_S + 1)
    gated.put("note.mp4", b"Dear road,\n" * 99)
    assert gated.job("note.mp4", wait=False).json["job"]["attempt"] == 3
    ended(gated, retried.json["job"]["id"])


def test_a_fault_of_the_world_is_tried_again_by_whoever_asks(s3_road: Road, settings: Settings) -> None:
    app = create_app(replace(settings, min_free_bytes=2**60), lambda _: MagentaDetector())
    app.extensions["worker"].result()
    client, s3_road.client = s3_road.client, app.test_client()
    job = s3_road.job("good.mp4", wait=False).json["job"]
    assert ended(s3_road, job["id"])["error"]["code"] == "disk_full"
    s3_road.client = client
    assert s3_road.job("good.mp4").json["job"]["state"] == "done"


def test_videos_that_differ_in_their_extension_alone_keep_their_outputs_apart(
    gated: Road, gate: Gate
) -> None:
    """In work at the same time, as after an upload of a whole folder."""
    for name in ("roads/a.mov", "roads/a.mp4", "roads/a"):
        gated.put(name, (gated.folder / "good.mp4").read_bytes())
    jobs = [gated.job(name, wait=False).json["job"] for name in ("roads/a.mov", "roads/a.mp4")]
    gate.open.set()
    for job in jobs:
        assert ended(gated, job["id"])["state"] == "done"
    for name, stem in [("roads/a.mov", "a_output"), ("roads/a.mp4", "a.mp4_output")] * 2:
        answer = gated.job(name).json
        assert answer["output"] == [f"s3://{gated.bucket}/roads/{stem}{s}" for s in (".mp4", ".json")]
        assert answer["job"]["id"] in {job["id"] for job in jobs}
    gated.s3.delete_object(Bucket=gated.bucket, Key="roads/a.mov")
    assert gated.job("roads/a").json["output"][0].endswith("/a_output.mp4"), "its namesake is gone"


def test_a_video_that_failed_leaves_its_names_to_the_next(gated: Road, gate: Gate) -> None:
    gate.open.set()
    gated.put("good.mov", b"Dear road,\n" * 99)
    assert gated.job("good.mov").status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert gated.job("good.mp4").json["output"][0].endswith("/good_output.mp4")


def test_a_failure_of_ours_keeps_its_details_out_of_the_record(s3_road: Road, settings: Settings) -> None:
    class Broken(MagentaDetector):
        def predict(self, *_: object, **__: object) -> Any:
            raise ZeroDivisionError("secret detail")

    app = create_app(settings, lambda _: Broken())
    app.extensions["worker"].result()
    s3_road.client = app.test_client()
    assert s3_road.job("good.mp4").status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    [record] = s3_road.records()
    assert record["state"] == "failed"
    assert "secret" not in json.dumps(record)


def test_videos_above_the_queue_are_turned_away_and_known_ones_are_not(gated: Road, gate: Gate) -> None:
    for name in ("second.mp4", "third.mp4"):
        gated.put(name, (gated.folder / "good.mp4").read_bytes())
    first = gated.job("good.mp4", wait=False).json["job"]
    second = gated.job("second.mp4", wait=False).json["job"]
    refused = gated.job("third.mp4", wait=False)
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert refused.json["error"]["code"] == "too_many_requests"
    assert refused.headers["Retry-After"]
    assert gated.job("second.mp4").json["job"]["id"] == second["id"]
    body = gated.client.post("/invocations", data=b"video", content_type="video/mp4")
    assert body.status_code == HTTPStatus.TOO_MANY_REQUESTS

    gate.open.set()
    ended(gated, first["id"])
    ended(gated, second["id"])
    deadline = time.monotonic() + 10
    while gated.job("third.mp4").status_code != HTTPStatus.OK and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "third_output.mp4" in gated.etags()


def test_pictures_are_answered_while_videos_are_in_work_and_waiting(
    s3_road: Road, settings: Settings
) -> None:
    class Slow(MagentaDetector):
        def predict(self, *args: Any, **kwargs: Any) -> list[Detections]:
            time.sleep(0.02)
            return super().predict(*args, **kwargs)

    app = create_app(settings, lambda _: Slow())
    app.extensions["worker"].result()
    s3_road.client = app.test_client()
    s3_road.put("long.mp4", make_clip(s3_road.folder / "l.mp4", 60, size=SIZE, picture=road).read_bytes())
    job = s3_road.job("long.mp4", wait=False).json["job"]
    gone_on = [frames_done(s3_road)]
    for _ in range(5):
        answer = s3_road.client.post("/invocations", data=coded(road()), content_type="image/png")
        assert answer.status_code == HTTPStatus.OK
        gone_on.append(frames_done(s3_road))
    assert gone_on[-1] < 60, "the pictures waited for the video to end"
    assert ended(s3_road, job["id"])["state"] == "done"


def frames_done(road: Road) -> float:
    text = road.client.get("/metrics").text
    return metric(text, "pothole_frames_total")


def metric(text: str, name: str) -> float:
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[-1])


def test_metrics_count_frames_jobs_leases_errors_and_the_models_time(gated: Road, gate: Gate) -> None:
    gate.open.set()
    gated.job("good.mp4")
    gated.job("missing.mp4")
    text = gated.client.get("/metrics").text
    assert metric(text, "pothole_frames_total") == 4
    assert metric(text, 'pothole_jobs_total{outcome="done"}') == 1
    assert metric(text, 'pothole_lease_events_total{event="claimed"}') == 1
    assert metric(text, 'pothole_errors_total{code="source_not_found"}') == 1
    assert metric(text, "pothole_model_seconds_count") == LOOKS
    assert metric(text, "pothole_job_seconds_count") == 1
    assert metric(text, "pothole_jobs_running") == metric(text, "pothole_jobs_queued") == 0
    assert metric(text, "process_open_fds") > 0


def test_a_server_that_stops_interrupts_its_jobs_takes_no_more_and_the_next_one_goes_on(
    s3_road: Road, settings: Settings
) -> None:
    class Endless(MagentaDetector):
        def predict(self, *args: Any, **kwargs: Any) -> list[Detections]:
            time.sleep(0.1)
            return super().predict(*args, **kwargs)

    app = create_app(settings, lambda _: Endless())
    app.extensions["worker"].result()
    s3_road.client = app.test_client()
    s3_road.put("long.mp4", make_clip(s3_road.folder / "l.mp4", 100, size=SIZE, picture=road).read_bytes())
    s3_road.put("next.mp4", (s3_road.folder / "good.mp4").read_bytes())
    running = s3_road.job("long.mp4", wait=False).json["job"]
    waiting = s3_road.job("next.mp4", wait=False).json["job"]
    while not frames_done(s3_road):
        time.sleep(0.05)
    app.extensions["queue"].stop(0)
    refused = s3_road.job("good.mp4")
    assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert refused.headers["Retry-After"]
    for job in (running, waiting):
        record = ended(s3_road, job["id"])
        assert (record["state"], record["error"]["code"]) == ("interrupted", "interrupted")
    assert not [key for key in s3_road.etags() if "_output" in key]

    other = create_app(settings, lambda _: MagentaDetector())
    other.extensions["worker"].result()
    s3_road.client = other.test_client()
    assert s3_road.job("long.mp4").json["job"]["frames"] == 100

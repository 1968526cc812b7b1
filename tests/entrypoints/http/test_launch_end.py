"""How `serve` ends: told to, by a part that fails, or before it has begun."""

import json
import os
import signal
import subprocess
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from support.clips import make_clip
from support.server_requests import SIZE, job, road, send_picture
from support.servers import NGINX, ROOT, Server, Start, wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 40, size=SIZE, picture=road).read_bytes()


def test_sigterm_lets_a_request_end_and_takes_no_more(start: Start) -> None:
    server = start(application="support.slow_wsgi:app")
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(send_picture(server)))
    thread.start()
    time.sleep(1)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(1)
    late = requests.get(f"{server.url}/ping", timeout=5)
    assert late.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert late.json()["error"]["code"] == "not_ready"
    thread.join()
    assert answers[0].status_code == HTTPStatus.OK
    assert server.process.wait(10) == 0
    assert not list(server.temp_dir.iterdir())


def test_sigterm_interrupts_a_job_that_nobody_waits_for_and_lets_go_of_it(
    start: Start, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    long = make_clip(tmp_path / "long.mp4", 300, size=SIZE, picture=road, codec="mpeg4").read_bytes()
    s3.put_object(Bucket=bucket, Key="long.mp4", Body=long)
    server = start(application="support.patient_wsgi:app", MODEL_SERVER_STOP_TIMEOUT="10")
    answer = job(server, bucket, "long.mp4", wait=False)
    assert answer.status_code == HTTPStatus.ACCEPTED
    key = answer.json()["job"]["record"].removeprefix(f"s3://{bucket}/")
    while "pothole_frames_total 0.0" in requests.get(f"{server.url}/metrics", timeout=5).text:
        time.sleep(0.05)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    record = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    assert (record["state"], record["attempt"]) == ("interrupted", 1)
    assert record["frames"] > 0
    assert not list(server.temp_dir.iterdir())
    assert job(start(), bucket, "long.mp4").json()["job"]["frames"] == 300


def test_sigterm_ends_a_job_at_its_next_checkpoint_and_what_was_done_is_not_done_again(
    start: Start, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    long = make_clip(tmp_path / "long.mp4", 300, size=SIZE, picture=road, codec="mpeg4").read_bytes()
    for key in ("waiting.mp4", "long.mp4"):
        s3.put_object(Bucket=bucket, Key=key, Body=long)
    server = start(application="support.patient_wsgi:app", SEGMENT_SECONDS="1")
    asked = [job(server, bucket, key, wait=False) for key in ("long.mp4", "waiting.mp4")]
    while "pothole_frames_total 0.0" in requests.get(f"{server.url}/metrics", timeout=5).text:
        time.sleep(0.05)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(8) == 0, "it waited for more than a checkpoint"
    keys = [answer.json()["job"]["record"].removeprefix(f"s3://{bucket}/") for answer in asked]
    records = [json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) for key in keys]
    assert [record["state"] for record in records] == ["interrupted"] * 2
    assert records[0]["segments"] > 0
    assert (records[1]["segments"], records[1]["frames"]) == (0, 0)

    assert job(start(), bucket, "long.mp4").json()["job"]["frames"] == 300
    record = json.load(s3.get_object(Bucket=bucket, Key=keys[0])["Body"])
    assert (record["state"], record["attempt"]) == ("done", 2)
    assert record["resumed_at"] > 0
    below = s3.list_objects_v2(Bucket=bucket, Prefix=keys[0].removesuffix("record.json"))["Contents"]
    assert [item["Key"] for item in below] == [keys[0]]


def test_a_job_that_does_not_end_in_time_is_killed_and_leaves_nothing(
    start: Start, s3: "S3Client", bucket: str, clip: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=clip)
    server = start(application="support.slow_wsgi:app", MODEL_SERVER_STOP_TIMEOUT="6")
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(job(server, bucket, "clip.mp4")))
    thread.start()
    while not list(server.temp_dir.glob("pothole-serve-*/job-*")):
        time.sleep(0.05)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(6) == 0
    thread.join()
    assert answers[0].status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert not list(server.temp_dir.iterdir())
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert [key for key in keys if not key.startswith(".pothole/")] == ["clip.mp4"]


@pytest.mark.parametrize("part", ["gunicorn", "nginx"])
def test_a_part_that_crashes_ends_the_other_and_the_result_is_not_zero(start: Start, part: str) -> None:
    server = start()
    parts = server.children()
    os.kill(parts[part], signal.SIGKILL)
    assert server.process.wait(10) != 0
    for pid in parts.values():
        assert not Path(f"/proc/{pid}").exists()
    assert not list(server.temp_dir.iterdir())
    assert f"{part} ended by itself" in server.log.read_text()


def test_a_worker_that_dies_with_a_request_is_told_and_replaced(start: Start) -> None:
    server = start(application="support.slow_wsgi:app")
    [worker] = server.children(of=server.children()["gunicorn"]).values()
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(send_picture(server)))
    thread.start()
    time.sleep(1)
    os.kill(worker, signal.SIGKILL)  # as the kernel does when memory runs out
    thread.join()
    assert answers[0].status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "failed in the middle" in answers[0].json()["error"]["message"]
    server.wait_until_ready()


def test_a_port_that_is_taken_ends_serve(start: Start, server: Server) -> None:
    second = start(ready=False, SAGEMAKER_BIND_TO_PORT=str(server.port))
    assert second.process.wait(20) != 0
    assert "Address already in use" in second.log.read_text()


def test_a_setting_that_is_wrong_is_named(tmp_path: Path) -> None:
    pothole = ROOT / ".venv" / "bin" / "pothole"
    ended = subprocess.run(
        [pothole, "serve"],
        env=os.environ | {"MODEL_SERVER_THREADS": "many"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert ended.stderr == "pothole: MODEL_SERVER_THREADS is 'many', expected a positive whole number.\n"


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_serve(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    server = start(ready=False, application="pothole.entrypoints.http.wsgi:app", SM_MODEL_DIR=str(tmp_path))
    assert server.process.wait(120) != 0
    assert "The model cannot be loaded" in server.log.read_text()


def test_nothing_outlives_a_serve_that_was_killed_and_the_next_one_starts_in_its_place(start: Start) -> None:
    first = start()
    parts = first.children()
    parts |= {f"{name}'s": pid for name, of in parts.items() for pid in first.children(of=of).values()}
    first.process.kill()
    first.process.wait()
    second = start(SAGEMAKER_BIND_TO_PORT=str(first.port), TMPDIR=str(first.temp_dir), ready=False)
    wait_for(f"{first.url}/ping", second.process)
    deadline = time.monotonic() + 15
    while any(Path(f"/proc/{pid}").exists() for pid in parts.values()):
        assert time.monotonic() < deadline, "an orphan is left"
        time.sleep(0.05)
    assert send_picture(first).status_code == HTTPStatus.OK
    assert second.stop() == 0
    assert not list(first.temp_dir.iterdir())


def test_a_link_in_place_of_the_temporary_folder_leaks_nothing(
    start: Start, s3: "S3Client", bucket: str, clip: bytes, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=clip)
    server = start(application="support.slow_wsgi:app", TMPDIR=str(tmp_path / "link"))
    job(server, bucket, "clip.mp4", wait=False)
    while not (left := list(tmp_path.glob("disk/pothole-serve-*/job-*"))):
        time.sleep(0.05)
    [worker] = server.children(of=server.children()["gunicorn"]).values()
    os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while left[0].exists():
        assert time.monotonic() < deadline, "what a killed worker left stays"
        time.sleep(0.05)

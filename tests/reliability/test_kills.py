"""A worker that is killed at random moments; `make chaos` does it 200 times."""

import logging
import os
import random
import signal
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from clips import make_clip
from jobs import all_records, ask, content, metric
from pictures import SIZE, road
from servers import Server, Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KILLS = int(os.environ.get("KILLS", "1"))
FRAMES = 20  # of a tenth of a second each
figures = logging.getLogger("figures")


def kill_worker(server: Server) -> None:
    """Kill what works, and wait for its successor."""
    [worker] = server.children(of=server.children()["gunicorn"]).values()
    os.kill(worker, signal.SIGKILL)
    while list(server.children(of=server.children()["gunicorn"]).values()) in ([], [worker]):
        time.sleep(0.02)
    server.wait_until_ready()


def is_done(server: Server, bucket: str, key: str) -> bool:
    """Ask as a queue would: again and again, without waiting."""
    try:
        answer = ask(server, bucket, key, wait=False)
    except requests.ConnectionError:
        return False
    assert answer.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED}, answer.text
    return answer.status_code == HTTPStatus.OK


@pytest.mark.timeout(7200)
def test_no_job_is_lost_or_done_twice_however_often_its_worker_is_killed(
    start: Start, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", FRAMES, size=SIZE, picture=road, audio="aac").read_bytes()
    server = start(application="patient_wsgi:app", LEASE_SECONDS="1")
    s3.put_object(Bucket=bucket, Key="undisturbed/clip.mp4", Body=clip)
    assert ask(server, bucket, "undisturbed/clip.mp4").status_code == HTTPStatus.OK

    dice, kills, jobs = random.Random(7), 0, 0
    while kills < KILLS:
        key = f"{jobs}/clip.mp4"
        s3.put_object(Bucket=bucket, Key=key, Body=clip)
        jobs += 1
        while not is_done(server, bucket, key):
            moment = time.monotonic() + dice.uniform(0, 3.5)
            while time.monotonic() < moment and not is_done(server, bucket, key):
                time.sleep(0.1)
            if time.monotonic() >= moment and kills < KILLS:
                kill_worker(server)
                kills += 1
    assert metric(server, "pothole_jobs_running") == 0
    for number in range(jobs):
        for suffix in ("mp4", "json"):
            made = content(s3, bucket, f"{number}/clip_output.{suffix}")
            undisturbed = content(s3, bucket, f"undisturbed/clip_output.{suffix}")
            assert made == undisturbed.replace(b"/undisturbed/", b"/%d/" % number)
    records = all_records(s3, bucket)
    assert {record["state"] for record in records} == {"done"}
    attempts = sum(record["attempt"] - 1 for record in records)
    assert 0 < attempts <= kills
    before = metric(server, "pothole_frames_total")
    assert all(is_done(server, bucket, f"{number}/clip.mp4") for number in range(jobs))
    assert metric(server, "pothole_frames_total") == before, "a job was done twice"
    assert not list(server.temp_dir.glob("serve-*/job-*")), "killed workers left files"
    figures.info("%d kills over %d jobs, which were begun %d times; none lost", kills, jobs, attempts + jobs)

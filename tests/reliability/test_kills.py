"""A worker that is killed at random moments; `make chaos` does it 200 times."""

import json
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

from pothole.types import Image
from support.clips import make_clip
from support.jobs import all_records, ask, content, keys, metric
from support.pictures import SIZE, road
from support.servers import Server, Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KILLS = int(os.environ.get("KILLS", "1"))
FRAMES = 80
SEGMENTS = 6  # that are stored, of a second and a little more; a last one is not
figures = logging.getLogger("figures")


def kill_worker(server: Server) -> None:
    """Kill what works, and wait for its successor."""
    [worker] = server.children(of=server.children()["gunicorn"]).values()
    os.kill(worker, signal.SIGKILL)
    while list(server.children(of=server.children()["gunicorn"]).values()) in ([], [worker]):
        time.sleep(0.02)
    server.wait_until_ready()


def nearing(number: int) -> Image:
    return road(number % 40)


def is_done(server: Server, bucket: str, key: str) -> bool:
    """Ask as a queue would: again and again, without waiting."""
    try:
        answer = ask(server, bucket, key, wait=False)
    except requests.ConnectionError:
        return False
    assert answer.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED}, answer.text
    return answer.status_code == HTTPStatus.OK


def at_checkpoint(s3: "S3Client", bucket: str) -> bool:
    """Say whether a job in work has stored a segment."""
    return any(record["segments"] for record in all_records(s3, bucket) if record["state"] == "running")


@pytest.mark.timeout(7200)
def test_no_job_is_lost_or_done_twice_however_often_its_worker_is_killed(
    start: Start, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", FRAMES, 10, SIZE, audio="aac", picture=nearing).read_bytes()
    server = start(
        application="support.patient_wsgi:app",
        LEASE_SECONDS="1",
        SEGMENT_SECONDS="1",
        MAX_CRASHES=str(10 + KILLS),
    )
    s3.put_object(Bucket=bucket, Key="undisturbed/clip.mp4", Body=clip)
    assert ask(server, bucket, "undisturbed/clip.mp4").status_code == HTTPStatus.OK

    dice, kills, jobs = random.Random(7), 0, 0
    while kills < KILLS:
        key = f"{jobs}/clip.mp4"
        s3.put_object(Bucket=bucket, Key=key, Body=clip)
        jobs += 1
        while not is_done(server, bucket, key):
            moment = time.monotonic() + dice.uniform(0, 4)

            def is_due(moment: float = moment, kills: int = kills) -> bool:
                # The first is no matter of chance, so that some job goes on where there are few.
                return time.monotonic() >= moment if kills else at_checkpoint(s3, bucket)

            while not is_due() and not is_done(server, bucket, key):
                time.sleep(0.1)
            if is_due() and kills < KILLS:
                kill_worker(server)
                kills += 1
    assert metric(server, "pothole_jobs_running") == 0
    for number in range(jobs):
        for suffix in ("mp4", "json"):
            made = content(s3, bucket, f"{number}/clip_output.{suffix}")
            undisturbed = content(s3, bucket, f"undisturbed/clip_output.{suffix}")
            assert made == undisturbed.replace(b"/undisturbed/", b"/%d/" % number)
    records = all_records(s3, bucket)
    assert {(record["state"], record["segments"]) for record in records} == {("done", SEGMENTS)}
    attempts = sum(record["attempt"] - 1 for record in records)
    assert 0 < attempts <= kills
    before = metric(server, "pothole_frames_total")
    assert all(is_done(server, bucket, f"{number}/clip.mp4") for number in range(jobs))
    assert metric(server, "pothole_frames_total") == before, "a job was done twice"
    assert not [key for key in keys(s3, bucket) if "/segments/" in key]
    assert not list(server.temp_dir.glob("pothole-serve-*/job-*")), "killed workers left files"

    log = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    gone_on = [line["frames"] for line in log if line["message"] == "the job goes on"]
    assert gone_on, "no segment was of use"
    assert not [line for line in log if line["message"] == "the job starts over"]
    figures.info(
        "%d kills over %d jobs, begun %d times, %d of them at a checkpoint, which saved %d of %d frames",
        kills,
        jobs,
        attempts + jobs,
        len(gone_on),
        sum(gone_on),
        FRAMES * (attempts + jobs),
    )

"""Workers of a queue that die at any moment: each video is done once, as if nothing had happened."""

import json
import logging
import os
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pothole.job import run_job
from pothole.job_order import Job
from pothole.settings import Settings
from pothole.storage import open_s3
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.jobs import content, keys
from support.pictures import SIZE, road
from support.queues import Pipeline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VIDEOS = int(os.environ.get("QUEUE_VIDEOS", "5"))
WORKERS = int(os.environ.get("QUEUE_WORKERS", "2"))
KILLS = int(os.environ.get("QUEUE_KILLS", "2"))
OUTPUTS = "video", "json", "result_file"
_logger = logging.getLogger("figures")


def test_each_video_is_done_once_though_workers_are_killed(
    s3: "S3Client", bucket: str, tmp_path: Path, settings: Settings
) -> None:
    rng = random.Random(7)
    pipeline = Pipeline(tmp_path, hidden_s=4, max_receives=100)
    clip = make_clip(tmp_path / "clip.mp4", 45, size=SIZE, picture=road).read_bytes()
    settings = replace(settings, segment_s=1)  # as the workers have it
    jobs = [_job(bucket, f"day/split/{number}.mp4", pipeline.step) for number in range(VIDEOS)]
    expected = {}
    for job in jobs:
        s3.put_object(Bucket=bucket, Key=job.source_key, Body=clip)
        run_job(job, MagentaDetector(), partial(open_s3, settings=settings), settings)
        for output in OUTPUTS:
            key = job.output_key(output)
            expected[key] = content(s3, bucket, key)
            s3.delete_object(Bucket=bucket, Key=key)
    numbers = [*range(VIDEOS), *rng.sample(range(VIDEOS), VIDEOS // 5)]  # some twice
    rng.shuffle(numbers)
    for place, number in enumerate(numbers):
        pipeline.send_video(number, bucket, jobs[number].source_key)
        if place % 10 == 0:
            pipeline.send(f"malformed {place}")
    malformed = (len(numbers) + 9) // 10
    try:
        _kill(pipeline, rng)
        pipeline.wait(lambda: pipeline.counts() == (0, 0), 600)
        assert [pipeline.state(number) for number in range(VIDEOS)] == ["done"] * VIDEOS
        assert {key: content(s3, bucket, key) for key in expected} == expected
        assert pipeline.counts(pipeline.aside) == (malformed, 0)
        left = [key for key in keys(s3, bucket) if "/segments/" in key]
        assert not left
        attempts = _attempts(s3, bucket)
        _logger.info("%d videos, %d workers, %d kills: %d attempts", VIDEOS, WORKERS, KILLS, sum(attempts))
        assert sum(attempts) <= VIDEOS + KILLS  # none was begun but for a worker that was killed
    finally:
        pipeline.stop()


def _job(bucket: str, key: str, step: str) -> Job:
    return Job(bucket, key, is_live=True, frame_interval=5, outputs=OUTPUTS, step=step)


def _kill(pipeline: Pipeline, rng: random.Random) -> None:
    """Keep some workers running, and kill one after the other while they have something in work."""

    def start() -> None:
        pipeline.start(look_s=0.15, detection={"frame_ratio": 0.2})

    for _ in range(WORKERS):
        start()
    killed = 0
    while killed < KILLS and pipeline.counts() != (0, 0):
        pipeline.wait(lambda: bool(pipeline.busy()) or pipeline.counts() == (0, 0), 120)
        pipeline.pause(rng.uniform(0, 2))
        if busy := pipeline.busy():
            rng.choice(busy).kill()
            killed += 1
            start()
    assert killed == KILLS


def _attempts(s3: "S3Client", bucket: str) -> list[int]:
    records = [key for key in keys(s3, bucket) if key.endswith("/record.json")]
    return [json.loads(content(s3, bucket, key))["attempt"] for key in records]

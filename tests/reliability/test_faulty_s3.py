"""An S3 in which calls fail: jobs end right all the same, or clearly; `make chaos` runs many."""

import logging
import os
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from support.clips import make_clip
from support.faulty_proxy import FaultyProxy
from support.jobs import all_records, ask, content, keys
from support.pictures import SIZE, road
from support.servers import Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

JOBS = int(os.environ.get("JOBS", "2"))
SHARE = 0.3
figures = logging.getLogger("figures")


@pytest.mark.timeout(3600)
def test_every_job_ends_right_though_a_third_of_the_calls_fail(
    start: Start, s3: "S3Client", bucket: str, aws: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 20, 10, SIZE, picture=road, audio="aac").read_bytes()
    s3.put_object(Bucket=bucket, Key="undisturbed/clip.mp4", Body=clip)
    began = time.monotonic()
    with FaultyProxy(aws, 0) as proxy:
        server = start(AWS_ENDPOINT_URL=proxy.url, S3_TIMEOUT_SECONDS="1", SEGMENT_SECONDS="1")
        assert ask(server, bucket, "undisturbed/clip.mp4").status_code == HTTPStatus.OK
        proxy.fail(SHARE)
        for number in range(JOBS):
            s3.put_object(Bucket=bucket, Key=f"{number}/clip.mp4", Body=clip)
            answer = ask(server, bucket, f"{number}/clip.mp4")
            assert answer.status_code == HTTPStatus.OK, answer.text
        counts = proxy.counts()
    for number in range(JOBS):
        for suffix in ("mp4", "json"):
            made = content(s3, bucket, f"{number}/clip_output.{suffix}")
            undisturbed = content(s3, bucket, f"undisturbed/clip_output.{suffix}")
            assert made == undisturbed.replace(b"/undisturbed/", b"/%d/" % number)
    records = Counter((record["state"], record["segments"]) for record in all_records(s3, bucket))
    assert records == {("done", 1): JOBS + 1}
    assert not [key for key in keys(s3, bucket) if "/segments/" in key]
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert not list(server.temp_dir.glob("pothole-serve-*/job-*"))
    figures.info("%d jobs in %.0f s, all right; calls: %s", JOBS, time.monotonic() - began, dict(counts))


def test_an_s3_that_is_down_is_said_clearly_and_the_job_is_done_when_it_is_back(
    start: Start, s3: "S3Client", bucket: str, aws: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 4, size=SIZE, picture=road).read_bytes()
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=clip)
    with FaultyProxy(aws, 0) as proxy:
        server = start(
            application="support.hasty_wsgi:app",
            AWS_ENDPOINT_URL=proxy.url,
            S3_TIMEOUT_SECONDS="1",
            LEASE_SECONDS="2",
        )
        proxy.fail(1)
        answer = ask(server, bucket, "clip.mp4")
        assert answer.status_code == HTTPStatus.BAD_GATEWAY
        assert answer.json()["error"]["code"] == "storage_unavailable"
        proxy.fail(0)
        assert list(keys(s3, bucket)) == ["clip.mp4"]

        # And in the middle: what was begun is taken up again once its lease has run out.
        assert ask(server, bucket, "clip.mp4", wait=False).status_code == HTTPStatus.ACCEPTED
        proxy.fail(1)
        while "pothole_jobs_running 0.0" not in requests.get(f"{server.url}/metrics", timeout=5).text:
            time.sleep(0.1)
        assert [key for key in keys(s3, bucket) if not key.startswith(".pothole/")] == ["clip.mp4"]
        proxy.fail(0)
        deadline = time.monotonic() + 60
        while (answer := ask(server, bucket, "clip.mp4")).status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert answer.json()["job"]["frames"] == 4
    assert not list(server.temp_dir.glob("pothole-serve-*/job-*"))

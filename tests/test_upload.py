"""The whole way with real parts: an upload starts the Lambda function, that the server, which marks."""

import json
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError

import local_aws
from clips import make_clip
from fakes import MAGENTA
from pothole.detector import Image
from sagemaker_front import SageMakerFront
from servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "east_output.d/Straße A8+A9 100%.mp4"
STEM = "east_output.d/Straße A8+A9 100%_output"
FRAMES = 20


def with_patch(number: int) -> Image:
    image = np.full((180, 320, 3), 90, np.uint8)
    image[100:140, 40 + number : 100 + number] = MAGENTA
    return image


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", FRAMES, size=(320, 180), picture=with_patch, audio="aac")


@pytest.fixture
def front(server: Server) -> Iterator[SageMakerFront]:
    with SageMakerFront(server.url) as front:
        yield front


def wait_for_object(s3: "S3Client", bucket: str, key: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except ClientError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{key} did not appear in {timeout_s} s")


def upload(s3: "S3Client", clip: Path, front: SageMakerFront, name: str, is_live: bool) -> str:
    bucket = f"road-{name}"
    local_aws.deploy(bucket, front.url, ".mp4", is_live)
    s3.upload_file(str(clip), bucket, KEY)
    wait_for_object(s3, bucket, f"{STEM}.mp4")
    return bucket


def invocations_of_the_function(name: str) -> int:
    """Return how often the emulator ran the function, by what that printed."""
    logs = boto3.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    except logs.exceptions.ResourceNotFoundException:  # it has not printed yet
        return 0
    return sum('"message": "video' in event["message"] for event in events)


def test_an_uploaded_video_is_marked_beside_itself(
    s3: "S3Client", clip: Path, front: SageMakerFront, tmp_path: Path
) -> None:
    bucket = upload(s3, clip, front, "whole", is_live=True)

    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == clip.read_bytes()
    report = json.loads(s3.get_object(Bucket=bucket, Key=f"{STEM}.json")["Body"].read())
    assert report["summary"]["frames"] == FRAMES
    assert report["summary"]["potholes"] == 1
    marked = tmp_path / "marked.mp4"
    s3.download_file(bucket, f"{STEM}.mp4", str(marked))
    with av.open(str(marked)) as container:
        assert container.streams.video[0].average_rate == Fraction(30)
        assert len(container.streams.audio) == 1
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_the_output_starts_nothing(s3: "S3Client", clip: Path, front: SageMakerFront) -> None:
    bucket = upload(s3, clip, front, "once", is_live=False)

    deadline = time.monotonic() + 30
    while invocations_of_the_function(bucket) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert invocations_of_the_function(bucket) == 2  # for the source and for the output, which it skipped
    assert front.invocations == 1


def test_a_video_is_marked_once_though_sagemaker_cuts_the_call(
    s3: "S3Client", clip: Path, server: Server
) -> None:
    with SageMakerFront(server.url, cut_s=0.01) as front:
        upload(s3, clip, front, "cut", is_live=True)

        time.sleep(3)  # the emulator starts a function that failed again after 1 s
        assert front.invocations == 1

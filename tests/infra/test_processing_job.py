"""The processing job that the template and the function make together, checked by botocore's own model."""

import json
import re
from typing import Any

import pytest
import yaml

import processing_job
from infra.test_templates import Loader
from pothole.settings import Settings
from support.aws_calls import Calls
from support.servers import ROOT

VALUES = {
    "Name": "road",
    "ProcessingRole.Arn": "arn:aws:iam::123456789012:role/road-processing",
    "Image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/road@sha256:0",
    "InstanceType": "ml.c5.2xlarge",
    "ProcessingDisk": "0",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "road-endpoints",
    "Key": '"KmsKeyId": "arn:aws:kms:eu-central-1:123456789012:key/1"',
    "VolumeKey": ', "VolumeKmsKeyId": "arn:aws:kms:eu-central-1:123456789012:key/2"',
    "Network": '"VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}',
}


def template(**values: str) -> str:
    """The stack's output as CloudFormation makes it."""
    outputs = yaml.load((ROOT / "infra" / "endpoints.yaml").read_text(), Loader)["Outputs"]
    text, substituted = outputs["ProcessingJob"]["Value"]["Sub"]
    assert substituted.keys() <= VALUES.keys()
    known = VALUES | values
    return re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], text)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts a job for a video, and returns the request."""
    calls = Calls(monkeypatch)
    monkeypatch.delenv("OUTPUTS", raising=False)

    def start(key: str = "a/clip.mp4", video_bytes: int = 20 * 10**9, **values: str) -> dict[str, Any]:
        monkeypatch.setenv("PROCESSING_JOB", template(**values))
        processing_job.start("1", "road-videos", key, processing_job.disk_gb(video_bytes))
        return calls.of("CreateProcessingJob")[-1]

    return start


def test_a_job_is_told_limits_as_long_as_its_time(started: Any) -> None:
    """sagemaker/latest/APIReference/API_CreateProcessingJob.html: no other environment reaches it."""
    request = started()
    limits, days = Settings.from_env(request["Environment"]), request["StoppingCondition"]
    assert days["MaxRuntimeInSeconds"] == 5 * 24 * 3600
    assert limits.max_video_seconds == 5 * 24 * 3600
    assert limits.max_video_frames >= 60 * limits.max_video_seconds
    assert limits.max_video_pixels >= 30 * 3840 * 2160 * limits.max_video_seconds
    assert limits.max_video_bytes >= 16384 * 10**9 // processing_job.DISK_PER_VIDEO
    assert request["Environment"]["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert limits.exit_message_file == "/opt/ml/output/message"


@pytest.mark.parametrize(
    ("given", "video_bytes", "disk"),
    [("0", 20 * 10**9, 80), ("0", 1, 30), ("0", 5 * 10**12, 16384), ("500", 20 * 10**9, 500)],
)
def test_the_disk_is_four_times_the_video_or_as_large_as_said(
    started: Any, given: str, video_bytes: int, disk: int
) -> None:
    cluster = started(video_bytes=video_bytes, ProcessingDisk=given)["ProcessingResources"]["ClusterConfig"]
    assert cluster["VolumeSizeInGB"] == disk


def test_a_job_is_tagged_as_all_the_rest(started: Any) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in started()["Tags"]}
    assert tags == {"Project": "pothole", "Stack": "road-endpoints"}


def test_keys_and_network_reach_the_job(started: Any) -> None:
    request = started()
    volume = request["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"]
    assert volume == "arn:aws:kms:eu-central-1:123456789012:key/2"
    assert request["ProcessingOutputConfig"]["KmsKeyId"] == "arn:aws:kms:eu-central-1:123456789012:key/1"
    assert request["NetworkConfig"]["VpcConfig"]["Subnets"] == ["subnet-1"]
    bare = started(Key="", VolumeKey="", Network="")
    assert "VolumeKmsKeyId" not in bare["ProcessingResources"]["ClusterConfig"]


def test_no_argument_is_longer_than_sagemaker_takes(started: Any) -> None:
    """API_AppSpecification.html: 256 characters; a name may have 255 itself."""
    arguments = started(key=f"a/{'n' * 250}.mp4")["AppSpecification"]["ContainerArguments"]
    assert arguments[0] == processing_job.INPUT
    assert max(map(len, arguments)) <= 256
    assert json.dumps(started(key="a/clip [1].mp4")["AppSpecification"]["ContainerArguments"][0]).endswith(
        'clip [1].mp4"'
    )

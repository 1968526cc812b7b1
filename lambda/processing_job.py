"""A processing job marks one video that is too long for an endpoint, with the same image."""

import json
import os
from contextlib import suppress
from typing import Any

import boto3
from botocore.config import Config

# SageMaker mounts these.
INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
# A job's disk holds the video and its marked copy, which may be larger.
DISK_PER_VIDEO = 4
SMALLEST_DISK_GB, LARGEST_DISK_GB = 30, 16384
LONGEST_ARGUMENT = 256


def disk_gb(video_bytes: int) -> int:
    """Return how large the disk for a video has to be."""
    return min(LARGEST_DISK_GB, max(SMALLEST_DISK_GB, DISK_PER_VIDEO * video_bytes // 10**9))


def start(name: str, bucket: str, key: str, disk: int) -> None:
    """Start a job, unless one of this name is there; SageMaker brings its video and takes its outputs away.

    Args:
        name: The job's own part of its name.
        bucket: Of the video.
        key: Of the video.
        disk: Gigabytes.
    """
    sagemaker = boto3.client("sagemaker", config=Config(read_timeout=20, retries={"total_max_attempts": 1}))
    with suppress(sagemaker.exceptions.ResourceInUse):
        sagemaker.create_processing_job(**_request(name, bucket, key, disk))


def full_name(name: str) -> str:
    """Return the name by which SageMaker knows a job."""
    return f"{_template()['ProcessingJobName']}-{name}"


def _template() -> dict[str, Any]:
    """Return what all jobs have in common; the environment has it from the stack."""
    return json.loads(os.environ["PROCESSING_JOB"])  # type: ignore[no-any-return]


def _request(name: str, bucket: str, key: str, disk: int) -> dict[str, Any]:
    request = _template()
    folder, _, file = key.rpartition("/")
    request["ProcessingJobName"] = full_name(name)
    request["AppSpecification"]["ContainerEntrypoint"] = ["pothole", "mark"]
    video = f"{INPUT}/{file}"
    request["AppSpecification"]["ContainerArguments"] = [
        # The folder holds nothing else.
        video if len(video) <= LONGEST_ARGUMENT else INPUT,
        f"--output-dir={OUTPUT}",
        *([f"--outputs={outputs}"] if (outputs := os.environ.get("OUTPUTS")) else []),
    ]
    cluster = request["ProcessingResources"]["ClusterConfig"]
    cluster["VolumeSizeInGB"] = cluster.get("VolumeSizeInGB") or disk
    source = {
        "S3Uri": f"s3://{bucket}/{key}",
        "LocalPath": INPUT,
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    target = {
        "S3Uri": f"s3://{bucket}/{folder}".rstrip("/"),
        "LocalPath": OUTPUT,
        "S3UploadMode": "EndOfJob",
    }
    request["ProcessingInputs"] = [{"InputName": "video", "S3Input": source}]
    request["ProcessingOutputConfig"]["Outputs"] = [{"OutputName": "marked", "S3Output": target}]
    return request

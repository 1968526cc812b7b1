"""What became of one video or job: its record beside the video, or SageMaker's word of a processing job."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
from rich.table import Table

from stacks import Failed

# In the order of a reader's questions: how does it do, how far is it, why not.
SHOWN = (
    *("state", "source", "attempt", "frames", "total", "potholes", "eta_s"),
    *("heartbeat", "segments", "crashes", "error", "outputs"),
)


def job_table(name: str, bucket: str, job: str) -> Table:
    """Return what is known of a job.

    Args:
        name: The deployment's.
        bucket: Of its videos.
        job: The key of a video, a job's id, or a processing job's name.

    Raises:
        Failed: Nothing is known of it.
    """
    if job.startswith(f"{name}-video-"):
        return _table(_processing_job(job))
    key = job.removeprefix(f"s3://{bucket}/")
    records = [record for record in _records(bucket, key) if _is_meant(record, bucket, key)]
    if not records:
        raise Failed(
            f"Nothing is known of {job} in s3://{bucket}. Name a video by its key, or a job by its id. A "
            "video that still waits for an instance has no record yet, and one in a processing job never has."
        )
    return _table(max(records, key=lambda record: str(record["heartbeat"])))


def _is_meant(record: dict[str, Any], bucket: str, key: str) -> bool:
    return key in {record["id"], str(record["source"]).removeprefix(f"s3://{bucket}/")}


def _records(bucket: str, key: str) -> Iterator[dict[str, Any]]:
    """Yield the records that may be meant: of a video those beside it, of an id the one that has it."""
    folder, slash, _ = key.rpartition("/")
    is_id = "/" not in key and "." not in key
    prefix = "" if is_id else f"{folder}{slash}.pothole/"
    s3 = boto3.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            if found["Key"].endswith(f".pothole/{key}/record.json" if is_id else "/record.json"):
                yield json.loads(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())


def _processing_job(job: str) -> dict[str, Any]:
    told = boto3.client("sagemaker").describe_processing_job(ProcessingJobName=job)
    known = {
        "state": told["ProcessingJobStatus"],
        "source": told["ProcessingInputs"][0]["S3Input"]["S3Uri"],
        "error": told.get("FailureReason") or told.get("ExitMessage"),
        "heartbeat": told.get("LastModifiedTime"),
    }
    return {field: value for field, value in known.items() if value}


def _table(record: dict[str, Any]) -> Table:
    table = Table("", "is")
    for field in SHOWN:
        value = record.get(field)
        if field == "error" and isinstance(value, dict):
            value = " ".join(filter(None, (value["message"], value["hint"])))
        if field == "outputs" and value:
            value = "\n".join(output["address"] for output in value)
        if value not in (None, [], ""):
            table.add_row(field, str(value))
    return table

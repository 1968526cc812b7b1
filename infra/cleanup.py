"""What CloudFormation does not take away by itself: jobs that run, logs, the contents of a bucket."""

import boto3


def stop_jobs(name: str) -> None:
    """Stop the processing jobs that run."""
    sagemaker = boto3.client("sagemaker")
    pages = sagemaker.get_paginator("list_processing_jobs").paginate(
        NameContains=f"{name}-video-", StatusEquals="InProgress"
    )
    for page in pages:
        for job in page["ProcessingJobSummaries"]:
            sagemaker.stop_processing_job(ProcessingJobName=job["ProcessingJobName"])


def delete_logs(endpoints: list[str]) -> None:
    """Delete the log groups that SageMaker made for the endpoints."""
    logs = boto3.client("logs")
    for endpoint in endpoints:
        try:
            logs.delete_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}")
        except logs.exceptions.ResourceNotFoundException:
            continue  # nothing was ever written


def empty(bucket: str | None) -> None:
    """Delete what is in the bucket; CloudFormation deletes no bucket with something in it."""
    if bucket:
        boto3.resource("s3").Bucket(bucket).objects.all().delete()

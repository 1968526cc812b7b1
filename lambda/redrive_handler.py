"""Sends videos again that failed for a reason that passes, and tells people of those that stay failed.

SNS starts this function for each message of the topic of failures, EventBridge for each processing job that
ends badly. What has failed is either sent again, at most ATTEMPTS times in all, or told, never both:

    interrupted, the storage down, the disk full, no room, no instance      sent again after a while
    the video itself, a time limit, a missing permission, or all attempts   told to MESSAGES_TOPIC_ARN

A request waits in the queue AGAIN_QUEUE_URL, for longer than the lease of the worker that had it, and starts
this function from there. The container goes on at its last checkpoint; a processing job starts over.
Environment beside that: REDRIVE_DELAY_S, VIDEOS_ENDPOINT_NAME, and what `processing_job` reads.
"""

import json
import os
import re
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import ClientError

import processing_job
from lambda_handler import invoke_async
from notify_handler import send_message

# What the container answers when it is no video's fault: too much work, the storage, stopping, the disk.
PASSING_STATUSES = (429, 502, 503, 507)
PASSING_CODES = ("interrupted", "storage_unavailable", "disk_full", "not_ready", "too_many_requests")
# What SageMaker says when it had no instance, or a fault of its own.
PASSING_FAULTS = re.compile(
    r"^(\w*Capacity\w*|\w*InternalServer\w*|\w*ServiceUnavailable\w*|\w*NotReady\w*|\w*Expired\w*)\b"
)
LONGEST_DELAY_S = 900  # SQS takes no more


class Failure(NamedTuple):
    """What failed, and how it can be sent again: `again` is None when that is of no use."""

    source: str | None
    reason: str
    where: str
    attempt: int = 1
    again: dict[str, Any] | None = None


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """Handle each failure that the event tells, and send each request again that has waited.

    Args:
        event: EventBridge's "SageMaker Processing Job State Change", or messages of SNS or SQS.
        context: Lambda's.

    Raises:
        ValueError: The event is of another kind.
        ClientError: A request could not be sent; Lambda and SQS try again.
    """
    if event.get("detail-type") == "SageMaker Processing Job State Change":
        _handle(_failed_job(event["detail"]))
        return
    if "Records" not in event:
        raise ValueError("Expected an event of a processing job from EventBridge, or one of SNS or SQS.")
    for record in event["Records"]:
        if "Sns" in record:
            _handle(_failed_request(json.loads(record["Sns"]["Message"])))
        else:
            _send(json.loads(record["body"]), context)


def _failed_request(message: dict[str, Any]) -> Failure:
    """Read a message of the topic of failures: SageMaker's, or that of the function that sends videos."""
    if message.get("status") == "refused":
        source = f"s3://{message['bucket']}/{message['key']}"
        return Failure(source, message["reason"], f"It was refused at once. Number: {message['number']}")
    reason, identity = message["failureReason"], message["inferenceId"]
    location = message["requestParameters"].get("inputLocation")
    number, attempt = _split(identity)
    again = {"location": location, "number": number} if location and _passes(reason) else None
    return Failure(_video_of(location), reason, f"Inference id: {identity}", attempt, again)


def _failed_job(detail: dict[str, Any]) -> Failure:
    """Read the event of a processing job."""
    name, source = detail["ProcessingJobName"], detail["ProcessingInputs"][0]["S3Input"]["S3Uri"]
    # What the container says of itself tells more than its exit status, which is all that SageMaker knows.
    fault = detail.get("FailureReason") or detail["ProcessingJobStatus"]
    reason = detail.get("ExitMessage") or fault
    number, attempt = _split(name.removeprefix(processing_job.full_name("")))
    bucket, _, key = source.removeprefix("s3://").partition("/")
    disk = detail["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"]
    job = {"number": number, "bucket": bucket, "key": key, "disk": disk}
    # A job that somebody stopped is to stay stopped.
    passes = detail["ProcessingJobStatus"] == "Failed" and PASSING_FAULTS.match(fault)
    return Failure(source, reason, f"Processing job: {name}", attempt, job if passes else None)


def _passes(reason: str) -> bool:
    """Say whether the same request may succeed later."""
    status = re.search(r" error \((\d{3})\)", reason)
    code = re.search(r'"code\\*": *\\*"(\w+)', reason)
    if code:
        return code[1] in PASSING_CODES
    return bool(PASSING_FAULTS.match(reason)) or (status is not None and int(status[1]) in PASSING_STATUSES)


def _split(name: str) -> tuple[str, int]:
    """Return the number of an upload, and which attempt it was."""
    number, _, attempt = name.rpartition("-")
    return (number, int(attempt)) if number and attempt.isdecimal() else (name, 1)


def _video_of(location: str | None) -> str | None:
    """Return the address of the video that a stored request asks for."""
    if location is None:
        return None
    bucket, _, key = location.removeprefix("s3://").partition("/")
    try:
        request = json.loads(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
        return f"s3://{request['input']['s3_bucket']}/{request['input']['s3_source_filename']}"
    except (ClientError, ValueError, KeyError, TypeError):
        return None  # a request of somebody else's


def _handle(failure: Failure) -> None:
    """Let a request wait for its next attempt, or tell that there is none."""
    if failure.again is None or failure.attempt >= int(os.environ["ATTEMPTS"]):
        _tell(failure)
        return
    delay_s = min(LONGEST_DELAY_S, int(os.environ["REDRIVE_DELAY_S"]) * 2 ** (failure.attempt - 1))
    boto3.client("sqs").send_message(
        QueueUrl=os.environ["AGAIN_QUEUE_URL"],
        MessageBody=json.dumps({**failure.again, "attempt": failure.attempt + 1}),
        DelaySeconds=delay_s,
    )
    _log("INFO", "video is sent again", failure)


def _send(request: dict[str, Any], context: Any) -> None:
    name = f"{request['number']}-{request['attempt']}"
    if "location" in request:
        invoke_async(os.environ["VIDEOS_ENDPOINT_NAME"], request["location"], name, context)
    else:
        processing_job.start(name, request["bucket"], request["key"], request["disk"])


def _tell(failure: Failure) -> None:
    _log("ERROR", "video stays failed", failure)
    tried = f" It was tried {failure.attempt} times." if failure.attempt > 1 else ""
    name = failure.source.rpartition("/")[2] if failure.source else None
    subject = f"Not marked: {name}" if name else "A video was not marked"
    first = f"Not marked: {failure.source}\n\n" if name else ""
    send_message(subject, f"{first}Why: {failure.reason}\n\n{failure.where}.{tried}\n")


def _log(level: str, message: str, failure: Failure) -> None:
    # Not a logger: Lambda's puts words before the JSON.
    print(json.dumps({"level": level, "message": message, **failure._asdict()}))  # noqa: T201

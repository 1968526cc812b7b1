"""This function tells people what became of their videos: it sends messages to an SNS topic, for e-mails.

EventBridge starts it for each marked video that arrives in S3 and each processing job that ends badly, SNS
for each message of the topic of failures. The message of a marked video has a link to it that needs no AWS
account. Environment: MESSAGES_TOPIC_ARN, and LINK_HOURS, how long a link works.
"""

import json
import os
from typing import Any

import boto3
from botocore.config import Config

# SNS takes 100 ASCII characters, and nothing that is no text.
SUBJECT_LENGTH = 100


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """Send one message for each thing that the event tells.

    Args:
        event: EventBridge's "Object Created" of a marked video, its "SageMaker Processing Job State Change",
            or a message of SNS.
        context: Lambda's, not used.

    Raises:
        ValueError: The event is of another kind.
    """
    topic = boto3.client("sns")
    for subject, text in _messages(event):
        printable = "".join(c if c.isascii() and c.isprintable() else "?" for c in subject)
        topic.publish(
            TopicArn=os.environ["MESSAGES_TOPIC_ARN"], Subject=printable[:SUBJECT_LENGTH], Message=text
        )


def _messages(event: dict[str, Any]) -> list[tuple[str, str]]:
    if event.get("detail-type") == "Object Created":
        return [_marked(event["detail"]["bucket"]["name"], event["detail"]["object"]["key"])]
    if event.get("detail-type") == "SageMaker Processing Job State Change":
        detail = event["detail"]
        source = detail["ProcessingInputs"][0]["S3Input"]["S3Uri"]
        reason = detail.get("FailureReason") or detail.get("ExitMessage") or detail["ProcessingJobStatus"]
        return [_failed(source, reason, f"Processing job: {detail['ProcessingJobName']}")]
    if "Records" in event:
        return [_failure(json.loads(record["Sns"]["Message"])) for record in event["Records"]]
    raise ValueError("Expected an event of S3 or of a processing job from EventBridge, or one of SNS.")


def _marked(bucket: str, key: str) -> tuple[str, str]:
    hours = int(os.environ["LINK_HOURS"])
    # By default a link has an older signature, which KMS refuses, or an address that other regions refuse.
    s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
    link = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=hours * 3600
    )
    name = key.rpartition("/")[2]
    text = f"The marked video is s3://{bucket}/{key}\n\nWatch it, for {hours} hours at most:\n{link}\n"
    return f"Marked: {name}", text


def _failure(message: dict[str, Any]) -> tuple[str, str]:
    """Word a message of the topic of failures: SageMaker's, or that of the function beside this one."""
    if message.get("status") == "refused":
        source = f"s3://{message['bucket']}/{message['key']}"
        return _failed(source, message["reason"], "It was refused at once.")
    return _failed(None, message["failureReason"], f"Inference id: {message['inferenceId']}")


def _failed(source: str | None, reason: str, where: str) -> tuple[str, str]:
    subject = f"Not marked: {source.rpartition('/')[2]}" if source else "A video was not marked"
    first = f"Not marked: {source}\n\n" if source else ""
    return subject, f"{first}Why: {reason}\n\n{where}\n"

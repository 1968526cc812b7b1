"""This function tells people that their videos are marked: it sends messages to an SNS topic, for e-mails.

EventBridge starts it for each marked video that arrives in S3. The message has a link to the video that needs
no AWS account. Environment: MESSAGES_TOPIC_ARN, and LINK_HOURS, how long a link works.
"""

import os
from typing import Any

import boto3
from botocore.config import Config

# SNS takes 100 ASCII characters, and nothing that is no text.
SUBJECT_LENGTH = 100


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """Send the message of a marked video.

    Args:
        event: EventBridge's "Object Created".
        context: Lambda's, not used.

    Raises:
        ValueError: The event is of another kind.
    """
    if event.get("detail-type") != "Object Created":
        raise ValueError('Expected an event "Object Created" of S3 from EventBridge.')
    bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
    hours = int(os.environ["LINK_HOURS"])
    # By default a link has an older signature, which KMS refuses, or an address that other regions refuse.
    s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
    link = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=hours * 3600
    )
    text = f"The marked video is s3://{bucket}/{key}\n\nWatch it, for {hours} hours at most:\n{link}\n"
    send_message(f"Marked: {key.rpartition('/')[2]}", text)


def send_message(subject: str, text: str) -> None:
    """Send a message to people."""
    printable = "".join(c if c.isascii() and c.isprintable() else "?" for c in subject)
    boto3.client("sns").publish(
        TopicArn=os.environ["MESSAGES_TOPIC_ARN"], Subject=printable[:SUBJECT_LENGTH], Message=text
    )

"""Events that no function could handle, and how they are sent again."""

import json
from typing import Any

import boto3

from stacks import Failed


def send_again(queue: str, again: str) -> int:
    """Give each event of the queue once more to whom it was for.

    Args:
        queue: The URL of the queue of what could not be delivered.
        again: The URL of the queue of requests that wait for their next attempt.

    Returns:
        How many there were.

    Raises:
        Failed: Messages in the queue are none that a deployment puts there; they stay.
    """
    sqs, count, unknown = boto3.client("sqs"), 0, set[str]()
    while messages := sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=1
    ).get("Messages"):
        for message in messages:
            if not _send(dict(message), again):
                unknown.add(message["MessageId"])
                continue
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            count += 1
    if unknown:
        raise Failed(f"{count} events were sent again; no event of ours have the messages {sorted(unknown)}.")
    return count


def _send(message: dict[str, Any], again: str) -> bool:
    """Send one message's event, and say whether it has one."""
    try:
        body = json.loads(message["Body"])
    except ValueError:
        return False
    if "requestPayload" in body:  # from Lambda, whose own attempts have failed
        function, event = body["requestContext"]["functionArn"], body["requestPayload"]
    elif target := message.get("MessageAttributes", {}).get("TARGET_ARN"):  # from EventBridge
        function, event = target["StringValue"], body
    elif "attempt" in body:
        boto3.client("sqs").send_message(QueueUrl=again, MessageBody=message["Body"])
        return True
    else:
        return False
    boto3.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
    return True

"""This function starts the next step of a pipeline: it sends a message when a step of a video is done.

The stream of the table of documents starts it. Environment: STEP_QUEUES, a JSON with the name or the
address of a queue for each step that another one follows. `docs/how-to/queue.md` shows it, and the message.

Where the video is, the document says by its own `bucket` and `key`, or by `s3`; without them the message has
no `s3`, and without a result no `result_file`.
"""

import json
import os
from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import BotoCoreError, ClientError

Document = dict[str, Any]
_read = TypeDeserializer().deserialize


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Send the messages of all steps that have become done.

    Args:
        event: Records of a DynamoDB stream with new and old images.
        context: Lambda's, not used.

    Returns:
        The first record whose messages could not be sent; Lambda goes on from there.

    Raises:
        ValueError: The event is of another kind.
    """
    queues = json.loads(os.environ["STEP_QUEUES"])
    if any(record.get("eventSource") != "aws:dynamodb" for record in event.get("Records", [{}])):
        raise ValueError("Expected an event of a DynamoDB stream.")
    for record in event["Records"]:
        change = record["dynamodb"]
        after, before = _document(change.get("NewImage")), _document(change.get("OldImage"))
        try:
            for step in _newly_done(after, before):
                if step["step"] in queues:
                    _send(queues[step["step"]], after, step)
        except (ClientError, BotoCoreError) as exc:
            _log("ERROR", "message not sent", after, reason=str(exc))
            return {"batchItemFailures": [{"itemIdentifier": change["SequenceNumber"]}]}
    return {"batchItemFailures": []}


def _document(image: dict[str, Any] | None) -> Document:
    return {name: _read(value) for name, value in (image or {}).items()}


def _newly_done(after: Document, before: Document) -> list[Document]:
    """Return the steps that are done now and were not before: others may write to the document, too."""
    done = {step["step"] for step in _steps(before) if step.get("state") == "done"}
    return [s for s in _steps(after) if s.get("state") == "done" and s["step"] not in done]


def _steps(document: Document) -> list[Document]:
    """Return the steps of a document that have a name; others may write what they like into it."""
    steps = document.get("process_steps")
    named = [s for s in steps if isinstance(s, dict)] if isinstance(steps, list) else []
    return [step for step in named if isinstance(step.get("step"), str)]


def _send(queue: str, document: Document, step: Document) -> None:
    message: Document = {"VideoId": document["VideoId"]}
    if "bucket" in document and "key" in document:
        message["s3"] = {name: document[name] for name in ("bucket", "key")}
    elif "s3" in document:
        message["s3"] = document["s3"]
    message["step"] = step["step"]
    if "result_file" in step:
        message["result_file"] = step["result_file"]
    sqs = boto3.client("sqs")
    url = queue if queue.startswith("http") else sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(message, default=_plain))
    _log("INFO", "next step started", document, step=step["step"], queue=queue)


def _plain(value: Any) -> int | float | str:
    """Return as JSON knows it what DynamoDB gives otherwise."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _log(level: str, message: str, document: Document, **about: Any) -> None:
    # Not a logger: Lambda's puts words before the JSON.
    told = {"level": level, "message": message, "video_id": document.get("VideoId"), **about}
    print(json.dumps(told, default=_plain))  # noqa: T201

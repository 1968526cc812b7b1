"""Collects samples: what a topic carries goes to Firehose, which writes it to S3, a line for each sample.

SNS starts it with the samples that the endpoint and the workers publish. Environment: STREAM_NAME, Firehose's
stream, and ASIDE_QUEUE_URL, the queue for what cannot be sent. docs/how-to/samples.md shows a sample.

Firehose may take a part of a batch and refuse the rest. What it refuses is sent again, and put aside after
ATTEMPTS. No sample is lost, and one may come twice, where Lambda starts the function again.
"""

import json
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Where Firehose refuses three records of ten, one of a thousand is refused six times in a row.
ATTEMPTS = 12
FIRST_WAIT_S, MAX_WAIT_S = 0.2, 2.0  # doubles each time, in part by chance
# The most that Firehose takes in one call.
MAX_RECORDS = 500
MAX_BYTES = 4 * 2**20


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Send the event's samples on.

    Args:
        event: Messages of SNS, each a sample as JSON.
        context: Lambda's, not used.

    Returns:
        How many were `sent` and how many put `aside`.

    Raises:
        ValueError: The event is not of SNS.
        ClientError: What could not be sent could not be put aside either; Lambda tries all again.
    """
    messages = [record.get("Sns", {}).get("Message") for record in event.get("Records", [])]
    if not messages or None in messages:
        raise ValueError("Expected an event of SNS.")
    lines, unreadable = [], []
    for message in messages:
        try:
            lines.append(json.dumps(json.loads(message), separators=(",", ":")).encode() + b"\n")
        except ValueError:
            unreadable.append(message)
    refused = _send(lines)
    aside = unreadable + [line.decode() for line in refused]
    if aside:
        _put_aside(aside)
    counts = {"sent": len(lines) - len(refused), "aside": len(aside)}
    level = "ERROR" if aside else "INFO"
    print(json.dumps({"level": level, "message": "samples collected", **counts}))  # noqa: T201
    return counts


def _send(lines: list[bytes]) -> list[bytes]:
    """Send lines to Firehose, and return those that it refused to the end."""
    firehose = boto3.client("firehose", config=Config(retries={"total_max_attempts": 1}, read_timeout=10))
    wait_s = FIRST_WAIT_S
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
            wait_s = min(MAX_WAIT_S, 2 * wait_s)
        lines = [line for batch in _batches(lines) for line in _refused(firehose, batch)]
        if not lines:
            break
    return lines


def _batches(lines: list[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for line in lines:
        if batch and (len(batch) == MAX_RECORDS or sum(map(len, batch)) + len(line) > MAX_BYTES):
            yield batch
            batch = []
        batch.append(line)
    if batch:
        yield batch


def _refused(firehose: Any, batch: list[bytes]) -> list[bytes]:
    """Send one batch, and return the lines of it that were not taken."""
    try:
        answer = firehose.put_record_batch(
            DeliveryStreamName=os.environ["STREAM_NAME"], Records=[{"Data": line} for line in batch]
        )
    except (ClientError, BotoCoreError) as exc:
        print(json.dumps({"level": "WARNING", "message": f"Firehose took nothing: {exc}"}))  # noqa: T201
        return batch
    if not answer["FailedPutCount"]:
        return []
    return [
        line for line, told in zip(batch, answer["RequestResponses"], strict=True) if told.get("ErrorCode")
    ]


def _put_aside(texts: list[str]) -> None:
    sqs = boto3.client("sqs")
    for text in texts:
        sqs.send_message(QueueUrl=os.environ["ASIDE_QUEUE_URL"], MessageBody=text)

"""The next step of a pipeline starts when ours is done: once, with what it needs."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer

import next_step_handler
from packages import pack_functions
from pothole.entrypoints.queue.steps import TableSteps
from support.aws_calls import Calls
from support.deployment import receive

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/call-teams"
OURS = "human_detection"
RESULT = {"bucket": "roads", "key": "survey/human_detection/clip.json"}
VIDEO = {"VideoId": Decimal(17), "bucket": "roads", "key": "survey/split/clip.mp4"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setenv("STEP_QUEUES", json.dumps({OURS: QUEUE}))
    return Calls(monkeypatch)


def document(*steps: tuple[str, str], **fields: Any) -> dict[str, Any]:
    listed = [
        {"step": step, "state": state} | ({"result_file": RESULT} if state == "done" else {})
        for step, state in steps
    ]
    return VIDEO | {"process_steps": listed} | fields


def record(after: dict[str, Any] | None, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """A record of a stream of DynamoDB, as AWS documents it."""
    change: dict[str, Any] = {"SequenceNumber": "4421584500000000017450439091"}
    for name, image in (("NewImage", after), ("OldImage", before)):
        if image is not None:
            change[name] = {field: TypeSerializer().serialize(value) for field, value in image.items()}
    return {"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": change}


def handle(*records: dict[str, Any]) -> list[dict[str, str]]:
    failed: list[dict[str, str]] = next_step_handler.lambda_handler({"Records": list(records)}, None)[
        "batchItemFailures"
    ]
    return failed


def sent(calls: Calls) -> list[dict[str, Any]]:
    assert all(asked["QueueUrl"] == QUEUE for asked in calls.of("SendMessage"))
    return [json.loads(asked["MessageBody"]) for asked in calls.of("SendMessage")]


def test_a_step_that_has_become_done_starts_the_next_one(calls: Calls) -> None:
    assert handle(record(document((OURS, "done")), document((OURS, "running")))) == []
    assert sent(calls) == [
        {
            "VideoId": 17,
            "s3": {"bucket": "roads", "key": "survey/split/clip.mp4"},
            "step": OURS,
            "result_file": RESULT,
        }
    ]


@pytest.mark.parametrize(
    ("after", "before"),
    [
        (document((OURS, "running")), document()),
        (document((OURS, "error")), document((OURS, "running"))),
        (document((OURS, "done"), note="seen"), document((OURS, "done"))),
        (document(("upload", "done")), document(("upload", "running"))),
        (VIDEO | {"process_steps": "none"}, None),
        (VIDEO | {"process_steps": [{"step": ["a"], "state": "done"}, "text"]}, None),
        (None, document((OURS, "done"))),
    ],
    ids=["running", "error", "done before", "another step", "no steps", "no name", "deleted"],
)
def test_nothing_else_does(calls: Calls, after: dict[str, Any] | None, before: dict[str, Any] | None) -> None:
    assert handle(record(after, before)) == []
    assert sent(calls) == []


def test_a_step_that_is_done_again_starts_the_next_one_again(calls: Calls) -> None:
    handle(
        record(document((OURS, "done"))),
        record(document((OURS, "running")), document((OURS, "done"))),
        record(document((OURS, "done")), document((OURS, "running"))),
    )
    assert len(sent(calls)) == 2


def test_where_the_video_is_may_stand_elsewhere_or_nowhere(calls: Calls) -> None:
    steps = document((OURS, "done"))["process_steps"]
    handle(
        record({"VideoId": 1, "process_steps": steps, "s3": {"bucket": "b", "key": "k"}}),
        record({"VideoId": 2, "process_steps": steps}),
    )
    assert [message.get("s3") for message in sent(calls)] == [{"bucket": "b", "key": "k"}, None]


def test_what_could_not_be_sent_is_tried_again_and_what_came_before_is_not(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = {OURS: QUEUE, "broken": "no address"}
    monkeypatch.setenv("STEP_QUEUES", json.dumps(queues))
    ours, other = record(document((OURS, "done"))), record(document(("broken", "done")))
    other["dynamodb"]["SequenceNumber"] = "5"
    real = next_step_handler._send

    def refused(queue: str, *about: Any) -> None:
        if queue == "no address":
            raise next_step_handler.ClientError({"Error": {"Code": "Throttled"}}, "SendMessage")
        real(queue, *about)

    monkeypatch.setattr(next_step_handler, "_send", refused)
    assert handle(ours, other, ours) == [{"itemIdentifier": "5"}]
    assert len(sent(calls)) == 1


def test_another_event_is_refused(calls: Calls) -> None:
    for event in ({}, {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}):
        with pytest.raises(ValueError, match="a DynamoDB stream"):
            next_step_handler.lambda_handler(event, None)


@contextmanager
def function(stream: str, **environment: str) -> Iterator[None]:
    """The function in the emulated cloud, started by a stream."""
    client: Any = boto3.client("lambda")
    name = f"next-{uuid.uuid4().hex[:8]}"
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/next",
        Handler="next_step_handler.lambda_handler",
        Code={"ZipFile": pack_functions()},
        Environment={"Variables": environment},
        Timeout=30,
    )
    mapping = client.create_event_source_mapping(
        FunctionName=name,
        EventSourceArn=stream,
        StartingPosition="TRIM_HORIZON",
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    try:
        yield
    finally:
        client.delete_event_source_mapping(UUID=mapping["UUID"])
        client.delete_function(FunctionName=name)


@pytest.mark.usefixtures("aws")
def test_the_tables_stream_brings_what_the_worker_writes_to_the_next_queue() -> None:
    name = f"videos-{uuid.uuid4().hex[:8]}"
    sqs, dynamodb = boto3.client("sqs"), boto3.resource("dynamodb")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    table: Any = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "VideoId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "VideoId", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    with function(table.latest_stream_arn, STEP_QUEUES=json.dumps({OURS: name})):
        table.put_item(Item=VIDEO)
        steps = TableSteps(table, OURS)
        steps.set(17, "running")
        steps.set(17, "done", result_file=RESULT)
        table.update_item(
            Key={"VideoId": 17}, UpdateExpression="SET note = :n", ExpressionAttributeValues={":n": "seen"}
        )
        table.put_item(Item=VIDEO | {"VideoId": 18})
        steps.set(18, "done", result_file=RESULT)
        messages = [json.loads(receive(queue)["Body"]) for _ in range(2)]
    # The note, which came between them, started nothing.
    assert sorted(message["VideoId"] for message in messages) == [17, 18]
    assert [message["result_file"] for message in messages] == [RESULT] * 2

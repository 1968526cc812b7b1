"""The function that reads what was seen in live streams: alone, and as Lambda runs it."""

import base64
import json
from typing import Any

import pytest

import stream_handler
from pothole.entrypoints.stream.records import StreamFrame, json_record, original_record

FRAME = StreamFrame("front-1", "91343852333181432392682062622220590765191907586", 1553120371155, 1, 1, 0)
OURS = {
    "output": [
        {"label": "pothole", "score": 0.93, "track_id": 1, "new": True},
        {"label": "pothole", "score": 0.8, "track_id": 2, "new": False},
    ],
    "image": {"width": 4, "height": 4},
}
DETECTION = {"prediction": [[1.0, 0.72, 0.1, 0.1, 0.4, 0.4], [0.0, 0.2, 0, 0, 1, 1]]}


def event(*records: bytes) -> dict[str, Any]:
    """The event of the page "Using AWS Lambda with Amazon Kinesis", with data of ours."""
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "1",
                    "sequenceNumber": str(number),
                    "data": base64.b64encode(data).decode(),
                    "approximateArrivalTimestamp": 1545084650.987,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000006:{number}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
                "awsRegion": "us-east-2",
                "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
            }
            for number, data in enumerate(records)
        ]
    }


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("answer", "objects"),
    [
        (OURS, ["pothole, with confidence: 0.93"]),
        (DETECTION, ["pothole, with confidence: 0.72", "car, with confidence: 0.2"]),
        ([0.1, 0.9], ["pothole, with confidence: 0.9"]),
        ({"prediction": []}, []),
        ([0.0, 0.1, 0.7], ["class 2, with confidence: 0.7"]),
    ],
)
@pytest.mark.parametrize("form", ["original", "json"])
def test_objects_of_every_kind_of_answer_are_logged(
    answer: Any,
    objects: list[str],
    form: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LABELS", "car, pothole")
    output = json.dumps(answer).encode()
    record = original_record(FRAME, output) if form == "original" else json_record(FRAME, output, None)
    assert stream_handler.lambda_handler(event(record), None) == {"batchItemFailures": []}
    lines = said(capsys)
    assert [line["message"] for line in lines] == [f"detected object: {found}" for found in objects]
    assert all(line["stream"] == "front-1" and FRAME.fragment in line["fragment"] for line in lines)


@pytest.mark.parametrize("bad", [b"no json", b"[]", b'{"streamName": "s", "sageMakerOutput": "e30="}', b"{}"])
def test_a_record_that_can_never_be_read_keeps_nothing_back(
    bad: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json_record(FRAME, json.dumps(OURS).encode(), None)
    assert stream_handler.lambda_handler(event(bad, good), None) == {"batchItemFailures": []}
    assert [line["level"] for line in said(capsys)] == ["ERROR", "INFO"]


def test_lambda_goes_on_from_the_record_whose_work_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stream_handler, "on_object", lambda *_: 1 / 0)
    empty = json_record(FRAME, b'{"output": []}', None)
    failing = json_record(FRAME, json.dumps(OURS).encode(), None)
    answer = stream_handler.lambda_handler(event(empty, failing, failing), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert "ZeroDivisionError" in said(capsys)[0]["reason"]


def test_another_kind_of_event_and_what_is_less_sure_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="Kinesis Data Streams"):
        stream_handler.lambda_handler({"Records": [{"eventSource": "aws:s3"}]}, None)
    monkeypatch.setenv("MIN_CONFIDENCE", "0.5")
    stream_handler.lambda_handler(event(json_record(FRAME, json.dumps(DETECTION).encode(), None)), None)
    assert [line["message"] for line in said(capsys)] == ["detected object: class 1, with confidence: 0.72"]

"""Samples reach Firehose whole, each once or more, whatever it refuses."""

import json
import random
from typing import Any

import pytest

import sample_handler
from support.aws_calls import Calls

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/road-samples-aside"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setenv("STREAM_NAME", "road-samples")
    monkeypatch.setenv("ASIDE_QUEUE_URL", QUEUE)
    monkeypatch.setattr(sample_handler.time, "sleep", lambda seconds: None)
    return Calls(monkeypatch)


def event(*messages: str) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message}} for message in messages]}


def sent(calls: Calls) -> list[bytes]:
    return [record["Data"] for call in calls.of("PutRecordBatch") for record in call["Records"]]


def taking(refused: set[int], count: int) -> dict[str, Any]:
    told = [
        {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
        if i in refused
        else {"RecordId": "1"}
        for i in range(count)
    ]
    return {"FailedPutCount": len(refused), "RequestResponses": told}


def test_all_samples_of_an_event_are_sent_a_line_each(calls: Calls) -> None:
    calls.answers["PutRecordBatch"] = taking(set(), 2)
    assert sample_handler.lambda_handler(event('{"a": 1}', '{\n"b": "ü\\n"\n}'), None) == {
        "sent": 2,
        "aside": 0,
    }
    assert sent(calls) == [b'{"a":1}\n', b'{"b":"\\u00fc\\n"}\n']


def test_what_firehose_refuses_of_a_batch_is_sent_again_and_no_more(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice, taken = random.Random(1), []

    def put(firehose: Any, batch: list[bytes]) -> list[bytes]:
        refused = [line for line in batch if dice.random() < 0.3]
        taken.extend(line for line in batch if line not in refused)
        return refused

    monkeypatch.setattr(sample_handler, "_refused", put)
    lines = [f'{{"n":{i}}}' for i in range(1200)]
    assert sample_handler.lambda_handler(event(*lines), None)["aside"] == len(calls.of("SendMessage"))
    aside = [call["MessageBody"] for call in calls.of("SendMessage")]
    assert sorted([*taken, *(text.encode() for text in aside)]) == sorted(
        f"{line}\n".encode() for line in lines
    )
    assert aside == []


def test_what_is_refused_to_the_end_and_what_is_no_sample_is_put_aside(calls: Calls) -> None:
    calls.answers["PutRecordBatch"] = taking({0}, 1)
    assert sample_handler.lambda_handler(event('{"a": 1}', "no sample"), None) == {"sent": 0, "aside": 2}
    assert len(calls.of("PutRecordBatch")) == sample_handler.ATTEMPTS
    assert [call["MessageBody"] for call in calls.of("SendMessage")] == ["no sample", '{"a":1}\n']


def test_a_batch_is_no_larger_than_firehose_takes() -> None:
    small = [b"x"] * 1200
    assert [len(batch) for batch in sample_handler._batches(small)] == [500, 500, 200]
    large = [bytes(250_000)] * 40
    assert all(sum(map(len, batch)) <= 4 * 2**20 for batch in sample_handler._batches(large))


def test_another_event_is_refused(calls: Calls) -> None:
    with pytest.raises(ValueError, match="Expected an event of SNS"):
        sample_handler.lambda_handler({"Records": [{"body": "{}"}]}, None)
    assert json.dumps(calls.made) == "[]"

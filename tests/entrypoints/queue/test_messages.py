"""Messages, as their senders write them."""

import json
from typing import Any

import pytest

from pothole.entrypoints.queue.messages import Stop, Work, parse_message
from pothole.errors import RequestError


def fields(bucket: str, key: str) -> dict[str, str]:
    return {"s3_bucket": bucket, "s3_source_filename": key}


def created(*keys: str, event: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": event,
                "s3": {"bucket": {"name": "roads"}, "object": {"key": key, "size": 7}},
            }
            for key in keys
        ]
    }


EVENTBRIDGE = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "roads"}, "object": {"key": "a b.mp4"}},
}


def notification(message: Any) -> dict[str, Any]:
    return {"Type": "Notification", "MessageId": "1", "Message": json.dumps(message)}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"VideoId": 17, "s3": {"bucket": "b", "key": "d/c.mp4"}}, [Work(fields("b", "d/c.mp4"), 17)]),
        ({"VideoId": "-42", "s3": {"bucket": "b", "key": "c.mp4"}}, [Work(fields("b", "c.mp4"), -42)]),
        (
            {"input": fields("b", "c.mp4") | {"is_live": False}},
            [Work(fields("b", "c.mp4") | {"is_live": False})],
        ),
        ({"VideoId": 3, "input": fields("b", "c.mp4")}, [Work(fields("b", "c.mp4"), 3)]),
        (created("d/a+b%2Bc.MP4"), [Work(fields("roads", "d/a b+c.MP4"))]),
        (created("a.mp4", "b.mov"), [Work(fields("roads", "a.mp4")), Work(fields("roads", "b.mov"))]),
        (notification(created("a.mp4")), [Work(fields("roads", "a.mp4"))]),
        (
            {"Records": [{"EventSource": "aws:sns", "Sns": notification(created("a.mp4"))}]},
            [Work(fields("roads", "a.mp4"))],
        ),
        (EVENTBRIDGE, [Work(fields("roads", "a b.mp4"))]),
        (notification(EVENTBRIDGE), [Work(fields("roads", "a b.mp4"))]),
        ({"command": "stop"}, Stop()),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "roads"}, []),
        (created("clip_output.mp4", "notes.txt", "d/.pothole/1/0.mp4"), []),
        (created("a.mp4", event="ObjectRemoved:Delete"), []),
    ],
)
def test_each_sender_is_understood(message: Any, expected: Any) -> None:
    assert parse_message(json.dumps(message)) == expected


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no JSON object"),
        ('"text"', "no JSON object"),
        ("{}", "asks for no video"),
        ('{"command": "restart"}', "'restart' is not known"),
        ('{"VideoId": "x", "s3": {"bucket": "b", "key": "k.mp4"}}', "VideoId is 'x'"),
        ('{"VideoId": true, "s3": {"bucket": "b", "key": "k.mp4"}}', "VideoId is True"),
        ('{"VideoId": 1.5, "s3": {"bucket": "b", "key": "k.mp4"}}', "VideoId is 1.5"),
        ('{"VideoId": "1_7", "s3": {"bucket": "b", "key": "k.mp4"}}', "VideoId is '1_7'"),
        ('{"VideoId": %s, "s3": {"bucket": "b", "key": "k.mp4"}}' % ("9" * 39), "38 digits at most"),
        (
            '{"detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": 7}}}',
            "asks for no video",
        ),
        ('{"Records": [{"eventName": "ObjectCreated:Put"}]}', "names no object"),
        ('{"detail-type": "Object Deleted", "detail": {}}', "asks for no video"),
    ],
)
def test_what_is_none_of_them_is_refused_with_what_is(body: str, named: str) -> None:
    with pytest.raises(RequestError, match=named) as caught:
        parse_message(body)
    assert "VideoId" in str(caught.value.hint)


def test_a_message_within_messages_without_end_is_refused() -> None:
    message: Any = {"command": "stop"}
    for _ in range(6):
        message = notification(message)
    with pytest.raises(RequestError):
        parse_message(json.dumps(message))


def test_what_a_message_leaves_open_is_as_configured() -> None:
    defaults = {"is_live": True, "min_confidence": 0.4, "frame_interval": 5}
    (work,) = parse_message(json.dumps({"input": fields("b", "c.mp4") | {"min_confidence": 0.7}}))  # type: ignore[misc]
    job = work.request(defaults).job
    assert (job.is_live, job.min_confidence, job.frame_interval) == (True, 0.7, 5)


def test_a_wrong_field_of_a_message_is_named() -> None:
    (work,) = parse_message(json.dumps({"s3": {"bucket": "b", "key": 5}}))  # type: ignore[misc]
    with pytest.raises(RequestError, match="s3_source_filename"):
        work.request({})

"""Pictures that Kinesis Video extracts are looked at, and recorded as `pothole stream` records its own."""

import json
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

import image_handler
from pothole.entrypoints.stream.records import StreamFrame, json_record, original_record
from support.aws_calls import Calls

ACCOUNT, TIME = "123456789012", 1774045170155
FRAGMENT = "91343852333181432392682062607743920546264022004"
KEY = f"{ACCOUNT}_front-1_{TIME}_5b1f6a0e-33e1-4f2b-9f7e-0f9d1c6f2ab1.jpg"
METADATA = {
    "aws_kinesisvideo_fragment_number": FRAGMENT,
    "aws_kinesisvideo_server_timestamp": str(TIME + 900),
    "aws_kinesisvideo_producer_timestamp": str(TIME - 155),
    "Location": "Front",
}
ANSWER = json.dumps({"output": [{"label": "pothole", "score": 0.93}]}).encode()
FRAME = StreamFrame("front-1", FRAGMENT, TIME + 900, TIME - 155, 1, 155)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setenv("ENDPOINT_NAME", "road-preview")
    monkeypatch.setenv("RECORDS_STREAM", "records")
    monkeypatch.delenv("RECORD_FORMAT", raising=False)
    calls = Calls(monkeypatch)
    show(calls, b"picture", METADATA)
    calls.answers["InvokeEndpoint"] = {"Body": BytesIO(ANSWER)}
    return calls


def show(calls: Calls, picture: bytes, metadata: dict[str, str], size: int | None = None) -> None:
    calls.answers["GetObject"] = {
        "Body": BytesIO(picture),
        "ContentLength": len(picture) if size is None else size,
        "Metadata": metadata,
    }


def created(key: str = KEY) -> dict[str, Any]:
    """The event as EventBridge brings it, by S3's documentation."""
    detail = {"bucket": {"name": "pictures"}, "object": {"key": key, "size": 7, "sequencer": "1"}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def status(event: dict[str, Any]) -> dict[str, Any]:
    [result] = image_handler.lambda_handler(event, None)["results"]
    return result


def test_a_picture_is_recorded_as_the_consumer_records_it(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORD_FORMAT", "original")
    assert status(created())["status"] == "recorded"
    [asked] = calls.of("InvokeEndpoint")
    assert (asked["EndpointName"], asked["ContentType"], asked["Body"]) == (
        *("road-preview", "image/jpeg"),
        b"picture",
    )
    [put] = calls.of("PutRecord")
    assert (put["StreamName"], put["PartitionKey"]) == ("records", "front-1")
    assert put["Data"] == original_record(FRAME, ANSWER)


def test_a_plain_record_has_the_streams_tags_besides(calls: Calls) -> None:
    assert status(created())["status"] == "recorded"
    [put] = calls.of("PutRecord")
    told = json.loads(put["Data"])
    assert told.pop("tags") == {"Location": "Front"}
    assert told == json.loads(json_record(FRAME, ANSWER, None))


@pytest.mark.parametrize(
    ("key", "stream"),
    [
        (f"north/{KEY}", "front-1"),
        (f"cam_7_{KEY}", "front-1"),
        (f"a/b_{ACCOUNT}_yard_gate.2_{TIME}_5b1f6a0e.png", "yard_gate.2"),
        (f"{ACCOUNT}_20260101_{TIME}_X.JPEG", "20260101"),
    ],
)
def test_keys_are_read_with_any_prefix_and_name(calls: Calls, key: str, stream: str) -> None:
    assert status(created(key))["stream"] == stream
    expected = "image/png" if key.endswith("png") else "image/jpeg"
    assert calls.of("InvokeEndpoint")[0]["ContentType"] == expected


@pytest.mark.parametrize(
    "key", ["holiday.jpg", f"{ACCOUNT}_front_{TIME}.jpg", f"12_front_{TIME}_a.jpg", KEY + ".json"]
)
def test_other_objects_are_passed_over(calls: Calls, key: str) -> None:
    assert status(created(key))["status"] == "skipped"
    assert calls.made == []


def test_s3s_own_notification_within_a_queue_is_read(calls: Calls) -> None:
    record = {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "pictures"}, "object": {"key": KEY.replace("_", "%5F")}},
    }
    event = {"Records": [{"body": json.dumps({"Records": [record, record]})}]}
    assert status(event)["status"] == "recorded", "and an object that is named twice is looked at once"


@pytest.mark.parametrize("lost", [name for name in METADATA if name.startswith("aws")])
def test_a_picture_without_its_fragment_is_refused(calls: Calls, lost: str) -> None:
    show(calls, b"picture", {name: value for name, value in METADATA.items() if name != lost})
    assert status(created())["status"] == "refused"
    assert calls.of("InvokeEndpoint") == []


@pytest.mark.parametrize("wrong", ["1" * 20, "-1" + "0" * 20, str(TIME * 1000), "soon", ""])
def test_a_time_or_a_number_that_cannot_be_is_refused(calls: Calls, wrong: str) -> None:
    for name in (name for name in METADATA if name.endswith("timestamp")):
        show(calls, b"picture", METADATA | {name: wrong})
        assert status(created())["status"] == "refused"
    show(calls, b"picture", METADATA | {"aws_kinesisvideo_fragment_number": ""})
    assert status(created())["status"] == "refused"


def test_the_functions_account_tells_prefix_and_name_apart(calls: Calls) -> None:
    class Context:
        invoked_function_arn = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:road-images"

    key = f"{ACCOUNT}_cam_444455556666_x_{TIME}_g.jpg"
    [result] = image_handler.lambda_handler(created(key), Context())["results"]
    assert result["stream"] == "cam_444455556666_x"


def test_what_is_no_json_is_kept_as_it_came(calls: Calls) -> None:
    calls.answers["InvokeEndpoint"] = {"Body": BytesIO(b'{"score": NaN}')}
    assert status(created())["status"] == "recorded"
    told = json.loads(calls.of("PutRecord")[0]["Data"])
    assert "answer" not in told
    assert told["answer_base64"] == "eyJzY29yZSI6IE5hTn0="
    assert told == json.loads(json_record(FRAME, b'{"score": NaN}', None)) | {"tags": {"Location": "Front"}}


def test_what_an_endpoint_or_kinesis_never_takes_is_refused(calls: Calls) -> None:
    show(calls, b"", METADATA, size=7 * 2**20)
    assert "endpoint takes" in status(created())["reason"]
    show(calls, b"picture", METADATA)
    calls.answers["InvokeEndpoint"] = {"Body": BytesIO(b'"' + b"a" * 2**20 + b'"')}
    assert "its record has" in status(created())["reason"]
    assert calls.of("PutRecord") == []


@pytest.mark.parametrize(("code", "expected"), [(422, "refused"), (429, None), (503, None)])
def test_a_model_that_refuses_is_final_and_one_that_is_busy_is_not(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, code: int, expected: str | None
) -> None:
    class Runtime:
        class exceptions:  # noqa: N801  # as boto3 names it
            class ModelError(ClientError):
                pass

        def invoke_endpoint(self, **asked: Any) -> Any:
            error = {"Error": {"Code": "ModelError", "Message": "no"}, "OriginalStatusCode": code}
            raise self.exceptions.ModelError(error, "InvokeEndpoint")  # type: ignore[arg-type]

    real = image_handler.boto3.client
    monkeypatch.setattr(
        image_handler.boto3,
        "client",
        lambda service, **options: Runtime() if service == "sagemaker-runtime" else real(service, **options),
    )
    if expected:
        assert status(created())["status"] == expected
    else:
        with pytest.raises(RuntimeError, match=KEY):
            image_handler.lambda_handler(created(), None)
    assert calls.of("PutRecord") == []


def test_one_that_cannot_be_asked_does_not_keep_back_the_others(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = KEY.replace("front-1", "yard")
    real = image_handler._ask
    tries = iter([True, False])

    def ask(picture: bytes, media_type: str) -> bytes:
        if next(tries):
            raise EndpointConnectionError(endpoint_url="https://runtime")
        return real(picture, media_type)

    monkeypatch.setattr(image_handler, "_ask", ask)
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "p"}, "object": {"key": key}}}
        for key in (KEY, other)
    ]
    with pytest.raises(RuntimeError, match="front-1"):
        image_handler.lambda_handler({"Records": records}, None)
    assert [put["PartitionKey"] for put in calls.of("PutRecord")] == ["yard"]

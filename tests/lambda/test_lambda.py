"""The Lambda function, against a real server that plays SageMaker's runtime."""

import copy
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

import lambda_handler
import notify_handler
from support.aws_calls import Calls
from support.servers import free_port

EVENTS = Path(__file__).parent / "events"
KEY = "east_output.1/München A8+A9 17%.MP4"
ANSWER = {"output": ["s3://road-videos/clip_output.mp4"], "job": {"potholes": 3}}


class Endpoint:
    """SageMaker's runtime: counts what is posted and answers as told.

    Attributes:
        posts: `(path, body)` of each POST.
        answer: Status, headers and body to answer with.
        headers: Of the last POST.
        hang: Waited for before answering, when set.
    """

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []
        self.answer: tuple[int, dict[str, str], dict[str, Any]] = (200, {}, ANSWER)
        self.headers: dict[str, str] = {}
        self.hang: threading.Event | None = None
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.headers = dict(self.headers)
                endpoint.posts.append((self.path, json.loads(body)))
                if endpoint.hang:
                    endpoint.hang.wait()
                    return
                status, headers, answer = endpoint.answer
                payload = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json"}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fail(self, status: int, kind: str, **details: Any) -> None:
        self.answer = (status, {"X-Amzn-ErrorType": kind}, {"Message": f"{kind}.", **details})


class Context:
    """Lambda's context, with a given time left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    aws_request_id = "run-1"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    endpoint = Endpoint()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", endpoint.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("IS_LIVE", raising=False)
    monkeypatch.delenv("ENDPOINT_NAME", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", endpoint.url)
    thread = threading.Thread(target=endpoint.server.serve_forever, args=(0.01,))
    thread.start()
    yield endpoint
    if endpoint.hang:
        endpoint.hang.set()
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


def load(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / name).read_text())  # type: ignore[no-any-return]


def s3_event(*keys: str) -> dict[str, Any]:
    event = load("s3_put.json")
    template = event["Records"][0]
    event["Records"] = []
    for key in keys:
        record = copy.deepcopy(template)
        record["s3"]["object"]["key"] = quote_plus(key, safe="/")
        event["Records"].append(record)
    return event


def statuses(answer: dict[str, Any]) -> list[str]:
    return [result["status"] for result in answer["results"]]


@pytest.mark.parametrize("event", ["s3_put.json", "eventbridge_object_created.json"])
def test_sends_the_original_body_with_the_true_key(endpoint: Endpoint, event: str) -> None:
    answer = lambda_handler.lambda_handler(load(event), Context(120))

    body = {"input": {"s3_bucket": "road-videos", "s3_source_filename": KEY, "is_live": False}}
    assert endpoint.posts == [("/endpoints/pothole/invocations", body)]
    [result] = answer["results"]
    expected = {"bucket": "road-videos", "key": KEY, "status": "done", "answer": ANSWER}
    assert result == expected | {"number": result["number"]}
    # By these a line of the container's log is found, and from that this function's.
    headers = {name.lower(): value for name, value in endpoint.headers.items()}
    assert headers["x-amzn-sagemaker-inference-id"] == f"{result['number']}-1"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "lambda=run-1"


def in_sns(event: dict[str, Any]) -> dict[str, Any]:
    message = {"Type": "Notification", "Subject": "Amazon S3 Notification", "Message": json.dumps(event)}
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": message}]}


def in_sqs(*events: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(event)} for event in events]}


def in_sns_in_sqs(event: dict[str, Any]) -> dict[str, Any]:
    return in_sqs(in_sns(event)["Records"][0]["Sns"])


@pytest.mark.parametrize("wrap", [in_sns, in_sqs, in_sns_in_sqs])
@pytest.mark.parametrize("event", ["s3_put.json", "eventbridge_object_created.json"])
def test_sends_what_sns_and_sqs_carry(endpoint: Endpoint, event: str, wrap: Any) -> None:
    answer = lambda_handler.lambda_handler(wrap(load(event)), Context(120))

    assert [body["input"]["s3_source_filename"] for _, body in endpoint.posts] == [KEY]
    assert statuses(answer) == ["done"]


def test_each_message_of_a_queue_is_sent_once(endpoint: Endpoint) -> None:
    batch = in_sqs(s3_event("a.mp4", "b.mp4"), load("s3_test_event.json"), s3_event("/c.mp4", "a.mp4"))

    lambda_handler.lambda_handler(batch, None)

    assert [body["input"]["s3_source_filename"] for _, body in endpoint.posts] == ["a.mp4", "b.mp4", "/c.mp4"]


@pytest.mark.parametrize("body", ["a.mp4", "[]", '{"key1": "value1"}'])
def test_a_message_without_an_event_of_s3_is_refused(endpoint: Endpoint, body: str) -> None:
    with pytest.raises(ValueError, match=r"^Expected (an event|an S3 notification|S3's event as JSON)"):
        lambda_handler.lambda_handler({"Records": [{"eventSource": "aws:sqs", "body": body}]}, None)

    assert endpoint.posts == []


def test_environment_overrides_the_switch_and_the_name(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IS_LIVE", "True")
    monkeypatch.setenv("ENDPOINT_NAME", "roads-2")

    lambda_handler.lambda_handler(s3_event("a.mp4"), None)

    ((path, body),) = endpoint.posts
    assert path == "/endpoints/roads-2/invocations"
    assert body["input"]["is_live"] is True


def test_a_switch_that_is_neither_true_nor_false_is_named(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IS_LIVE", "yes")

    with pytest.raises(ValueError, match="IS_LIVE is 'yes', expected true or false"):
        lambda_handler.lambda_handler(s3_event("a.mp4"), None)

    assert endpoint.posts == []


def test_test_event_sends_nothing(endpoint: Endpoint) -> None:
    assert lambda_handler.lambda_handler(load("s3_test_event.json"), None) == {"results": []}
    assert endpoint.posts == []


def test_other_events_are_refused(endpoint: Endpoint) -> None:
    with pytest.raises(ValueError, match='Expected an S3 notification \\("Records"\\)'):
        lambda_handler.lambda_handler({"key1": "value1"}, None)

    removed = s3_event("a.mp4")
    removed["Records"][0]["eventName"] = "ObjectRemoved:Delete"
    assert lambda_handler.lambda_handler(removed, None) == {"results": []}
    assert endpoint.posts == []


def test_outputs_and_what_is_no_video_are_skipped(endpoint: Endpoint) -> None:
    skipped = ["a/clip_output.mp4", "clip_output.MOV", "clip_output.json", "track.gpx", "folder/", "mp4"]
    sent = ["a_output.b/clip.mp4", "clip_output.v2.mp4", "my_output_1.mkv", "OUTPUT.AVI"]

    answer = lambda_handler.lambda_handler(s3_event(*skipped, *sent), None)

    assert statuses(answer) == ["skipped"] * len(skipped) + ["done"] * len(sent)
    assert [body["input"]["s3_source_filename"] for _, body in endpoint.posts] == sent


def test_each_object_of_an_event_is_sent_once(endpoint: Endpoint) -> None:
    lambda_handler.lambda_handler(s3_event("a.mp4", "b.mp4", "a.mp4"), None)

    assert [body["input"]["s3_source_filename"] for _, body in endpoint.posts] == ["a.mp4", "b.mp4"]


def test_a_hung_call_sends_one_post_and_is_not_raised(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_handler, "PATIENCE_S", 0.5)
    endpoint.hang = threading.Event()

    answer = lambda_handler.lambda_handler(s3_event("a.mp4"), Context(120))

    assert statuses(answer) == ["accepted"]
    assert len(endpoint.posts) == 1


def test_a_function_with_little_time_leaves_before_it_is_killed(endpoint: Endpoint) -> None:
    endpoint.hang = threading.Event()

    assert statuses(lambda_handler.lambda_handler(s3_event("a.mp4"), Context(2))) == ["accepted"]
    with pytest.raises(RuntimeError, match="no time left"):
        lambda_handler.lambda_handler(s3_event("b.mp4"), Context(1))

    assert len(endpoint.posts) == 1


def test_an_invocation_cut_by_sagemaker_is_accepted(endpoint: Endpoint) -> None:
    message = "Your invocation timed out while waiting for a response from container primary."
    endpoint.fail(424, "ModelError", OriginalStatusCode=0, OriginalMessage=message)

    (result,) = lambda_handler.lambda_handler(s3_event("a.mp4"), None)["results"]

    assert (result["status"], result["reason"]) == ("accepted", message)
    assert len(endpoint.posts) == 1


def test_a_refusal_of_the_container_is_not_tried_again(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.fail(424, "ModelError", OriginalStatusCode=422, OriginalMessage="a.mp4 is empty.")

    answer = lambda_handler.lambda_handler(s3_event("a.mp4"), None)

    assert statuses(answer) == ["refused"]
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["key"], line["code"], line["reason"]) == (
        "ERROR",
        "a.mp4",
        422,
        "a.mp4 is empty.",
    )


@pytest.mark.parametrize(
    ("status", "kind", "details"),
    [
        (400, "ThrottlingException", {}),
        (400, "ValidationError", {}),  # no such endpoint
        (403, "AccessDeniedException", {}),
        (503, "ServiceUnavailable", {}),
        (424, "ModelError", {"OriginalStatusCode": 503}),  # the container is loading
        (424, "ModelError", {"OriginalStatusCode": 429}),  # its queue is full
    ],
)
def test_what_may_work_later_is_raised_after_all_were_tried(
    endpoint: Endpoint, status: int, kind: str, details: dict[str, Any]
) -> None:
    endpoint.fail(status, kind, **details)

    with pytest.raises(RuntimeError, match=r"road-videos/a\.mp4: .*; road-videos/b\.mp4: "):
        lambda_handler.lambda_handler(s3_event("a.mp4", "b.mp4"), None)

    assert len(endpoint.posts) == 2


def test_no_server_is_raised(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(RuntimeError, match="Could not connect"):
        lambda_handler.lambda_handler(s3_event("a.mp4"), None)


JOB = {
    "ProcessingJobName": "road-video",
    "RoleArn": "arn:aws:iam::123456789012:role/road-processing",
    "AppSpecification": {"ImageUri": "image"},
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.c5.2xlarge"}},
    "ProcessingOutputConfig": {},
}


@pytest.fixture
def long_videos(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """Every whole video is one for a processing job."""
    monkeypatch.setenv("IS_LIVE", "true")
    monkeypatch.setenv("PROCESSING_JOB", json.dumps(JOB))
    monkeypatch.setenv("LARGEST_VIDEO_BYTES", "1000")
    endpoint.answer = (200, {}, {"ProcessingJobArn": "arn"})
    return endpoint


def test_a_processing_job_gets_the_video_and_leaves_its_outputs_beside_it(long_videos: Endpoint) -> None:
    event = s3_event("roads/München A8+A9 17%.MP4", "top.mp4")
    event["Records"][0]["s3"]["object"]["size"] = 20 * 10**9
    answer = lambda_handler.lambda_handler(event, None)

    assert statuses(answer) == ["started", "started"]
    first, second = (body for _, body in long_videos.posts)
    assert (
        first["AppSpecification"]["ContainerArguments"][0] == "/opt/ml/processing/input/München A8+A9 17%.MP4"
    )
    assert first["ProcessingInputs"][0]["S3Input"]["S3Uri"] == "s3://road-videos/roads/München A8+A9 17%.MP4"
    outputs = [job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] for job in (first, second)]
    assert outputs == ["s3://road-videos/roads", "s3://road-videos"]
    disks = [job["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"] for job in (first, second)]
    assert disks == [80, 30]


def test_an_event_that_comes_twice_is_one_job_and_a_second_upload_another(long_videos: Endpoint) -> None:
    event = s3_event("a.mp4")
    lambda_handler.lambda_handler(event, None)
    long_videos.fail(400, "ResourceInUse", __type="ResourceInUse")  # the name is taken
    assert statuses(lambda_handler.lambda_handler(event, None)) == ["started"]
    event["Records"][0]["s3"]["object"]["sequencer"] = "0055AED6DCD90281E6"
    lambda_handler.lambda_handler(event, None)

    names = [body["ProcessingJobName"] for _, body in long_videos.posts]
    assert names[0] == names[1] != names[2]
    assert all(name.startswith("road-video-") and len(name) <= 63 for name in names)


def test_a_job_that_cannot_be_started_is_tried_again(long_videos: Endpoint) -> None:
    long_videos.fail(400, "ResourceLimitExceeded")
    with pytest.raises(RuntimeError, match="ResourceLimitExceeded"):
        lambda_handler.lambda_handler(s3_event("a.mp4"), None)


def test_only_known_events_are_told_to_people(endpoint: Endpoint) -> None:
    with pytest.raises(ValueError, match='Expected an event "Object Created"'):
        notify_handler.lambda_handler({"key1": "value1"}, None)

    assert endpoint.posts == []


def test_without_a_real_time_endpoint_a_sample_goes_to_the_asynchronous_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in {
        **{"IS_LIVE": "false", "ENDPOINT_NAME": "", "VIDEOS_ENDPOINT_NAME": "road-videos"},
        "REQUESTS_BUCKET": "road-work",
    }.items():
        monkeypatch.setenv(name, text)
    calls = Calls(monkeypatch)
    calls.answers["InvokeEndpointAsync"] = {
        "InferenceId": "1-1",
        "OutputLocation": "s3://road-work/answers/1.out",
    }
    assert statuses(lambda_handler.lambda_handler(s3_event("a.mp4"), None)) == ["queued"]
    [stored], [sent] = calls.of("PutObject"), calls.of("InvokeEndpointAsync")
    assert sent["InputLocation"] == f"s3://road-work/{stored['Key']}"
    assert json.loads(stored["Body"].read())["input"]["is_live"] is False
    monkeypatch.delenv("REQUESTS_BUCKET")
    with pytest.raises(ValueError, match="REQUESTS_BUCKET is not"):
        lambda_handler.lambda_handler(s3_event("a.mp4"), None)

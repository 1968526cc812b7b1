"""What failed is sent again or told, never both; each request is checked by botocore's own models."""

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

import redrive_handler
from support.aws_calls import Calls

JOB = {
    "ProcessingJobName": "road-video",
    "RoleArn": "arn:aws:iam::123456789012:role/road-processing",
    "AppSpecification": {"ImageUri": "image"},
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.c5.2xlarge"}},
    "ProcessingOutputConfig": {},
}
NUMBER = "0123456789abcdef0123"
LOCATION = f"s3://road-work/requests/{NUMBER}.json"
REQUEST = {"input": {"s3_bucket": "road-videos", "s3_source_filename": "a/clip.mp4", "is_live": True}}
ENVIRONMENT = {
    "ATTEMPTS": "3",
    "REDRIVE_DELAY_S": "150",
    "AGAIN_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/road-again",
    "MESSAGES_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:road-messages",
    "VIDEOS_ENDPOINT_NAME": "road-videos",
    "PROCESSING_JOB": json.dumps(JOB),
    "OUTPUTS": "video,json",
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    for name, text in ENVIRONMENT.items():
        monkeypatch.setenv(name, text)
    calls = Calls(monkeypatch)
    calls.answers["GetObject"] = {"Body": io.BytesIO(json.dumps(REQUEST).encode())}
    return calls


def answered(status: int, code: str) -> str:
    """A reason as SageMaker words it; the container's answer is within."""
    side = "Client" if status < 500 else "Server"
    body = json.dumps({"error": {"code": code, "message": "It was so.", "hint": None}})
    return f'{side}Error: Received {side.lower()} error ({status}) from primary with message "{body}".'


def failed(reason: str, attempt: int = 1, location: str | None = LOCATION) -> dict[str, Any]:
    message = {
        "invocationStatus": "Failed",
        "failureReason": reason,
        "inferenceId": f"{NUMBER}-{attempt}",
        "requestParameters": {"endpointName": "road-videos", "inputLocation": location},
    }
    return {"Records": [{"Sns": {"Message": json.dumps(message)}}]}


def job_ended(reason: str, status: str = "Failed", attempt: int = 1) -> dict[str, Any]:
    detail = {
        "ProcessingJobName": f"road-video-{NUMBER}-{attempt}",
        "ProcessingJobStatus": status,
        "FailureReason": reason,
        "ProcessingInputs": [{"S3Input": {"S3Uri": "s3://road-videos/a/clip.mp4"}}],
        "ProcessingResources": {"ClusterConfig": {"VolumeSizeInGB": 80}},
    }
    return {"detail-type": "SageMaker Processing Job State Change", "detail": detail}


def waited(calls: Calls) -> dict[str, Any]:
    """The event by which SQS brings what was put into the queue."""
    [message] = calls.of("SendMessage")
    return {"Records": [{"eventSource": "aws:sqs", "body": message["MessageBody"]}]}


PASSING = [
    answered(503, "interrupted"),
    answered(502, "storage_unavailable"),
    answered(507, "disk_full"),
    answered(429, "too_many_requests"),
    'ServerError: Received server error (503) from primary with message "".',
    "RequestExpired: the request was in the queue for too long.",
    "InternalServerError: We encountered an internal error.",
    "InsufficientCapacityError: no instance could be had.",
]
LASTING = [
    answered(422, "invalid_media"),
    answered(403, "access_denied"),
    answered(422, "given_up"),
    answered(500, "internal_error"),
    "ModelError: Your invocation timed out while waiting for a response from container primary.",
]


@pytest.mark.parametrize("reason", PASSING)
def test_what_passes_is_sent_again_after_a_while_and_told_to_nobody(calls: Calls, reason: str) -> None:
    redrive_handler.lambda_handler(failed(reason), None)
    [message] = calls.of("SendMessage")
    assert message["DelaySeconds"] > 60, "the lease of the worker that had it runs for a minute"
    redrive_handler.lambda_handler(waited(calls), SimpleNamespace(aws_request_id="run-1"))

    [request] = calls.of("InvokeEndpointAsync")
    assert (request["EndpointName"], request["InputLocation"]) == ("road-videos", LOCATION)
    assert request["InferenceId"] == f"{NUMBER}-2"
    assert request["CustomAttributes"] == "lambda=run-1"
    assert calls.of("Publish") == []


@pytest.mark.parametrize("reason", LASTING)
def test_what_lasts_is_told_once_by_the_videos_name_and_not_sent_again(calls: Calls, reason: str) -> None:
    redrive_handler.lambda_handler(failed(reason), None)

    [mail] = calls.of("Publish")
    assert mail["Subject"] == "Not marked: clip.mp4"
    assert "s3://road-videos/a/clip.mp4" in mail["Message"] and reason in mail["Message"]
    assert calls.of("SendMessage") == []


def test_the_last_attempt_is_told_with_how_often_it_was_tried(calls: Calls) -> None:
    redrive_handler.lambda_handler(failed(answered(503, "interrupted"), attempt=3), None)

    [mail] = calls.of("Publish")
    assert "tried 3 times" in mail["Message"]
    assert calls.of("SendMessage") == []


def test_each_attempt_waits_longer(calls: Calls) -> None:
    for attempt in (1, 2):
        redrive_handler.lambda_handler(failed(answered(503, "interrupted"), attempt), None)
    assert [message["DelaySeconds"] for message in calls.of("SendMessage")] == [150, 300]


def test_a_request_that_nobody_stored_is_told(calls: Calls) -> None:
    redrive_handler.lambda_handler(failed(answered(503, "interrupted"), location=None), None)
    [mail] = calls.of("Publish")
    assert mail["Subject"] == "A video was not marked"


def test_a_processing_job_without_an_instance_is_started_again(calls: Calls) -> None:
    reason = "CapacityError: Unable to provision requested ML compute capacity."
    redrive_handler.lambda_handler(job_ended(reason), None)
    redrive_handler.lambda_handler(waited(calls), None)

    [request] = calls.of("CreateProcessingJob")
    assert request["ProcessingJobName"] == f"road-video-{NUMBER}-2"
    assert request["ProcessingInputs"][0]["S3Input"]["S3Uri"] == "s3://road-videos/a/clip.mp4"
    assert request["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"] == 80
    assert calls.of("Publish") == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [("AlgorithmError: exit code 1", "Failed"), ("CapacityError: somebody stopped it", "Stopped")],
)
def test_a_processing_job_that_failed_of_its_video_or_was_stopped_is_told(
    calls: Calls, reason: str, status: str
) -> None:
    redrive_handler.lambda_handler(job_ended(reason, status), None)
    [mail] = calls.of("Publish")
    assert mail["Subject"] == "Not marked: clip.mp4"
    assert calls.of("SendMessage") == []


def test_a_processing_jobs_own_words_are_told_and_not_its_exit_status(calls: Calls) -> None:
    event = job_ended("AlgorithmError: See job logs for more information, exit code: 1")
    event["detail"]["ExitMessage"] = "clip.mp4 is not a video."
    redrive_handler.lambda_handler(event, None)
    [mail] = calls.of("Publish")
    assert "Why: clip.mp4 is not a video." in mail["Message"]


def test_other_events_are_refused(calls: Calls) -> None:
    with pytest.raises(ValueError, match="Expected an event of a processing job"):
        redrive_handler.lambda_handler({"key1": "value1"}, None)
    assert calls.made == []

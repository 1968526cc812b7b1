"""Videos whose work was cut short, in the emulated cloud: sent again, bounded, and told once."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

import deploy
from pothole.types import Image
from support.clips import make_clip
from support.deployment import Deployed, receive, s3_event, sending, wait_for_object
from support.jobs import all_records, content
from support.pictures import SIZE, road
from support.servers import Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

QUICK = {"function": "road-redrive", "REDRIVE_DELAY_S": "2"}


def nearing(number: int) -> Image:
    return road(number % 40)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_clip(path, 60, 10, SIZE, audio="aac", picture=nearing)


def test_a_video_survives_the_end_of_its_instance_from_its_checkpoint_byte_for_byte(
    start: Start, s3: "S3Client", bucket: str, long_clip: Path, front: Any
) -> None:
    """Scaling in sends SIGTERM; the container answers 503, and SageMaker asks nobody else."""
    dying = start(application="support.patient_wsgi:app", SEGMENT_SECONDS="1")
    other = start(SEGMENT_SECONDS="1")
    front.server = dying.url
    with sending(**QUICK):
        s3.upload_file(str(long_clip), bucket, "scaled/clip.mp4")
        while not any(r["segments"] for r in all_records(s3, bucket) if "/scaled/" in r["source"]):
            time.sleep(0.1)
        before = front.invocations
        dying.stop()
        front.server = other.url
        wait_for_object(s3, bucket, "scaled/clip_output.mp4")
        s3.upload_file(str(long_clip), bucket, "steady/clip.mp4")
        wait_for_object(s3, bucket, "steady/clip_output.mp4")

    assert front.invocations == before + 2
    [record] = [r for r in all_records(s3, bucket) if "/scaled/" in r["source"]]
    assert (record["state"], record["attempt"]) == ("done", 2)
    assert record["resumed_at"] > 0, "it started over"
    for suffix in ("mp4", "json"):
        steady = content(s3, bucket, f"steady/clip_output.{suffix}")
        assert content(s3, bucket, f"scaled/clip_output.{suffix}") == steady.replace(b"/steady/", b"/scaled/")


def test_a_video_that_finds_no_container_is_sent_as_often_as_said_and_told_once(
    s3: "S3Client", bucket: str, long_clip: Path, front: Any, listen: Any
) -> None:
    told, before = listen("MessagesTopicArn"), front.invocations
    front.unavailable = True
    with sending(**QUICK, ATTEMPTS="2"):
        s3.upload_file(str(long_clip), bucket, "nobody/clip.mp4")
        mail = told()
        time.sleep(5)  # for a third attempt, and a second mail
    assert front.invocations == before + 2
    assert mail["Subject"] == "Not marked: clip.mp4"
    assert "nobody/clip.mp4" in mail["Message"] and "tried 2 times" in mail["Message"]
    with pytest.raises(TimeoutError):
        told(3)


def test_what_could_not_be_sent_is_sent_again_by_hand(
    s3: "S3Client", bucket: str, long_clip: Path, front: Any, deployed: Deployed, capsys: Any
) -> None:
    events, queue = boto3.client("events"), deployed["UndeliveredQueueUrl"]
    events.disable_rule(Name="road-uploaded")
    s3.upload_file(str(long_clip), bucket, "byhand/clip.mp4")
    events.enable_rule(Name="road-uploaded")
    function = boto3.client("lambda").get_function_configuration(FunctionName="road-send")["FunctionArn"]
    event = {
        "requestContext": {"functionArn": function, "condition": "RetriesExhausted"},
        "requestPayload": json.loads(s3_event(bucket, "byhand/clip.mp4")),
    }
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event))
    sqs.send_message(QueueUrl=queue, MessageBody="hello")

    with pytest.raises(deploy.Failed, match=r"1 events were sent again; no event of ours have the messages"):
        deploy.run(["redrive", "--name", "road"])
    wait_for_object(s3, bucket, "byhand/clip_output.mp4")
    assert receive(queue)["Body"] == "hello"
    deploy.run(["redrive", "--name", "road"])
    assert "events sent again: 0" in capsys.readouterr().out

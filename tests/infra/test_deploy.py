"""What `make deploy` makes, in the emulated cloud: the real templates, functions and server, real uploads."""

import json
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import boto3
import numpy as np
import pytest
import requests
from botocore.exceptions import ClientError

import deploy
from pothole.types import Image
from stacks import Failed, Stack
from support.clips import make_clip
from support.deployment import (
    IMAGE,
    SAME,
    Deployed,
    receive,
    report_of,
    s3_event,
    sending,
    wait_for_object,
)
from support.fakes import MAGENTA
from support.servers import free_port

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FRAMES = 20


def with_patch(number: int) -> Image:
    image = np.full((180, 320, 3), 90, np.uint8)
    image[100:140, 40 + number : 100 + number] = MAGENTA
    return image


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_clip(path, FRAMES, size=(320, 180), picture=with_patch, audio="aac")


def upload_unnoticed(s3: "S3Client", bucket: str, clip: Path, *keys: str) -> None:
    """Upload without starting the function."""
    events = boto3.client("events")
    events.disable_rule(Name="road-uploaded")
    for key in keys:
        s3.upload_file(str(clip), bucket, key)
    events.enable_rule(Name="road-uploaded")


def test_a_whole_video_is_marked_by_the_asynchronous_endpoint_and_told_with_a_link(
    s3: "S3Client", bucket: str, clip: Path, front: Any, listen: Any, tmp_path: Path
) -> None:
    done, told, before = listen("DoneTopicArn"), listen("MessagesTopicArn"), front.invocations
    key, stem = "east_output.d/Straße A8+A9 100%.mp4", "east_output.d/Straße A8+A9 100%"
    s3.upload_file(str(clip), bucket, key)

    message = json.loads(done()["Message"])
    assert message["invocationStatus"] == "Completed"
    work, _, answer_key = message["responseParameters"]["outputLocation"][5:].partition("/")
    answer = json.loads(s3.get_object(Bucket=work, Key=answer_key)["Body"].read())
    assert answer["output"] == [f"s3://{bucket}/{stem}_output.mp4", f"s3://{bucket}/{stem}_output.json"]
    assert report_of(s3, bucket, stem)["summary"]["frames"] == FRAMES
    assert report_of(s3, bucket, stem)["summary"]["potholes"] == 1
    mail = told()
    assert mail["Subject"] == "Marked: Stra?e A8+A9 100%_output.mp4"
    marked = tmp_path / "marked.mp4"
    marked.write_bytes(requests.get(mail["Message"].split()[-1], timeout=10).content)
    with av.open(str(marked)) as container:
        assert container.streams.video[0].average_rate == Fraction(30)
        assert len(container.streams.audio) == 1
        assert sum(1 for _ in container.decode(video=0)) == FRAMES
    time.sleep(1)  # for the output's own event
    assert front.invocations == before + 1


def test_only_videos_are_sent_and_each_upload_is(
    s3: "S3Client", bucket: str, clip: Path, front: Any, listen: Any
) -> None:
    done, before = listen("DoneTopicArn"), front.invocations
    for key in ("keys/b_output.mp4", "keys/notes.txt", "keys/folder.mp4/", "keys/"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"hello")
    for _ in range(2):
        s3.upload_file(str(clip), bucket, "keys/a b+ü.MP4")
        done()

    assert report_of(s3, bucket, "keys/a b+ü")["summary"]["frames"] == FRAMES
    assert front.invocations == before + 2


def test_two_records_of_one_event_are_both_marked(s3: "S3Client", bucket: str, clip: Path) -> None:
    names = [f"records/{name}.mp4" for name in ("one", "two")]
    upload_unnoticed(s3, bucket, clip, *names)
    boto3.client("lambda").invoke(FunctionName="road-send", Payload=s3_event(bucket, *names))

    for name in ("one", "two"):
        wait_for_object(s3, bucket, f"records/{name}_output.mp4")


def test_a_failed_video_is_told_with_its_reason(s3: "S3Client", bucket: str, listen: Any) -> None:
    failed, told = listen("FailedTopicArn"), listen("MessagesTopicArn")
    s3.put_object(Bucket=bucket, Key="broken/text.mp4", Body=b"this is no video")

    message = json.loads(failed()["Message"])
    assert message["invocationStatus"] == "Failed"
    assert "ClientError: Received client error (422)" in message["failureReason"]
    mail = told()
    assert mail["Subject"] == "Not marked: text.mp4"
    assert f"s3://{bucket}/broken/text.mp4" in mail["Message"]
    assert "invalid_media" in mail["Message"]


def test_a_preview_is_marked_by_the_real_time_endpoint(
    s3: "S3Client", bucket: str, clip: Path, front: Any
) -> None:
    with sending(IS_LIVE="false"):
        s3.upload_file(str(clip), bucket, "preview/clip.mp4")
        wait_for_object(s3, bucket, "preview/clip_output.mp4")

    assert report_of(s3, bucket, "preview/clip")["summary"]["frames"] == 1


def test_a_refused_preview_is_told(s3: "S3Client", bucket: str, listen: Any) -> None:
    failed, told = listen("FailedTopicArn"), listen("MessagesTopicArn")
    with sending(IS_LIVE="false"):
        s3.put_object(Bucket=bucket, Key="refused/text.mp4", Body=b"this is no video")
        message = json.loads(failed()["Message"])

    assert (message["status"], message["code"]) == ("refused", 422)
    mail = told()
    assert mail["Subject"] == "Not marked: text.mp4"
    assert f"s3://{bucket}/refused/text.mp4" in mail["Message"]


def test_a_preview_that_sagemaker_cuts_is_marked_once(
    s3: "S3Client", bucket: str, clip: Path, front: Any
) -> None:
    front.shorten(realtime_s=0.01)
    before = front.invocations
    with sending(IS_LIVE="false"):
        s3.upload_file(str(clip), bucket, "cut/clip.mp4")
        wait_for_object(s3, bucket, "cut/clip_output.mp4")
        time.sleep(3)  # the emulator starts a function that failed again after 1 s

    assert front.invocations == before + 1


def test_an_upload_that_cannot_be_sent_is_tried_again_and_kept(
    bucket: str, front: Any, deployed: Deployed
) -> None:
    front.server = f"http://127.0.0.1:{free_port()}"
    before = front.invocations
    with sending(IS_LIVE="false"):
        # As EventBridge does it; the emulator's calls the function without Lambda's retries and queue.
        boto3.client("lambda").invoke(
            FunctionName="road-send",
            InvocationType="Event",
            Payload=s3_event(bucket, "undelivered/clip.mp4"),
        )
        kept = receive(deployed["UndeliveredQueueUrl"])

    assert "undelivered/clip.mp4" in kept["Body"]
    assert front.invocations == before + 3


def test_a_preview_too_large_for_60_s_goes_to_the_asynchronous_endpoint(
    s3: "S3Client", bucket: str, clip: Path, listen: Any
) -> None:
    done = listen("DoneTopicArn")
    with sending(IS_LIVE="false", LARGEST_PREVIEW_BYTES="1000"):
        s3.upload_file(str(clip), bucket, "large/preview.mp4")
        assert json.loads(done()["Message"])["invocationStatus"] == "Completed"

    assert report_of(s3, bucket, "large/preview")["summary"]["frames"] == 1


def test_a_video_too_large_for_an_hour_goes_to_a_processing_job(
    s3: "S3Client", bucket: str, clip: Path, front: Any, listen: Any
) -> None:
    told, before = listen("MessagesTopicArn"), front.invocations
    with sending(LARGEST_VIDEO_BYTES="1000"):
        s3.upload_file(str(clip), bucket, "long/a b+ü.mp4")
        assert told()["Subject"] == "Marked: a b+?_output.mp4"
        s3.put_object(Bucket=bucket, Key="long/text.mp4", Body=b"no video " * 200)
        mail = told()

    assert report_of(s3, bucket, "long/a b+ü")["summary"]["frames"] == FRAMES
    assert front.invocations == before
    assert mail["Subject"] == "Not marked: text.mp4"
    assert "is not a video" in mail["Message"]


@pytest.mark.parametrize(
    ("limits", "reason"), [({"async_s": 0.02}, "timed out"), ({"queue_s": 0}, "RequestExpired")]
)
def test_a_video_that_outlasts_a_limit_of_the_queue_is_told(
    s3: "S3Client", bucket: str, clip: Path, front: Any, listen: Any, limits: dict[str, float], reason: str
) -> None:
    failed = listen("FailedTopicArn")
    front.shorten(**limits)
    s3.upload_file(str(clip), bucket, "outlast/clip.mp4")

    assert reason in json.loads(failed()["Message"])["failureReason"]


def test_deploying_again_changes_only_what_is_given(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    def updated(*values: str) -> set[str]:
        deploy.run([*SAME, *values])
        lines = capsys.readouterr().out.splitlines()
        # moto takes an empty list among the parameters for a change.
        return {line.split()[1] for line in lines if line.endswith("updated")} - {"road-endpoints"}

    assert updated() == set()
    assert updated("IsLive=false") == {"road-trigger"}
    assert updated() == set()
    function = boto3.client("lambda").get_function_configuration(FunctionName="road-send")
    assert function["Environment"]["Variables"]["IS_LIVE"] == "false"
    deploy.run([*SAME, "IsLive=true"])


def test_a_key_a_vpc_and_an_address_reach_what_they_are_for(deployed: Deployed) -> None:
    key = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    given = {"KmsKeyArn": key, "SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"}
    archives = {"CodeKey": code_key(deployed["WorkBucket"]), "ModelDataUrl": "s3://models/model.tar.gz"}
    values = (
        deployed
        | given
        | archives
        | {"Name": "options", "Image": IMAGE, "Email": "a@example.com", "MonthlyBudget": "0"}
    )
    stacks = [Stack("options", kind) for kind in ("endpoints", "trigger", "operations")]
    try:
        for stack in stacks:
            assert stack.apply(values | stacks[0].outputs()) == "made"
        vpc = {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
        function = boto3.client("lambda").get_function_configuration(FunctionName="options-send")
        job = json.loads(function["Environment"]["Variables"]["PROCESSING_JOB"])
        assert job["NetworkConfig"] == {"VpcConfig": vpc}
        assert job["ProcessingOutputConfig"] == {"KmsKeyId": key}
        topic = stacks[1].outputs()["MessagesTopicArn"]
        subscribed = boto3.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        assert ("email", "a@example.com") in [(s["Protocol"], s["Endpoint"]) for s in subscribed]
    finally:
        for stack in reversed(stacks):
            stack.delete()


def code_key(bucket: str) -> str:
    [found] = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="code/")["Contents"]
    return found["Key"]


def test_the_status_is_shown(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deploy.run(["status", "--name", "road"])
    said = capsys.readouterr().out
    assert "InService, instances: 1" in said
    assert deployed["VideosBucket"] in said


def test_mistakes_are_named(tmp_path: Path, deployed: Deployed) -> None:
    with pytest.raises(deploy.Failed, match=r"There is no parameter Emial\. Known are .*Email"):
        deploy.run(["deploy", "--name", "road", "--image", "i", "Emial=a@example.com"])
    with pytest.raises(deploy.Failed, match=r"is no model: it has no config\.json"):
        deploy.run(["deploy", "--name", "road", "--image", "i", "--model", str(tmp_path)])
    with pytest.raises(ClientError, match="Budget"):  # which the emulator has not
        deploy.run([*SAME, "Email=a@example.com"])


def test_the_front_keeps_sagemakers_rules(deployed: Deployed, s3: "S3Client", bucket: str) -> None:
    runtime = boto3.client("sagemaker-runtime")
    preview, videos = deployed["PreviewEndpoint"], deployed["VideosEndpoint"]

    def refusal(call: Callable[..., Any], **request: Any) -> int:
        with pytest.raises(ClientError) as caught:
            call(ContentType="application/json", **request)
        return int(caught.value.response["ResponseMetadata"]["HTTPStatusCode"])

    assert refusal(runtime.invoke_endpoint, EndpointName=preview, Body=b" " * (6 * 2**20 + 1)) == 413
    assert refusal(runtime.invoke_endpoint, EndpointName=videos, Body=b"{}") == 400
    assert refusal(runtime.invoke_endpoint, EndpointName="nowhere", Body=b"{}") == 400
    assert refusal(runtime.invoke_endpoint_async, EndpointName=preview, Body=b"{}") == 400
    assert refusal(runtime.invoke_endpoint_async, EndpointName=videos) == 400
    assert refusal(runtime.invoke_endpoint_async, EndpointName=videos, Body=b" " * 128_001) == 400
    s3.put_object(Bucket=bucket, Key="requests/one.json", Body=b"no json")
    accepted = runtime.invoke_endpoint_async(
        EndpointName=videos, ContentType="application/json", InputLocation=f"s3://{bucket}/requests/one.json"
    )
    work, _, key = accepted["FailureLocation"][5:].partition("/")
    wait_for_object(s3, work, key)
    assert (
        json.loads(s3.get_object(Bucket=work, Key=key)["Body"].read())["error"]["code"] == "invalid_request"
    )


def test_another_instance_type_takes_the_scaling_away_and_brings_it_back(deployed: Deployed) -> None:
    endpoints, seen, real = Stack("road", "endpoints"), [], Stack.apply

    def watched(stack: Stack, values: dict[str, str]) -> str:
        done = real(stack, values)
        if stack.name == endpoints.name:
            seen.append(tuple(stack.values()[name] for name in ("Scales", "InstanceType")))
        return done

    before, new = endpoints.values()["InstanceType"], "ml.c5.4xlarge"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stack, "apply", watched)
        deploy.run([*SAME, f"InstanceType={new}"])
        deploy.run(SAME)
    assert seen == [("false", before), ("false", new), ("true", new), ("true", new)]
    deploy.run([*SAME, f"InstanceType={before}"])


def test_a_release_that_sagemaker_rolls_back_without_a_word_is_told(deployed: Deployed, front: Any) -> None:
    front.rolls_back = True
    try:
        with pytest.raises(Failed, match="was rolled back to its version before"):
            deploy.run([*SAME, "PreviewInstances=2"])
    finally:
        front.rolls_back = False
    deploy.run([*SAME, "PreviewInstances=1"])


def test_a_repository_made_by_hand_is_used_and_stays(deployed: Deployed) -> None:
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="hand")
    deploy.run(["deploy", "--name", "hand", "--image", IMAGE, "--no-smoke"])
    deploy.run(["destroy", "--name", "hand"])
    assert ecr.describe_repositories(repositoryNames=["hand"])["repositories"]

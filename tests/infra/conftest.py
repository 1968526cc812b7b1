"""What `make deploy` makes, once for all tests of this folder."""

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local_aws import Cloud
from sagemaker_front import Limits
from support.deployment import IMAGE, Deployed, Message, make, outputs, receive
from support.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def deployed(cloud: Cloud, server: Server) -> Iterator[Deployed]:
    """The outputs of all stacks, made, taken away, and made once more."""
    cloud.front.server = server.url
    made = make("deploy", IMAGE=IMAGE)
    assert all(f"road-{kind} made" in made for kind in ("work", "endpoints", "trigger", "operations"))
    assert "a first video was marked" in made
    assert "PreviewEndpoint" not in outputs()
    assert "The videos are still in s3://road-videos-000000000000-us-east-1" in make("destroy")
    assert outputs() == {"VideosBucket": "road-videos-000000000000-us-east-1"}
    assert "road-videos unchanged" in make("deploy", IMAGE=IMAGE, SET="PreviewInstances=1")
    yield outputs()
    make("destroy")
    assert outputs() == {"VideosBucket": "road-videos-000000000000-us-east-1"}
    buckets = {bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]}
    assert "road-videos-000000000000-us-east-1" in buckets
    assert "road-work-000000000000-us-east-1" not in buckets
    assert boto3.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert boto3.client("lambda").list_functions()["Functions"] == []


@pytest.fixture
def front(cloud: Cloud, server: Server) -> Iterator[Any]:
    yield cloud.front
    cloud.front.limits = Limits()
    cloud.front.unavailable = False
    cloud.front.server = server.url


@pytest.fixture
def bucket(deployed: Deployed, s3: "S3Client") -> str:
    return deployed["VideosBucket"]


@pytest.fixture
def listen(deployed: Deployed) -> Callable[[str], Callable[..., Message]]:
    """Subscribes a queue to a topic; what it returns waits for the topic's next message."""
    sqs, sns = boto3.client("sqs"), boto3.client("sns")

    def listen(topic: str) -> Callable[..., Message]:
        name = f"heard-{time.monotonic_ns()}"
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = attributes["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=deployed[topic], Protocol="sqs", Endpoint=arn)

        def heard(timeout_s: float = 60) -> Message:
            while "s3://road-videos-000000000000-us-east-1/smoke/" in (
                body := receive(url, timeout_s)["Body"]
            ):
                pass  # of the first video, which may come late
            return json.loads(body)  # type: ignore[no-any-return]

        return heard

    return listen

"""Pictures that the model is unsure of are published, with what was found, and nobody waits for it."""

import base64
import json
import random
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import boto3
import numpy as np
import pytest
import requests
from botocore.exceptions import ClientError

from pothole.detections import Detections
from pothole.jobs import samples
from pothole.jobs.samples import SamplePublisher
from pothole.media.picture import read_picture
from support.deployment import receive
from support.fakes import MagentaDetector
from support.server_requests import picture, road
from support.servers import NGINX, Start

CONFIDENCE = MagentaDetector.min_confidence


class Topic:
    """Takes what is published, or refuses it."""

    def __init__(self, is_there: bool = True) -> None:
        self.is_there = is_there
        self.taken: list[dict[str, Any]] = []

    def publish(self, TopicArn: str, Message: str) -> None:  # noqa: N803
        if not self.is_there:
            raise ClientError({"Error": {"Code": "NotFound", "Message": "No topic."}}, "Publish")
        assert len(Message) <= 256 * 1024
        self.taken.append(json.loads(Message))


def found(score: float) -> Detections:
    [seen] = MagentaDetector().predict([road()])
    return replace(seen, scores=np.array([score], np.float32))


def published(score: float, per_thousand: int = 0, topic: Topic | None = None) -> list[dict[str, Any]]:
    topic = topic or Topic()
    publisher = SamplePublisher("arn", per_thousand, topic, random.Random(1))
    publisher.consider(road(), found(score), MagentaDetector())
    publisher.close()
    return topic.taken


@pytest.mark.parametrize(
    ("score", "is_unsure"),
    [(CONFIDENCE, True), (CONFIDENCE * 0.6, True), (CONFIDENCE * 0.4, False), (0.99, False)],
)
def test_what_the_model_is_unsure_of_is_published(score: float, is_unsure: bool) -> None:
    assert [sample["reason"] for sample in published(score)] == (["unsure"] if is_unsure else [])


def test_a_share_of_all_is_published() -> None:
    [sample] = published(0.99, per_thousand=1000)
    assert sample["reason"] == "share"
    seen = read_picture(BytesIO(base64.b64decode(sample["picture"])), "x", 10**7)
    assert seen.shape == road().shape
    assert sample["image"] == {"width": seen.shape[1], "height": seen.shape[0]}
    assert sample["predictions"][0]["score"] == pytest.approx(0.99)


def test_a_topic_that_is_gone_costs_the_sample_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    assert published(CONFIDENCE, topic=Topic(is_there=False)) == []
    assert "a sample was dropped" in caplog.text


def test_a_large_picture_of_noise_fits_into_a_message() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2160, 3840, 3), np.uint8)
    assert len(samples._coded(samples._shrunk(noise))) <= samples.MAX_PICTURE_BYTES


def test_a_picture_that_is_drawn_on_afterwards_is_published_as_it_was() -> None:
    topic, image = Topic(), road()
    publisher = SamplePublisher("arn", 1000, topic, random.Random(1))
    publisher.consider(image, found(0.99), MagentaDetector())
    image[:] = 0
    publisher.close()
    [sample] = topic.taken
    assert read_picture(BytesIO(base64.b64decode(sample["picture"])), "x", 10**7).mean() > 50


def test_no_more_wait_than_allowed_and_nobody_waits_for_a_place(caplog: pytest.LogCaptureFixture) -> None:
    topic, going_on = Topic(), threading.Event()
    publisher = SamplePublisher("arn", 1000, topic, random.Random(1))
    publisher._thread.submit(going_on.wait, 10)
    for _ in range(samples.MAX_WAITING + 2):
        publisher.consider(road(), found(0.99), MagentaDetector())
    going_on.set()
    publisher.close()
    assert len(topic.taken) == samples.MAX_WAITING
    assert caplog.text.count("a sample was dropped") == 2


def test_a_server_that_ends_does_not_wait_for_a_topic_that_is_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(samples, "CLOSE_S", -1.0)
    going_on = threading.Event()
    topic = Topic()
    publisher = SamplePublisher("arn", 1000, topic, random.Random(1))
    publisher._thread.submit(going_on.wait, 10)
    publisher.consider(road(), found(0.99), MagentaDetector())
    threading.Timer(0.2, going_on.set).start()
    publisher.close()
    assert topic.taken == []
    assert "the server ends" in caplog.text


@pytest.fixture
def heard(aws: str) -> Iterator[tuple[str, str]]:
    """A topic, and a queue that hears it."""
    name = f"samples-{uuid.uuid4().hex[:8]}"
    topic = boto3.client("sns").create_topic(Name=name)["TopicArn"]
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    yield topic, url


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_the_server_publishes_to_the_topic_of_its_settings(start: Start, heard: tuple[str, str]) -> None:
    topic, queue = heard
    server = start(SAMPLES_TOPIC_ARN=topic, SAMPLES_PER_THOUSAND="1000")
    answer = requests.post(
        f"{server.url}/invocations", data=picture(), headers={"Content-Type": "image/png"}, timeout=30
    )
    sample = json.loads(json.loads(receive(queue)["Body"])["Message"])
    assert sample["predictions"] == answer.json()["output"]
    assert sample["model"] == "magenta"

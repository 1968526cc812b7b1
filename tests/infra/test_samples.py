"""Samples that are published in bursts are all in S3 in the end, in folders of their days."""

import gzip
import json
import os
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest

import deploy
from infra.test_templates import resources
from stacks import Stack
from support.deployment import SAME, Deployed, sending
from support.faulty_proxy import FaultyProxy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SAMPLES = int(os.environ.get("SAMPLES", "20"))


@pytest.fixture(scope="module")
def collected(deployed: Deployed) -> Iterator[Deployed]:
    yield deploy.run([*SAME, "Samples=true"])
    deploy.run([*SAME, "Samples=false"])
    assert Stack("road", "samples").status() is None


def lines(s3: "S3Client", bucket: str) -> list[tuple[str, int]]:
    """All samples in the bucket, each with the folder that it is in."""
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="samples/"):
        for item in page.get("Contents", []):
            body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            text = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
            found += [(item["Key"].split("/")[1], json.loads(line)["number"]) for line in text.splitlines()]
    return found


def test_no_sample_is_lost(collected: Deployed, s3: "S3Client") -> None:
    sns, topic, found = boto3.client("sns"), collected["SamplesTopicArn"], []
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"], share=0.3) as proxy:
        proxy.fail(0.3, "503")
        with sending("road-collect", AWS_ENDPOINT_URL_FIREHOSE=proxy.url):
            for first in range(0, SAMPLES, 10):
                burst = [
                    {"Id": str(n), "Message": json.dumps({"number": n})} for n in range(first, first + 10)
                ]
                assert not sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=burst)["Failed"]
            deadline = time.monotonic() + SAMPLES / 2
            while len({number for _, number in found}) < SAMPLES and time.monotonic() < deadline:
                time.sleep(1)
                found = lines(s3, collected["SamplesBucket"])
        assert proxy.counts()["503"] > SAMPLES / 10
    assert {number for _, number in found} == set(range(SAMPLES))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", folder) for folder, _ in found)


def test_the_samples_outlive_their_stack_and_are_in_nobodys_way() -> None:
    bucket = resources("samples")["Samples"]
    assert bucket["DeletionPolicy"] == "Retain"
    assert "BucketName" not in bucket["Properties"]  # or it could not be made again

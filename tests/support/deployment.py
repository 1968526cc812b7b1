"""A deployment in the emulated cloud, as a user sees and uses it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from support.servers import ROOT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

IMAGE = "registry.example/pothole:1"
SAME = ["deploy", "--name", "road", "--image", IMAGE, "--no-smoke"]
Message = dict[str, Any]
Deployed = dict[str, str]


def make(target: str, **variables: str) -> str:
    """Run a make target as a user does, and return what it says."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    environment |= {"NAME": "road", "COLUMNS": "200"} | variables
    done = subprocess.run(
        ["make", target], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outputs() -> Deployed:
    cloudformation = boto3.client("cloudformation")
    found = {}
    for kind in ("videos", "work", "endpoints", "trigger", "operations"):
        try:
            stack = cloudformation.describe_stacks(StackName=f"road-{kind}")["Stacks"][0]
        except ClientError:
            continue
        found |= {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return found


def receive(url: str, timeout_s: float = 120) -> Message:
    sqs = boto3.client("sqs")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return message
    raise TimeoutError(f"no message in {timeout_s} s")


@contextmanager
def sending(function: str = "road-send", **settings: str) -> Iterator[None]:
    """Change the settings of a function, by default of the one that sends videos."""
    client = boto3.client("lambda")
    before = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=function, Environment={"Variables": before | settings})
    try:
        yield
    finally:
        client.update_function_configuration(FunctionName=function, Environment={"Variables": before})


def s3_event(bucket: str, *keys: str) -> str:
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}
        for key in keys
    ]
    return json.dumps({"Records": records})


def report_of(s3: "S3Client", bucket: str, stem: str) -> dict[str, Any]:
    return json.loads(s3.get_object(Bucket=bucket, Key=f"{stem}_output.json")["Body"].read())  # type: ignore[no-any-return]


def wait_for_object(s3: "S3Client", bucket: str, key: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except ClientError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{key} did not appear in {timeout_s} s")

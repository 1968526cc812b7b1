"""The function that starts the next step, made from the template in the emulated cloud, which has streams."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from packages import pack_functions, upload
from pothole.entrypoints.queue.steps import TableSteps
from support.deployment import receive
from support.servers import ROOT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STACK, STEP = "steps-part", "pothole_detection"
RESULT = {"bucket": "roads", "key": "survey/pothole_detection/clip.json"}


def part(names: set[str]) -> str:
    """The template with these resources alone: the emulator does not know all others."""
    text = (ROOT / "infra" / "queue.yaml").read_text()
    head, _, rest = text.partition("\nResources:\n")
    blocks = re.findall(r"^  (\w+):\n((?:    .*\n|\n|  #.*\n)*)", rest.partition("\nOutputs:\n")[0], re.M)
    chosen = "".join(f"  {name}:\n{block}" for name, block in blocks if name in names)
    # There is no catalogue of AMIs to look into.
    return (
        f"{head.replace('AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', 'String')}\nResources:\n{chosen}"
    )


@pytest.fixture
def next_queue(s3: "S3Client") -> Iterator[str]:
    """The address of the next step's queue, with the function between it and the table."""
    cloudformation = boto3.client("cloudformation")
    bucket = f"code-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    queue = boto3.client("sqs").create_queue(QueueName="call-teams")["QueueUrl"]
    given = {
        "Name": "steps",
        "NextQueue": "call-teams",
        "WorkBucket": bucket,
        "CodeKey": upload(bucket, "code", ".zip", pack_functions()),
        **dict.fromkeys(("Image", "VideosBucket", "RepositoryArn", "AlarmsTopicArn"), "none"),
    }
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=part({"Documents", "Aside", "Next", "NextOnChange", "NextRole", "NextLog"}),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    yield queue
    cloudformation.delete_stack(StackName=STACK)
    boto3.client("sqs").delete_queue(QueueUrl=queue)


def test_the_next_step_gets_its_message(next_queue: str) -> None:
    found: Any = boto3.client("cloudformation").describe_stack_resource(
        StackName=STACK, LogicalResourceId="Documents"
    )
    table: Any = boto3.resource("dynamodb").Table(found["StackResourceDetail"]["PhysicalResourceId"])
    table.put_item(Item={"VideoId": 17, "bucket": "roads", "key": "survey/split/clip.mp4"})
    steps = TableSteps(table, STEP)
    steps.set(17, "running")
    steps.set(17, "done", result_file=RESULT)
    assert json.loads(receive(next_queue)["Body"]) == {
        "VideoId": 17,
        "s3": {"bucket": "roads", "key": "survey/split/clip.mp4"},
        "step": STEP,
        "result_file": RESULT,
    }
    table.delete()  # it outlives its stack

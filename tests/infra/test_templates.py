"""The templates: well-formed, and each role may do what the code does and no more."""

import ast
import io
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import packages
from lambda_handler import VIDEO_SUFFIXES
from pothole import files
from pothole.job_order import DEFAULT_STEP
from pothole.outputs.registry import DEFAULT_OUTPUTS, OUTPUTS
from support.servers import ROOT

TEMPLATES = sorted((ROOT / "infra").glob("[!.]*.yaml"))
SEND, REDRIVE, NOTIFY, NEXT, COLLECT, LOOK, JOB = (
    ROOT / "lambda" / f"{name}.py"
    for name in (
        *("lambda_handler", "redrive_handler", "notify_handler", "next_step_handler", "sample_handler"),
        *("image_handler", "processing_job"),
    )
)
S3 = [ROOT / "container" / "pothole" / "storage" / f"{name}.py" for name in ("s3", "upload", "probe")]
# What a call needs: IAM names actions otherwise than boto3 its methods.
NEEDS = {
    "abort_multipart_upload": {"s3:AbortMultipartUpload"},
    "list_multipart_uploads": {"s3:ListBucketMultipartUploads"},
    "complete_multipart_upload": {"s3:PutObject"},
    "create_multipart_upload": {"s3:PutObject"},
    # With tags.
    "create_processing_job": {"sagemaker:CreateProcessingJob", "sagemaker:AddTags", "iam:PassRole"},
    "delete_object": {"s3:DeleteObject"},
    "delete_objects": {"s3:DeleteObject"},
    "download": {"s3:GetObject"},
    "generate_presigned_url": {"s3:GetObject"},
    "get_object": {"s3:GetObject"},
    "get_queue_url": {"sqs:GetQueueUrl"},
    "head_object": {"s3:GetObject"},
    "invoke_endpoint": {"sagemaker:InvokeEndpoint"},
    "invoke_endpoint_async": {"sagemaker:InvokeEndpointAsync"},
    "list_objects_v2": {"s3:ListBucket"},
    "publish": {"sns:Publish"},
    "put_object": {"s3:PutObject"},
    "put_record": {"kinesis:PutRecord"},
    "put_record_batch": {"firehose:PutRecordBatch"},
    "send_message": {"sqs:SendMessage"},
    "upload_part": {"s3:PutObject"},
}
TAGS = {"s3:PutObjectTagging"}  # what S3 asks of who writes with tags, see `pothole.storage.scratch`
# What the platform does in a role's name, and no line of ours.
PLATFORM = {
    "SendRole": {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"},
    "LookRole": {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"},
    "NotifyRole": {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"},
    "CollectRole": {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"},
    # Lambda takes the messages of a queue in the function's name.
    "RedriveRole": {
        *("logs:CreateLogStream", "logs:PutLogEvents"),
        *("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    },
    # Lambda reads the table's stream in the function's name.
    "NextRole": {
        *("logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"),
        *(f"dynamodb:{call}" for call in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")),
    },
}
# These know no resources.
UNBOUND = {
    "kinesisvideo:ListStreams",
    "ecr:GetAuthorizationToken",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:PutMetricData",
}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as plain values."""


def _short(loader: Loader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return f"!{tag} {loader.construct_scalar(node)}"
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    raise TypeError(node)


Loader.add_multi_constructor("!", _short)


def resources(kind: str) -> dict[str, dict[str, Any]]:
    return yaml.load((ROOT / "infra" / f"{kind}.yaml").read_text(), Loader)["Resources"]  # type: ignore[no-any-return]


def statements(role: str) -> Iterator[dict[str, Any]]:
    [found] = [resources(path.stem)[role] for path in TEMPLATES if role in resources(path.stem)]
    for policy in found["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield statement["If"][1] if "If" in statement else statement


def actions(role: str) -> set[str]:
    return {action for s in statements(role) for action in as_list(s["Action"])}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def calls(path: Path) -> set[str]:
    """The methods of boto3's clients that a file calls, or names to `get_paginator`."""
    tree = ast.parse(path.read_text())
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {call.func.attr for call in called if isinstance(call.func, ast.Attribute)}
    paged = {
        call.args[0].value
        for call in called
        if isinstance(call.func, ast.Attribute) and call.func.attr == "get_paginator"
    }
    return (names | paged) & NEEDS.keys()


@pytest.mark.parametrize(
    "path", [SEND, REDRIVE, NOTIFY, NEXT, COLLECT, LOOK, JOB, *S3], ids=lambda path: path.name
)
def test_no_call_is_unknown_here(path: Path) -> None:
    """So that a new call cannot pass the tests below unseen."""
    made = re.findall(
        r"(?:client|_client|runtime|sagemaker|s3|topic|sns|sqs)\"?\)?\s*\.(\w+)\(", path.read_text()
    )
    assert set(made) - {"get_paginator", "client"} <= NEEDS.keys()


# The calls of a file beside it that a function makes, too.
@pytest.mark.parametrize(
    ("role", "path", "borrowed"),
    [
        ("SendRole", SEND, calls(JOB)),
        ("RedriveRole", REDRIVE, calls(JOB) | {"invoke_endpoint_async", "publish"}),
        ("NotifyRole", NOTIFY, set()),
        ("NextRole", NEXT, set()),
        ("CollectRole", COLLECT, set()),
        ("LookRole", LOOK, set()),
    ],
)
def test_a_function_may_do_what_it_does_and_no_more(role: str, path: Path, borrowed: set[str]) -> None:
    needed = set().union(*(NEEDS[call] for call in calls(path) | borrowed))
    assert actions(role) == needed | PLATFORM[role]


def test_the_containers_role_may_do_with_videos_what_the_code_does_and_no_more() -> None:
    of_videos = {
        action
        for statement in statements("EndpointRole")
        if "VideosBucket" in str(statement["Resource"])
        for action in as_list(statement["Action"])
    }
    assert of_videos == {*TAGS, *set().union(*(NEEDS[call] for path in S3 for call in calls(path)))}


@pytest.mark.parametrize(
    ("role", "beside"),
    [("EndpointRole", {"${VideosBucket}/*.pothole/*", "${WorkBucket}/answers/*"}), ("ProcessingRole", set())],
)
def test_the_containers_roles_write_nothing_but_outputs_records_and_answers(
    role: str, beside: set[str]
) -> None:
    written = {
        resource.rpartition("/")[0].rpartition(":::")[2] + "/" + resource.rpartition("/")[2].strip('"')
        for statement in statements(role)
        if "s3:PutObject" in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }
    assert written == beside | {
        *(f"${{VideosBucket}}/*_output{kind.suffix}" for kind in OUTPUTS.values() if not kind.is_of_step),
        *(f"${{VideosBucket}}/{folder}{DEFAULT_STEP}/*.json" for folder in ("", "*/")),
    }


def test_no_role_may_more_than_named_things_on_named_things() -> None:
    for name, resource in [pair for path in TEMPLATES for pair in resources(path.stem).items()]:
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            documents.append(properties["PolicyDocument"])
        # The first makes all the others, within their names; the second is what these may do at most.
        if name in ("DeployRole", "Boundary"):
            continue
        for statement in [s for document in documents for s in document["Statement"]]:
            granted = set(as_list(statement["Action"]))
            assert not any("*" in action for action in granted), name
            if statement["Resource"] == "*":
                assert granted <= UNBOUND or name == "JoinVpc", name


def test_the_function_and_the_package_know_the_same_videos_and_outputs() -> None:
    assert VIDEO_SUFFIXES == files.VIDEO_SUFFIXES
    template = yaml.load((ROOT / "infra" / "trigger.yaml").read_text(), Loader)
    described = template["Parameters"]["Outputs"]
    assert described["Default"].split(",") == list(DEFAULT_OUTPUTS)
    # What lies beside the folder of the video is for a queue's worker, which has a role of its own.
    assert all((name in described["Description"]) != kind.is_of_step for name, kind in OUTPUTS.items())


def test_the_trigger_knows_the_functions_suffixes() -> None:
    pattern = resources("trigger")["Uploaded"]["Properties"]["EventPattern"]
    listed = [key["suffix"]["equals-ignore-case"] for key in pattern["detail"]["object"]["key"]]
    assert sorted(listed) == sorted(VIDEO_SUFFIXES)


def test_a_release_is_rolled_back_by_alarms_that_are_there() -> None:
    found = resources("endpoints")
    for endpoint in ("Preview", "Videos"):
        policy = found[endpoint]["Properties"]["DeploymentConfig"]
        alarms = [alarm["AlarmName"] for alarm in policy["AutoRollbackConfiguration"]["Alarms"]]
        assert alarms
        assert all(found[name.removeprefix("!Ref ")]["Type"] == "AWS::CloudWatch::Alarm" for name in alarms)


def test_whole_videos_cost_nothing_while_there_are_none_and_one_is_enough_to_start() -> None:
    found = resources("endpoints")
    assert found["Scaling"]["Properties"]["MinCapacity"] == 0
    assert found["WorkWithoutInstance"]["Properties"]["AlarmActions"] == ["!Ref StartFromZero"]
    assert found["StartFromZero"]["Properties"]["StepScalingPolicyConfiguration"]["StepAdjustments"] == [
        {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    ]


def test_the_videos_outlive_their_stack() -> None:
    assert resources("videos")["Videos"]["DeletionPolicy"].startswith("Retain")


def test_the_same_code_and_model_are_the_same_archives(tmp_path: Path) -> None:
    for name in packages.MODEL_FILES:
        (tmp_path / name).write_bytes(b"content of " + name.encode())
    (tmp_path / "openvino.xml").write_text("<net/>")
    model, functions = packages.pack_model(tmp_path), packages.pack_functions()
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))

    assert (packages.pack_model(tmp_path), packages.pack_functions()) == (model, functions)
    with tarfile.open(fileobj=io.BytesIO(model)) as archive:
        assert archive.getnames() == ["config.json", "openvino.xml", "weights.npz"]
    with zipfile.ZipFile(io.BytesIO(functions)) as archive:
        names = [
            *("api_handler.py", "image_handler.py", "lambda_handler.py", "next_step_handler.py"),
            "notify_handler.py",
            *("processing_job.py", "redrive_handler.py", "sample_handler.py", "stream_handler.py"),
            *(f"pothole/entrypoints/live/{name}" for name in ("__init__.py", "answers.py", "page.css")),
            *(f"pothole/entrypoints/live/{name}" for name in ("page.html", "page.py", "public_web.py")),
        ]
        assert archive.namelist() == names


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/roads:1",
            "arn:aws:ecr:eu-west-1:123456789012:repository/team/roads",
        ),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/roads@sha256:0",
            "arn:aws:ecr:eu-west-1:123456789012:repository/roads",
        ),
        ("local/pothole:1", "arn:aws:ecr:us-east-1:000000000000:repository/own"),
    ],
)
def test_the_container_may_be_pulled_from_where_its_image_is(image: str, repository: str) -> None:
    own = "arn:aws:ecr:us-east-1:000000000000:repository/own"
    assert packages.repository_of(image, own) == repository


def test_the_pushed_image_is_deployed_and_none_when_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "build_and_push.sh"
    script.write_text("#!/bin/sh\necho building\necho Pushed registry.example/$1:abc\n")
    script.chmod(0o755)
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    assert packages.push_image("road") == "registry.example/road:abc"

    script.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(packages.Failed, match="IMAGE=address"):
        packages.push_image("road")


def test_cloudformation_would_take_the_templates() -> None:
    command = [ROOT / ".venv-aws" / "bin" / "cfn-lint", *TEMPLATES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

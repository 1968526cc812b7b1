"""The workers of a queue on ECS: the template, and what `make deploy` makes of it."""

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml

import deploy
from infra.test_templates import NEEDS, S3, TAGS, Loader, actions, as_list, calls, resources, statements
from local_aws import Cloud
from pothole.outputs.registry import OUTPUTS
from stacks import Failed, Stack
from support.deployment import IMAGE, Deployed
from support.servers import ROOT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

QUEUE = sorted((ROOT / "container/pothole/entrypoints/queue").glob("*.py"))
NEEDED_BY = {
    "receive_message": "sqs:ReceiveMessage",
    "delete_message": "sqs:DeleteMessage",
    "change_message_visibility": "sqs:ChangeMessageVisibility",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    "get_queue_url": "sqs:GetQueueUrl",
    "send_message": "sqs:SendMessage",
    "get_item": "dynamodb:GetItem",
    "update_item": "dynamodb:UpdateItem",
}


def test_a_worker_may_do_what_the_code_does_and_no_more() -> None:
    said = "".join(path.read_text() for path in QUEUE)
    of_queue = {action for call, action in NEEDED_BY.items() if f".{call}(" in said}
    assert len(of_queue) == len(NEEDED_BY)
    of_videos = set().union(*(NEEDS[call] for path in S3 for call in calls(path)))
    assert actions("WorkerRole") == of_queue | of_videos | TAGS | {"ecs:UpdateTaskProtection"}


def test_a_worker_writes_nothing_but_outputs_and_records() -> None:
    written = {
        resource.rpartition(":::")[2]
        for statement in statements("WorkerRole")
        if "s3:PutObject" in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }
    assert {path.removeprefix("${VideosBucket}/") for path in written} == {
        *(f"*_output{kind.suffix}" for kind in OUTPUTS.values() if not kind.is_of_step),
        *("${QueueStep}/*.json", "*/${QueueStep}/*.json", "*.pothole/*"),
    }


def resolved(value: Any, true: set[str]) -> Any:
    """Return a part of the template with its `If`s decided."""
    if isinstance(value, dict):
        if set(value) == {"If"}:
            condition, yes, no = value["If"]
            return resolved(yes if condition in true else no, true)
        pairs = ((key, resolved(part, true)) for key, part in value.items())
        return {key: part for key, part in pairs if part != "!Ref AWS::NoValue"}
    if isinstance(value, list):
        return [resolved(part, true) for part in value]
    return value


def camel(value: Any) -> Any:
    """Return CloudFormation's names as the API has them."""
    if isinstance(value, dict):
        return {key if "-" in key else key[0].lower() + key[1:]: camel(part) for key, part in value.items()}
    return [camel(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("true", [{"MakesTable"}, {"HasGpu"}], ids=["fargate", "gpu"])
def test_ecs_takes_the_task(cloud: Cloud, true: set[str]) -> None:
    task = camel(resolved(resources("queue")["Task"]["Properties"], true))
    for name, value in {"cpu": "4096", "memory": "8192"}.items():
        if name in task:
            task[name] = value
    for disk in [task.get("ephemeralStorage", {})]:
        disk.update({"sizeInGiB": 100} if disk else {})
    ecs = boto3.client("ecs", endpoint_url=cloud.moto_url)
    made = ecs.register_task_definition(**task)["taskDefinition"]
    (container,) = made["containerDefinitions"]
    assert container["command"][:4] == ["pothole", "work", "--variables", "!Ref QueueVariables"]
    if "HasGpu" in true:
        assert container["resourceRequirements"] == [{"type": "GPU", "value": "1"}]
        assert made["placementConstraints"][0]["expression"] == (
            "!Sub attribute:ecs.instance-type == ${GpuInstanceType}"
        )
        assert made["requiresCompatibilities"] == ["EC2"]
    else:
        assert made["requiresCompatibilities"] == ["FARGATE"]
        assert "resourceRequirements" not in container


def test_no_worker_runs_without_work_and_none_is_stopped_at_it() -> None:
    found = resources("queue")
    assert found["Workers"]["Properties"]["DesiredCount"] == 0
    assert found["Number"]["Properties"]["MinCapacity"] == 0
    idle = found["Idle"]["Properties"]
    counted = {
        metric["MetricStat"]["Metric"]["MetricName"] for metric in idle["Metrics"] if "MetricStat" in metric
    }
    # What is in work is hidden, not gone.
    assert counted == {"ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"}
    assert (idle["Threshold"], idle["EvaluationPeriods"]) == (0, 10)
    assert found["Waiting"]["Properties"]["Threshold"] == 1
    assert found["Instances"]["Properties"]["NewInstancesProtectedFromScaleIn"] is True


def test_a_message_that_fails_is_kept_and_told() -> None:
    found = resources("queue")
    assert found["Messages"]["Properties"]["RedrivePolicy"]["maxReceiveCount"] >= 5
    for alarm in ("Age", "PutAside"):
        assert found[alarm]["Properties"]["AlarmActions"] == ["!Ref AlarmsTopicArn"]


def test_the_next_step_is_told_of_changes_alone_and_of_each() -> None:
    """AWS::DynamoDB::Table StreamSpecification: without old images nobody can tell what has changed."""
    found = resources("queue")
    stream = found["Documents"]["Properties"]["StreamSpecification"]
    assert stream["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    mapping = found["NextOnChange"]["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == "!GetAtt Aside.Arn"
    told = found["Next"]["Properties"]["Environment"]["Variables"]["STEP_QUEUES"]
    names = told.removeprefix("!Sub ").replace("${QueueStep}", "ours").replace("${NextQueue}", "theirs")
    assert json.loads(names) == {"ours": "theirs"}


def test_nothing_of_the_next_step_is_there_without_one() -> None:
    conditions = {
        name: resource.get("Condition") for name, resource in resources("queue").items() if "Next" in name
    }
    assert conditions.pop("NextUsesKey") == "StartsNextWithKey"
    assert len(conditions) == 5
    assert set(conditions.values()) == {"StartsNext"}


def test_queue_is_made_kept_and_taken_away_on_request(
    deployed: Deployed, s3: "S3Client", capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a network, since moto deletes none of a stack's.
    same = ["deploy", "--name", "queued", "--image", IMAGE, "--no-smoke"]
    try:
        made = deploy.run([*same, "Queue=true", "SubnetIds=subnet-1,subnet-2", "SecurityGroupIds=sg-1"])
        assert "queued-queue made" in capsys.readouterr().out
        assert made["QueueUrl"].endswith("/queued-videos")
        assert Stack("queued", "queue").status() == "CREATE_COMPLETE"
        # It stays without being asked for again; moto cannot update it.
        assert deploy.is_wanted(deploy.parser().parse_args(same), "Queue", Stack("queued", "queue"))
        deploy.run([*same, "Queue=false"])
        assert "queued-queue gone" in capsys.readouterr().out
        assert Stack("queued", "queue").status() is None
    finally:
        deploy.run(["destroy", "--name", "queued"])
        Stack("queued", "videos").delete()


def test_queue_is_true_or_false(deployed: Deployed) -> None:
    with pytest.raises(Failed, match="Queue is 'yes', expected true or false"):
        deploy.run(["deploy", "--name", "road", "--image", IMAGE, "Queue=yes"])


def test_the_page_tells_of_the_templates_parameters() -> None:
    template = yaml.load((ROOT / "infra/queue.yaml").read_text(), Loader)
    page = (ROOT / "docs/how-to/queue.md").read_text()
    for name, about in template["Parameters"].items():
        assert f"`{name}`" in page or "Description" not in about or name in {"Name", "KmsKeyArn", "SubnetIds"}

"""What SageMaker and its neighbours ask for, and no emulator checks; each rule says where it is written."""

import re
from typing import Any

import pytest
import yaml

import deploy
import packages
import releases
from infra.test_templates import Loader, as_list, resources, statements
from pothole.settings import Settings
from pothole.storage.scratch import tagging
from stacks import Failed, Stack
from support.aws_calls import Calls
from support.servers import ROOT

VIDEOS = "!Sub ${Name}-videos"


def metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics that an alarm looks at."""
    if "Metrics" in alarm:
        return [m["MetricStat"]["Metric"] for m in alarm["Metrics"] if "MetricStat" in m]
    return [alarm]


def alarms() -> dict[str, dict[str, Any]]:
    found = resources("endpoints") | resources("operations")
    return {name: r["Properties"] for name, r in found.items() if r["Type"] == "AWS::CloudWatch::Alarm"}


# docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html: the dimensions of each metric.
OF_VARIANT = {
    "ExpiredRequests",
    "Invocation4XXErrors",
    "Invocation5XXErrors",
    "InvocationFailures",
    "InvocationsProcessed",
    "ModelLatency",
    "NotificationFailures",
}
OF_ENDPOINT = {
    "ApproximateAgeOfOldestRequest",
    "ApproximateBacklogSize",
    "ApproximateBacklogSizePerInstance",
    "HasBacklogWithoutCapacity",
}


@pytest.mark.parametrize("name", alarms())
def test_an_alarm_names_the_dimensions_that_its_metric_has(name: str) -> None:
    """One that names fewer or more never fires."""
    for metric in metrics(alarms()[name]):
        if metric["Namespace"] == "AWS/SageMaker":
            assert metric["MetricName"] in OF_VARIANT | OF_ENDPOINT
            given = {dimension["Name"] for dimension in metric["Dimensions"]}
            needed = {"EndpointName"} | ({"VariantName"} if metric["MetricName"] in OF_VARIANT else set())
            assert given == needed


def test_metrics_that_are_absent_without_traffic_count_as_none() -> None:
    """AmazonCloudWatch/latest/monitoring/using-metric-math.html: without FILL there is no result at all."""
    [expression] = [m["Expression"] for m in alarms()["VideosErrors"]["Metrics"] if "Expression" in m]
    assert "FILL(failed, 0)" in expression and "FILL(done, 0)" in expression
    assert ">= 3" in expression, "one bad upload alone is an alarm"


@pytest.mark.parametrize("endpoint", ["Preview", "Videos"])
def test_a_release_is_rolled_back_for_the_containers_faults_and_no_bad_video(endpoint: str) -> None:
    named = resources("endpoints")[endpoint]["Properties"]["DeploymentConfig"]["AutoRollbackConfiguration"]
    watched = {a["AlarmName"].removeprefix("!Ref ") for a in named["Alarms"]}
    seen = {metric["MetricName"] for name in watched for metric in metrics(alarms()[name])}
    assert "Invocation5XXErrors" in seen
    assert not seen & {"InvocationFailures", "Invocation4XXErrors"}


def test_sagemaker_may_see_the_alarms_that_roll_back() -> None:
    """sagemaker/latest/dg/deployment-guardrails-configuration.html"""
    granted = {a for s in statements("EndpointRole") for a in as_list(s["Action"])}
    assert "cloudwatch:DescribeAlarms" in granted


def test_failed_notifications_are_noticed() -> None:
    assert any(m["MetricName"] == "NotificationFailures" for a in alarms().values() for m in metrics(a))


def test_every_function_that_fails_raises_an_alarm() -> None:
    made = {
        r["Properties"]["FunctionName"]
        for r in resources("trigger").values()
        if r["Type"] == "AWS::Lambda::Function"
    }
    watched = {a["Dimensions"][0]["Value"] for a in alarms().values() if a.get("Namespace") == "AWS/Lambda"}
    assert watched == made


def test_a_processing_job_that_ends_badly_raises_an_alarm() -> None:
    """SageMaker emits no metric of it; eventbridge/latest/userguide/eb-monitoring.html: each rule does."""
    rule = resources("trigger")["JobEnded"]["Properties"]["Name"]
    [alarm] = [a for a in alarms().values() if a.get("Namespace") == "AWS/Events"]
    assert (alarm["MetricName"], alarm["Dimensions"]) == (
        "TriggeredRules",
        [{"Name": "RuleName", "Value": rule}],
    )


def test_no_instance_is_stopped_that_works() -> None:
    """Target tracking stops those that work when they are few; the backlog counts what is in work."""
    found = resources("endpoints")
    tracking = found["FollowBacklog"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["DisableScaleIn"] is True
    step = found["StopWhenIdle"]["Properties"]["StepScalingPolicyConfiguration"]
    assert step["AdjustmentType"] == "ExactCapacity"
    assert [s["ScalingAdjustment"] for s in step["StepAdjustments"]] == [0]
    alarm = found["NothingToDo"]["Properties"]
    assert (alarm["MetricName"], alarm["Statistic"]) == ("ApproximateBacklogSize", "Maximum")
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "LessThanOrEqualToThreshold")
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 600
    assert alarm["AlarmActions"] == ["!Ref StopWhenIdle"]


def test_a_release_starts_a_container_also_where_none_runs() -> None:
    """sagemaker/latest/APIReference/API_UpdateEndpoint.html: a retained number may be 0."""
    videos = resources("endpoints")["Videos"]["Properties"]
    assert videos["RetainAllVariantProperties"] is True
    assert videos["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DesiredInstanceCount"}]
    assert videos["EndpointName"] == VIDEOS


def test_the_container_is_told_its_region_and_how_many_videos_come_at_a_time() -> None:
    told = resources("endpoints")["Model"]["Properties"]["PrimaryContainer"]["Environment"]
    assert told == {
        "MAX_JOBS": "!Ref VideosPerInstance",
        "AWS_DEFAULT_REGION": "!Ref AWS::Region",
        "METRICS_NAMESPACE": "!Sub potholes/${Name}",
        "S3_TAG_SCRATCH": "true",
        "SAMPLES_TOPIC_ARN": {
            "If": [
                "Samples",
                "!Sub arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${Name}-samples",
                "!Ref AWS::NoValue",
            ]
        },
    }


def test_all_that_scales_goes_when_the_instance_type_changes() -> None:
    """sagemaker/latest/dg/endpoint-auto-scaling-considerations.html: a registered variant keeps its type."""
    scaling = {"AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy"}
    found = resources("endpoints")
    policies = {f"!Ref {name}" for name, r in found.items() if r["Type"] in scaling}
    for name, resource in found.items():
        actions = resource["Properties"].get("AlarmActions", [])
        if resource["Type"] in scaling or policies & set(actions):
            assert resource.get("Condition") == "Scales", name


def parameters(kind: str) -> dict[str, dict[str, Any]]:
    return yaml.load((ROOT / "infra" / f"{kind}.yaml").read_text(), Loader)["Parameters"]  # type: ignore[no-any-return]


def test_by_default_no_instance_runs_without_work() -> None:
    found = resources("endpoints")
    assert parameters("endpoints")["PreviewInstances"]["Default"] == 0
    for name in ("Preview", "PreviewConfig", "PreviewErrors", "PreviewLatency", "PreviewLog"):
        assert found[name]["Condition"] == "HasPreview"
    assert found["Scaling"]["Properties"]["MinCapacity"] == 0
    endpoints = [name for name, r in found.items() if r["Type"] == "AWS::SageMaker::Endpoint"]
    assert sorted(endpoints) == ["Preview", "Videos"]


@pytest.mark.parametrize("kind", ["endpoints", "trigger"])
def test_every_log_is_declared_with_its_end_and_its_key(kind: str) -> None:
    """AmazonCloudWatch/latest/logs: a group that a service makes keeps everything for ever, unencrypted."""
    found = resources(kind)
    logs = {
        r["Properties"]["LogGroupName"]: name
        for name, r in found.items()
        if r["Type"] == "AWS::Logs::LogGroup"
    }
    writers = {
        "AWS::Lambda::Function": ("FunctionName", "/aws/lambda/"),
        "AWS::SageMaker::Endpoint": ("EndpointName", "/aws/sagemaker/Endpoints/"),
    }
    for resource in [r for r in found.values() if r["Type"] in writers]:
        field, folder = writers[resource["Type"]]
        written = folder + resource["Properties"][field].removeprefix("!Sub ")
        assert resource["DependsOn"] == logs[f"!Sub {written}"]
    for name in logs.values():
        assert found[name]["Properties"]["RetentionInDays"]
        assert "KmsKeyArn" in str(found[name]["Properties"]["KmsKeyId"])


def test_all_that_is_made_is_tagged(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWSCloudFormation/latest/UserGuide/cfn-console-add-tags.html: a stack's tags go to all in it."""
    calls = Calls(monkeypatch)
    calls.answers["DescribeStacks"] = {
        "Stacks": [{"StackStatus": "UPDATE_COMPLETE", "StackName": "road-work", "CreationTime": ""}]
    }
    calls.answers["GetTemplateSummary"] = {"Parameters": []}
    Stack("road", "work").apply({})
    [request] = calls.of("UpdateStack")
    assert {tag["Key"]: tag["Value"] for tag in request["Tags"]} == {
        "Project": "pothole",
        "Stack": "road-work",
    }


def test_a_budget_is_there_by_default_and_may_count_what_is_tagged() -> None:
    assert parameters("operations")["MonthlyBudget"]["Default"] > 0
    _, tagged, _ = resources("operations")["Budget"]["Properties"]["Budget"]["CostFilters"]["If"]
    assert tagged == {"TagKeyValue": ["user:Project$pothole"]}


def test_a_budget_has_no_fixed_name() -> None:
    """AWS::Budgets::Budget: one of a fixed name cannot be replaced when its subscribers change."""
    assert "BudgetName" not in resources("operations")["Budget"]["Properties"]["Budget"]


def test_a_new_account_can_be_deployed_to() -> None:
    """lambda/latest/dg/configuration-concurrency.html: 100 of an account's executions stay unreserved."""
    trigger = yaml.load((ROOT / "infra" / "trigger.yaml").read_text(), Loader)
    assert trigger["Parameters"]["ConcurrentFunctions"]["Default"] == 0
    for name in ("Send", "Redrive", "Notify"):
        reserved = trigger["Resources"][name]["Properties"]["ReservedConcurrentExecutions"]
        assert reserved["If"][0] == "Reserves"


def test_what_fails_is_sent_again_or_told_by_one_function_alone() -> None:
    """sagemaker/latest/dg/async-inference-monitor.html: SageMaker tries no asynchronous request again."""
    trigger = resources("trigger")
    subscribed = [
        r["Properties"]["Endpoint"]
        for r in trigger.values()
        if r["Type"] == "AWS::SNS::Subscription" and r["Properties"]["TopicArn"] == "!Ref FailedTopicArn"
    ]
    assert subscribed == ["!GetAtt Redrive.Arn"]
    assert [t["Arn"] for t in trigger["JobEnded"]["Properties"]["Targets"]] == ["!GetAtt Redrive.Arn"]


def test_a_request_waits_longer_than_a_lease_and_no_longer_than_sqs_takes() -> None:
    """Else the container answers 202 for a worker that is gone, which SageMaker takes for a success."""
    delay = yaml.load((ROOT / "infra" / "trigger.yaml").read_text(), Loader)["Parameters"]["RedriveDelay"]
    assert delay["Default"] >= 2 * Settings().lease_s
    assert delay["MaxValue"] <= 900


def test_a_queue_of_a_function_hides_a_message_for_six_times_its_time_and_keeps_what_fails() -> None:
    """lambda/latest/dg/services-sqs-configure.html"""
    trigger = resources("trigger")
    queue, function = (trigger[name]["Properties"] for name in ("Again", "Redrive"))
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == "!GetAtt Undelivered.Arn"
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5


def test_deleted_scratch_leaves_nothing_for_good() -> None:
    """AmazonS3/latest/userguide/lifecycle-configuration-examples.html: markers outlive versions otherwise."""
    rules = resources("videos")["Videos"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert any(rule.get("ExpiredObjectDeleteMarker") for rule in rules)


def test_what_jobs_need_alone_goes_after_a_day_as_an_old_version_too() -> None:
    """Else a bucket that keeps versions is charged for each heartbeat and segment for 30 days."""
    rules = resources("videos")["Videos"]["Properties"]["LifecycleConfiguration"]["Rules"]
    of_tags = {tag["Value"]: rule for rule in rules for tag in rule.get("TagFilters", [])}
    for kind, key in (("record", "a/.pothole/7/record.json"), ("segment", ".pothole/7/segments/0000.json")):
        assert tagging(key) == {"Tagging": f"pothole={kind}"}
        assert of_tags[kind]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert of_tags["segment"]["ExpirationInDays"] == 1
    assert "ExpirationInDays" not in of_tags["record"]  # a record says what was done, for ever
    assert tagging("a/clip_output.mp4") == {}
    told = {"Name": "S3_TAG_SCRATCH", "Value": "true"}
    [worker] = resources("queue")["Task"]["Properties"]["ContainerDefinitions"]
    assert told in worker["Environment"]


class Endpoints:
    """SageMaker after a release, as far as `check_release` asks it."""

    def __init__(self, configuration: str) -> None:
        self._configuration = configuration

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:  # noqa: N803
        return {"EndpointStatus": "InService", "EndpointConfigName": self._configuration}


@pytest.mark.parametrize(("configuration", "rolled_back"), [("new", False), ("old", True)])
def test_a_silent_roll_back_is_told(
    monkeypatch: pytest.MonkeyPatch, configuration: str, rolled_back: bool
) -> None:
    """sagemaker/latest/dg/deployment-guardrails.html: afterwards the endpoint is InService as before."""
    monkeypatch.setattr(deploy.boto3, "client", lambda service: Endpoints(configuration))
    values = {f"{kind}{what}": "new" for kind in ("Preview", "Videos") for what in ("Endpoint", "ConfigName")}
    if not rolled_back:
        deploy.check_release(values)
        return
    with pytest.raises(Failed, match="rolled back to its version before"):
        deploy.check_release(values)


def deploy_role(action: str) -> list[dict[str, Any]]:
    """What lets the release workflow do something."""
    service = action.partition(":")[0]
    return [s for s in statements("DeployRole") if {action, f"{service}:*"} & set(as_list(s["Action"]))]


def test_a_release_may_map_events_to_its_own_functions() -> None:
    """lambda/latest/dg/lambda-api-permissions-ref.html: a new mapping has no name, its function has."""
    mapped = [
        name
        for kind in ("trigger", "queue")
        for name, resource in resources(kind).items()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
    ]
    assert len(mapped) == 2
    for action in ("Create", "Update", "Delete"):
        [allowed] = [s for s in deploy_role(f"lambda:{action}EventSourceMapping") if s["Resource"] == "*"]
        [function] = allowed["Condition"]["ArnLike"].values()
        assert function.endswith(":function:${Name}-*")


def test_a_release_may_bring_a_queues_workers_a_new_image() -> None:
    """service-authorization/latest/reference/list_amazonelasticcontainerservice.html"""
    named = [resource for s in deploy_role("ecs:UpdateService") for resource in s["Resource"]]
    for kind in ("cluster/${Name}*", "service/${Name}*", "task-definition/${Name}-*"):
        assert any(resource.endswith(f":{kind}") for resource in named), kind
    # These know no resources.
    for action in ("ecs:DescribeTaskDefinition", "ecs:DeregisterTaskDefinition"):
        assert any(s["Resource"] == "*" for s in deploy_role(action)), action


def workflow() -> dict[Any, Any]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())  # type: ignore[no-any-return]


def test_what_is_released_is_named_by_its_digest() -> None:
    """A tag can be moved between the test and production."""
    steps = [step.get("run", "") for job in workflow()["jobs"].values() for step in job.get("steps", [])]
    deployed = [text for text in steps if "make deploy" in text]
    assert len(deployed) == 2
    assert all('IMAGE="$repository@$DIGEST"' in text for text in deployed)


def test_a_step_that_fails_within_a_pipe_fails_the_release() -> None:
    """docs.github.com, workflow syntax, defaults.run.shell: the default of Linux has no pipefail."""
    assert workflow()["defaults"]["run"]["shell"] == "bash"


@pytest.mark.parametrize(("there", "made"), [(True, "false"), (False, "true")])
def test_a_repository_made_by_hand_is_used_and_none_made(
    monkeypatch: pytest.MonkeyPatch, there: bool, made: str
) -> None:
    calls = Calls(monkeypatch)
    calls.answers["DescribeRepositories"] = {"repositories": [{"repositoryName": "road"}] if there else []}
    assert ("false" if packages.has_repository("road") else "true") == made
    assert resources("work")["Repository"]["Condition"] == "MakesRepository"


def roles() -> dict[str, dict[str, Any]]:
    """All roles that a deployment makes, and what else is a policy of theirs."""
    kinds = ("AWS::IAM::Role", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy")
    stacks = ("videos", "work", "endpoints", "trigger", "operations", "queue", "api", "samples", "stream")
    made = {f"{kind}/{name}": r for kind in stacks for name, r in resources(kind).items()}
    return {name: r for name, r in made.items() if r["Type"] in kinds}


def documents(resource: dict[str, Any]) -> list[dict[str, Any]]:
    properties = resource["Properties"]
    inline = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    return inline + ([properties["PolicyDocument"]] if "PolicyDocument" in properties else [])


def test_a_release_makes_no_role_without_bounds() -> None:
    """IAM/latest/UserGuide/access_policies_boundaries.html: else CreateRole is all of the account."""
    for name, resource in roles().items():
        # Instances of a queue have AWS's own policy, and are made by hand: a release makes none.
        if resource["Type"] == "AWS::IAM::Role" and name != "queue/InstanceRole":
            assert resource["Properties"]["PermissionsBoundary"]["If"][1] == "!Ref PermissionsBoundary", name
    for action in ("AttachRolePolicy", "CreateRole", "PutRolePermissionsBoundary", "PutRolePolicy"):
        [allowed] = [s for s in deploy_role(f"iam:{action}") if s["Effect"] == "Allow"]
        assert allowed["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": "!Ref Boundary"}}
    denied = {a for s in statements("DeployRole") if s["Effect"] == "Deny" for a in as_list(s["Action"])}
    assert denied >= {"iam:*", "iam:CreatePolicyVersion", "iam:DeleteRolePermissionsBoundary"}
    steps = [step.get("run", "") for job in workflow()["jobs"].values() for step in job.get("steps", [])]
    assert all("PermissionsBoundary=" in text for text in steps if "make deploy" in text)


def test_roles_are_lent_to_the_services_that_need_them_alone() -> None:
    """IAM/latest/UserGuide/id_roles_use_passrole.html"""
    [lent] = [s for s in deploy_role("iam:PassRole") if s["Effect"] == "Allow"]
    assert set(lent["Condition"]["StringEquals"]["iam:PassedToService"]) == {
        "ecs-tasks.amazonaws.com",
        "lambda.amazonaws.com",
        "sagemaker.amazonaws.com",
    }


def test_the_bounds_let_each_role_do_what_it_does() -> None:
    bounded = {
        a for s in documents(resources("pipeline")["Boundary"])[0]["Statement"] for a in as_list(s["Action"])
    }
    used = {
        action
        for resource in roles().values()
        for document in documents(resource)
        for statement in document["Statement"]
        for part in (statement["If"][1:] if "If" in statement else [statement])
        if isinstance(part, dict)
        for action in as_list(part["Action"])
    }
    assert bounded == used


def test_each_environment_has_a_role_that_github_names_in_either_way() -> None:
    """docs.github.com/actions/reference/openid-connect-reference: newer repositories have ids in it."""
    trust = resources("pipeline")["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    plain, with_ids = trust["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    assert plain == "!Sub repo:${Repository}:environment:${Environment}"
    assert with_ids["If"][1] == "!Sub repo:${RepositoryWithIds}:environment:${Environment}"
    assert resources("pipeline")["DeployRole"]["Properties"]["RoleName"] == "!Sub ${Name}-deploy"
    pattern = parameters("pipeline")["RepositoryWithIds"]["AllowedPattern"]
    assert re.fullmatch(pattern, "owner@12/roads@345") and not re.fullmatch(pattern, "owner/roads")


def test_github_is_made_known_once_in_an_account() -> None:
    """IAM/latest/UserGuide/id_roles_providers_create_oidc.html: a second one of an address is refused."""
    pipeline = resources("pipeline")
    assert pipeline["GitHub"]["Condition"] == "MakesProvider"
    assert pipeline["GitHub"]["DeletionPolicy"] == "Retain"
    [statement] = pipeline["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"]["Federated"] == {
        "If": ["MakesProvider", "!Ref GitHub", "!Ref OidcProviderArn"]
    }


def policies_of(kind: str, policy: str) -> set[str]:
    return {a for s in documents(resources(kind)[policy])[0]["Statement"] for a in as_list(s["Action"])}


def test_roles_may_with_the_keys_what_sagemaker_asks_for() -> None:
    """API_AsyncInferenceOutputConfig.html: kms:Encrypt; API_ProcessingClusterConfig.html: kms:CreateGrant."""
    assert policies_of("endpoints", "UseKey") == {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"}
    assert policies_of("trigger", "LendVolumeKey") == {"kms:CreateGrant", "kms:DescribeKey"}
    lent = resources("trigger")["LendVolumeKey"]["Properties"]
    assert lent["Roles"] == ["!Ref SendRole", "!Ref RedriveRole"]
    [grant] = [s for s in lent["PolicyDocument"]["Statement"] if s["Action"] == "kms:CreateGrant"]
    assert grant["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_the_page_counts_the_alarms_that_are_made() -> None:
    """Each is paid for by the month; target tracking makes two of its own."""
    made = {name: r for kind in ("endpoints", "operations") for name, r in resources(kind).items()}
    alarms_ = [r for r in made.values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    of_preview = [r for r in alarms_ if r.get("Condition") == "HasPreview"]
    optional = [
        sum(r["Type"] == "AWS::CloudWatch::Alarm" for r in resources(kind).values())
        for kind in ("queue", "stream", "api", "samples")
    ]
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    told = re.search(
        r"alarms = (\d+), (\d+) more with a real-time endpoint, (\d+) more with a queue, "
        r"(\d+) more with live streams, (\d+) more with the API, (\d+) more with samples",
        page,
    )
    assert told is not None
    assert list(map(int, told.groups())) == [
        len(alarms_) - len(of_preview) + 2,
        len(of_preview),
        *optional,
    ]


@pytest.mark.parametrize(
    ("given", "before", "ami"),
    [
        ({"InstanceType": "ml.g5.xlarge"}, {}, releases.GPU_AMI),
        ({"InstanceType": "ml.p5.48xlarge"}, {}, releases.GPU_AMI),
        ({}, {"InstanceType": "ml.g6.xlarge", "InferenceAmiVersion": "mine"}, "mine"),
        ({"InstanceType": "ml.g5.xlarge", "InferenceAmiVersion": "other"}, {}, "other"),
        (
            {"InstanceType": "ml.c5.xlarge"},
            {"InstanceType": "ml.g5.xlarge", "InferenceAmiVersion": "mine"},
            "",
        ),
        ({}, {}, ""),
    ],
)
def test_instances_with_a_gpu_get_a_driver_that_the_image_can_use(
    given: dict[str, str], before: dict[str, str], ami: str
) -> None:
    """API_ProductionVariant.html, InferenceAmiVersion: the default of ml.g5 has CUDA 11.4, the image 12."""
    assert releases.ami_for(given, before) == ami


class Stacks:
    """Stands in for stacks that are there, with instances without a GPU; writes down what is applied."""

    applied: list[tuple[str, ...]] = []  # noqa: RUF012  # emptied by the test

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = f"{name}-{kind}", kind

    def status(self) -> str | None:
        return None if self.kind in {"queue", "api", "samples", "stream"} else "UPDATE_COMPLETE"

    def parameters(self) -> dict[str, str]:
        return {"InstanceType": "ml.c5.2xlarge"}

    def values(self) -> dict[str, str]:
        return {"InstanceType": "ml.c5.2xlarge", "InferenceAmiVersion": ""}

    def outputs(self) -> dict[str, str]:
        return {
            "WorkBucket": "work",
            "VideosBucket": "videos",
            "RepositoryArn": "arn:aws:ecr:::repository/road",
        }

    def apply(self, values: dict[str, str]) -> str:
        if self.kind == "endpoints":
            told = ("Scales", "InstanceType", "InferenceAmiVersion")
            self.applied.append(tuple(values[name] for name in told))
        return "updated"


def test_a_driver_comes_with_its_instance_type_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """API_ProductionVariant.html: the AMI for GPUs is refused with another instance type."""
    Stacks.applied.clear()
    monkeypatch.setattr(deploy, "Stack", Stacks)
    monkeypatch.setattr(deploy, "upload", lambda *_: "key")
    monkeypatch.setattr(deploy, "check_release", lambda values: None)
    deploy.run(["deploy", "--name", "road", "--image", "i", "--no-smoke", "InstanceType=ml.g5.xlarge"])
    assert Stacks.applied == [
        ("false", "ml.c5.2xlarge", ""),
        ("false", "ml.g5.xlarge", releases.GPU_AMI),
        ("true", "ml.g5.xlarge", releases.GPU_AMI),
    ]

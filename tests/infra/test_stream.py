"""The consumers of live streams on ECS: what the template says is what the code reads, does and tells."""

import json
import re
from typing import Any

import boto3
import pytest
import yaml

import deploy
from infra.test_dashboard import shown
from infra.test_queue import camel, resolved
from infra.test_templates import Loader, actions, resources
from local_aws import Cloud
from packages import pack_functions
from pothole.entrypoints.stream.metrics import UNITS
from pothole.entrypoints.stream.variables import Variables
from stacks import Stack
from support.deployment import IMAGE, Deployed
from support.servers import ROOT

CODE = sorted((ROOT / "container/pothole/entrypoints/stream").glob("*.py"))
NEEDED_BY = {
    ".get_parameter(": "ssm:GetParameter",
    ".scan(": "dynamodb:Scan",
    ".put_item(": "dynamodb:PutItem",
    ".update_item(": "dynamodb:UpdateItem",
    ".delete_item(": "dynamodb:DeleteItem",
    '"list_streams"': "kinesisvideo:ListStreams",
    ".list_tags_for_stream(": "kinesisvideo:ListTagsForStream",
    ".get_data_endpoint(": "kinesisvideo:GetDataEndpoint",
    ".get_media(": "kinesisvideo:GetMedia",
    ".put_records(": "kinesis:PutRecords",
}
NAMESPACE = "potholes/${Name}/stream"
# The pages "Amazon ECS CloudWatch metrics", "Monitoring Kinesis Data Streams" and those of the others.
OF_AWS = {
    "AWS/ECS": ({"ServiceName", "ClusterName"}, {"CPUUtilization", "MemoryUtilization"}),
    "AWS/Kinesis": (
        {"StreamName"},
        {"IncomingRecords", "PutRecords.ThrottledRecords", "ReadProvisionedThroughputExceeded"},
    ),
    "AWS/SageMaker": (
        {"EndpointName", "VariantName"},
        {"Invocations", "Invocation4XXErrors", "Invocation5XXErrors"},
    ),
    "AWS/Lambda": ({"FunctionName"}, {"Invocations", "Errors", "Duration"}),
}


def widgets() -> list[dict[str, Any]]:
    body = resources("stream")["Dashboard"]["Properties"]["DashboardBody"].removeprefix("!Sub ")
    return [widget["properties"] for widget in json.loads(body)["widgets"]]


def test_a_consumer_may_do_what_the_code_does_and_no_more() -> None:
    said = "".join(path.read_text() for path in CODE)
    assert all(call in said for call in NEEDED_BY)
    assert actions("ConsumerRole") == set(NEEDED_BY.values())
    asks = resources("stream")["ConsumerAsksEndpoint"]
    assert ".invoke_endpoint(" in said and asks["Condition"] == "AsksEndpoint"
    [statement] = asks["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sagemaker:InvokeEndpoint"


@pytest.mark.parametrize("names", ["", '"front-1", "yard"'])
def test_the_parameter_is_a_configuration_that_the_consumer_reads(names: str) -> None:
    template = yaml.load((ROOT / "infra/stream.yaml").read_text(), Loader)
    given = {name: str(about.get("Default", "")) for name, about in template["Parameters"].items()}
    given |= {"StreamNames": names, "Records": "records", "Leases": "leases"}
    text = template["Resources"]["Configuration"]["Properties"]["Value"].removeprefix("!Sub ")
    read = Variables.read(re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], text), None)
    assert read.stream_names == (("front-1", "yard") if names else ())
    assert (read.kds_stream_name, read.lease_table) == ("records", "leases")
    assert read.tag_filters[0].key == "Potholes"
    assert (read.sage_maker_endpoint, read.inference_interval) == ("local", 6)
    [command] = template["Resources"]["Task"]["Properties"]["ContainerDefinitions"]
    assert command["Command"] == ["pothole", "stream", "--configuration", "!Sub ssm:${Configuration}"]


def test_each_metric_of_the_dashboard_is_one_that_is_told_with_its_dimensions() -> None:
    [container] = resources("stream")["Task"]["Properties"]["ContainerDefinitions"]
    environment = {e["Name"]: e["Value"] for e in container["Environment"]}
    assert environment["METRICS_NAMESPACE"] == f"!Sub {NAMESPACE}"
    seen = set()
    for widget in widgets():
        for namespace, name, dimensions, options in shown(widget):
            seen.add(name)
            assert options["label"]
            if namespace == NAMESPACE:
                assert name in UNITS[tuple(dimensions)]
            else:
                known_dimensions, known = OF_AWS[namespace]
                assert dimensions.keys() == known_dimensions and name in known
        for [expression] in (e for e in widget["metrics"] if isinstance(e[0], dict)):
            told = re.search(r"\{([^,]+),(\w+)\} MetricName=\"(\w+)\"", expression["expression"])
            assert told and told[1] == NAMESPACE and told[3] in UNITS[(told[2],)]
        assert widget["yAxis"]["left"]["label"]
    assert seen >= UNITS[()].keys()


def test_the_dashboard_has_the_widgets_and_the_name_of_awss_application() -> None:
    titles = {widget["title"].lower() for widget in widgets()}
    assert titles >= {
        *("frame metrics", "ingesttoprocesslatency", "current lease total", "lease sync metrics"),
        *("lease count per worker", "number of workers", "ecs service utilization", "kinesis data stream"),
        *("sagemaker", "lambda"),
    }
    name = resources("stream")["Dashboard"]["Properties"]["DashboardName"]
    assert name == "!Sub ${AWS::StackName}-KvsSageMakerIntegration-${AWS::Region}"


def test_ecs_takes_the_task_and_one_to_five_of_it_run(cloud: Cloud) -> None:
    found = resources("stream")
    task = camel(resolved(found["Task"]["Properties"], set())) | {"cpu": "4096", "memory": "8192"}
    ecs = boto3.client("ecs", endpoint_url=cloud.moto_url)
    assert ecs.register_task_definition(**task)["taskDefinition"]["requiresCompatibilities"] == ["FARGATE"]
    template = yaml.load((ROOT / "infra/stream.yaml").read_text(), Loader)
    assert (
        found["Number"]["Properties"]["MinCapacity"],
        template["Parameters"]["MaxConsumers"]["Default"],
    ) == (1, 5)
    assert found["Consumers"]["Properties"]["DesiredCount"] == 1


def test_records_that_fail_are_reported_one_by_one_and_kept() -> None:
    mapping = resources("stream")["ReadOnRecords"]["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == "!GetAtt Unread.Arn"
    code = resources("stream")["Read"]["Properties"]["Code"]
    assert code["S3Key"]["If"] == ["HasFunction", "!Ref LambdaFunctionKey", "!Ref CodeKey"]


def test_streams_are_looked_at_and_let_go_on_request(
    deployed: Deployed, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    # The emulator that knows these resources has buckets of its own.
    s3 = boto3.client("s3", endpoint_url=cloud.moto_url)
    s3.create_bucket(Bucket="own-code")
    s3.put_object(Bucket="own-code", Key="own.zip", Body=pack_functions())
    own = ["LambdaFunctionBucket=own-code", "LambdaFunctionKey=own.zip"]
    same = ["deploy", "--name", "live", "--image", IMAGE, "--no-smoke"]
    try:
        network = ["SubnetIds=subnet-1,subnet-2", "SecurityGroupIds=sg-1"]
        deploy.run([*same, "Stream=true", *network, *own])
        assert "live-stream made" in capsys.readouterr().out
        deploy.run([*same, "Stream=false"])
        assert "live-stream gone" in capsys.readouterr().out
        assert Stack("live", "stream").status() is None
    finally:
        deploy.run(["destroy", "--name", "live"])
        Stack("live", "videos").delete()


def test_the_page_tells_of_the_templates_parameters() -> None:
    template = yaml.load((ROOT / "infra/stream.yaml").read_text(), Loader)
    page = (ROOT / "docs/how-to/stream.md").read_text()
    for name, about in template["Parameters"].items():
        assert (
            f"`{name}`" in page
            or "Description" not in about
            or name in {"Name", "KmsKeyArn", "SubnetIds", "PermissionsBoundary"}
        )

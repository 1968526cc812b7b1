"""The dashboard: what it shows is told by somebody, and each axis says what it counts."""

import json
import logging
import re
from logging.config import DictConfigurator
from pathlib import Path
from typing import Any

import pytest

from infra.test_rules import OF_ENDPOINT, OF_VARIANT, alarms
from infra.test_templates import resources
from pothole.entrypoints.logs import logging_config
from pothole.job_order import Job
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import open_folder
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road

# docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html, and those of Lambda and SQS.
OF_INSTANCES = {"CPUUtilization", "MemoryUtilization", "DiskUtilization"}
DIMENSIONS = {
    "AWS/SageMaker": {name: {"EndpointName"} for name in OF_ENDPOINT}
    | {name: {"EndpointName", "VariantName"} for name in {*OF_VARIANT, "Invocations"}},
    "/aws/sagemaker/Endpoints": {name: {"EndpointName", "VariantName"} for name in OF_INSTANCES},
    "AWS/Lambda": {name: {"FunctionName"} for name in ("Invocations", "Errors", "Throttles")},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible": {"QueueName"}},
}


def widgets(kind: str) -> list[dict[str, Any]]:
    body, put_in = resources("operations")["Dashboard"]["Properties"]["DashboardBody"]["Sub"]
    _, alarms, none = put_in["PreviewAlarms"]["If"]
    assert none == ""
    body = body.replace("${PreviewAlarms}", alarms.removeprefix("!Sub "))
    return [w["properties"] for w in json.loads(body)["widgets"] if w["type"] == kind]


def shown(widget: dict[str, Any]) -> list[tuple[str, str, dict[str, str], dict[str, Any]]]:
    """Namespace, name, dimensions and options of each metric; dots stand for what the one before has."""
    found, before = [], list[str]()
    for entry in widget["metrics"]:
        options = entry[-1] if isinstance(entry[-1], dict) else {}
        names = [text for text in entry if isinstance(text, str)]
        if not names:  # an expression of others
            continue
        if names == ["..."]:
            names = before
        names = [before[at] if name == "." else name for at, name in enumerate(names)]
        found.append((names[0], names[1], dict(zip(names[2::2], names[3::2], strict=True)), options))
        before = names
    return found


@pytest.mark.parametrize("widget", widgets("metric"), ids=lambda widget: widget["title"])
def test_a_metric_is_one_that_is_emitted_and_has_all_its_dimensions(widget: dict[str, Any]) -> None:
    """With fewer or more dimensions a line stays empty."""
    for namespace, name, dimensions, _ in shown(widget):
        assert dimensions.keys() == DIMENSIONS[namespace][name]


@pytest.mark.parametrize("widget", widgets("metric"), ids=lambda widget: widget["title"])
def test_an_axis_says_what_it_counts_and_a_line_what_it_is(widget: dict[str, Any]) -> None:
    assert widget["yAxis"]["left"]["label"]
    hidden = {options["id"] for *_, options in shown(widget) if options.get("visible") is False}
    expressions = [entry[0] for entry in widget["metrics"] if isinstance(entry[0], dict)]
    assert {e["expression"].split(" / ")[0] for e in expressions} == hidden
    assert all(options.get("label") for *_, options in shown(widget) if options.get("visible", True))


def test_functions_and_queues_on_it_are_those_that_are_made() -> None:
    made = {
        r["Properties"].get("FunctionName") or r["Properties"].get("QueueName")
        for r in (resources("trigger") | resources("work")).values()
    }
    named = {
        value
        for widget in widgets("metric")
        for namespace, _, dimensions, _ in shown(widget)
        if namespace in ("AWS/Lambda", "AWS/SQS")
        for value in dimensions.values()
    }
    assert {f"!Sub {name}" for name in named} <= made


def test_it_shows_the_state_of_every_alarm_that_means_trouble() -> None:
    [widget] = widgets("alarm")
    trouble = {a["AlarmName"].removeprefix("!Sub ") for a in alarms().values()} - {
        "${Name}-nothing-to-do",
        "${Name}-work-without-instance",
    }
    assert {arn.rpartition(":")[2] for arn in widget["alarms"]} == trouble


def test_a_text_says_what_one_sees() -> None:
    [text] = widgets("text")
    assert "${VideosEndpoint}" in text["markdown"] and "\n" in text["markdown"]


@pytest.mark.parametrize(("title", "number"), [("Marked videos a day", 2), ("Potholes a day", 1)])
def test_a_days_numbers_are_counted_from_what_the_server_logs(
    title: str, number: int, tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    [widget] = [w for w in widgets("log") if w["title"] == title]
    source, condition, counted = (part.strip() for part in widget["query"].split("|"))
    assert source == "SOURCE '/aws/sagemaker/Endpoints/${VideosEndpoint}'"
    make_clip(tmp_path / "with.mp4", 4, size=SIZE, picture=road)
    make_clip(tmp_path / "without.mp4", 4, size=SIZE)
    worker = Worker(MagentaDetector(), "model", open_folder, settings)
    with caplog.at_level(logging.INFO):
        for name in ("with.mp4", "without.mp4"):
            worker.run_unrecorded(Job(str(tmp_path), name, is_live=True), open_folder)
    told = logging_config("INFO")
    formatter = DictConfigurator(told).configure_formatter(told["formatters"]["json"])
    lines = [json.loads(formatter.format(record)) for record in caplog.records]
    [message] = re.fullmatch(r"filter message = '(.+)'", condition).groups()
    seen = [line for line in lines if line["message"] == message]
    [what] = re.fullmatch(r"stats (\S+) as \w+ by bin\(1d\)", counted).groups()
    total = len(seen) if what == "count(*)" else sum(line[what[4:-1]] for line in seen)
    assert total == number

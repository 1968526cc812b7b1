"""What CloudWatch reads from the log of a job's end: its embedded metric format."""

import json
import logging
from logging.config import DictConfigurator
from typing import Any

import pytest

from pothole.entrypoints.logs import logging_config
from pothole.errors import Interrupted, InvalidMedia
from pothole.job_order import Job
from pothole.jobs.accounting import accounted
from pothole.metrics import Metrics

JOB = Job("bucket", "clip.mp4", is_live=True)
DONE = {"frames": 300, "potholes": 4, "seconds": 12.5}


def last_line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The last line of the log, as it is written."""
    told = logging_config("INFO")
    formatter = DictConfigurator(told).configure_formatter(told["formatters"]["json"])
    return json.loads(formatter.format(caplog.records[-1]))  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_jobs_end_names_fields_of_its_line_as_metrics(caplog: pytest.LogCaptureFixture) -> None:
    """AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    with accounted(Metrics("potholes/road"), "1", JOB) as done:
        done.update(DONE)
    line = last_line(caplog)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("potholes/road", [["outcome"]])
    assert line["outcome"] == "done"
    assert {m["Name"]: line[m["Name"]] for m in directive["Metrics"]} == {"jobs": 1, **DONE}
    assert line["_aws"]["Timestamp"] > 1_600_000_000_000, "milliseconds are expected"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(InvalidMedia("no video"), "failed"), (Interrupted("stopped"), "interrupted"), (OSError(), "failed")],
)
def test_a_job_that_fails_is_counted_by_its_outcome(
    caplog: pytest.LogCaptureFixture, error: Exception, outcome: str
) -> None:
    with pytest.raises(type(error)), accounted(Metrics("potholes/road"), "1", JOB):
        raise error
    line = last_line(caplog)
    assert (line["outcome"], line["jobs"]) == (outcome, 1)
    assert [m["Name"] for m in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]] == ["jobs"]


def test_without_a_namespace_the_log_names_no_metrics(caplog: pytest.LogCaptureFixture) -> None:
    with accounted(Metrics(), "1", JOB) as done:
        done.update(DONE)
    assert "_aws" not in last_line(caplog)

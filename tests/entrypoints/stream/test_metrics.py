"""What the consumer counts becomes metrics of CloudWatch by a line of its log."""

import json
import logging
from logging.config import DictConfigurator
from typing import Any

import pytest

from pothole.entrypoints.logs import logging_config
from pothole.entrypoints.stream.metrics import COUNTS, UNITS, StreamMetrics


def told(metrics: StreamMetrics, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        metrics.tell(leases=3, total=9, workers=4)
    config = logging_config("INFO")
    formatter = DictConfigurator(config).configure_formatter(config["formatters"]["json"])
    [record] = caplog.records
    return json.loads(formatter.format(record))  # type: ignore[no-any-return]


def test_each_metric_has_its_value_unit_and_dimensions(caplog: pytest.LogCaptureFixture) -> None:
    """The rules of the page "Embedded metric format specification": at most 100 values of a metric."""
    metrics = StreamMetrics("potholes/road", "worker-1", now=lambda: 1_000.0)
    metrics.count("FramesChosen", 2)
    for number in range(150):
        metrics.since("IngestToProcessLatency", 1_000_000 - number)
    metrics.begin("a picture", 995_000)
    metrics.begin("another", 999_000)
    line = told(metrics, caplog)
    directives = line["_aws"]["CloudWatchMetrics"]
    assert [d["Dimensions"] for d in directives] == [[[]], [["Worker"]]]
    units = {m["Name"]: m["Unit"] for directive in directives for m in directive["Metrics"]}
    known = {name: unit for of_metrics in UNITS.values() for name, unit in of_metrics.items()}
    assert units == {name: unit for name, unit in known.items() if name in line}
    assert units.keys() >= {*COUNTS, "IngestToProcessLatency", "Lag", "LeaseCount"}
    assert line["FramesChosen"] == 2 and line["FramesRead"] == 0
    assert line["IngestToProcessLatency"] == list(range(50, 150))
    assert (line["Lag"], line["FramesWaiting"]) == (5000, 2)
    assert (line["Worker"], line["LeaseCount"], line["NumberOfWorkers"]) == ("worker-1", 3, 4)
    metrics.end("a picture")
    later = told(metrics, caplog)
    assert (later["Lag"], later["FramesChosen"]) == (1000, 0)
    assert "IngestToProcessLatency" not in later


def test_without_a_namespace_the_line_is_for_people_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert "_aws" not in told(StreamMetrics(), caplog)

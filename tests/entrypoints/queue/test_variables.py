"""The file of variables, as the users of such pipelines write it."""

import json
from pathlib import Path
from typing import Any

import pytest

from pothole.entrypoints.queue.variables import Table, Variables
from pothole.errors import ConfigError

PIPELINE: dict[str, Any] = {
    "aws_region": "eu-west-1",
    "process_steps": ["upload", "human_detection", "team_detection"],
    "aws_queues": {"human_detection": "call-detector", "team_detection": "call-teams"},
    "video_upload": {"upload_bucket_name": "uploads", "s3_upload_startkey": "upload"},
    "video_split": {"output_bucket": "clips", "chunk_duration": 60},
    "team_detection": {"teams": 2},
    "human_detection": {
        "detectors": [["PotholeDetector", {"min_detection_score": 0.4, "max_batch_size": 5}]],
        "frame_ratio": 0.2,
    },
    "dynamodb": {"region": "eu-west-1", "table_id": "videos"},
}


def read(folder: Path, content: Any) -> Variables:
    path = folder / "variables.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return Variables.read(str(path))


def test_a_pipelines_variables_are_read(tmp_path: Path) -> None:
    variables = read(tmp_path, PIPELINE)
    detection = variables.human_detection
    assert (variables.step_name, variables.queue) == ("human_detection", "call-detector")
    assert (detection.frame_interval, detection.batch_size, detection.min_score) == (5, 5, 0.4)
    assert variables.dynamodb == Table(region="eu-west-1", table_id="videos")


def test_they_may_be_given_as_text() -> None:
    assert Variables.read(json.dumps(PIPELINE)).queue == "call-detector"
    with pytest.raises(ConfigError, match=r"The variables: aws_queue is not known"):
        Variables.read('{"aws_queue": {}}')
    with pytest.raises(ConfigError, match=r"nowhere\.json cannot be read: no such file"):
        Variables.read("nowhere.json")


@pytest.mark.parametrize(("ratio", "interval"), [(1, 1), (0.5, 2), (0.34, 3), (0.04, 25)])
def test_the_share_of_frames_becomes_even_steps(tmp_path: Path, ratio: float, interval: int) -> None:
    variables = read(tmp_path, {"human_detection": {"frame_ratio": ratio}})
    assert variables.human_detection.frame_interval == interval


@pytest.mark.parametrize("step", ["human_detector", "human_detection", "pothole_detection"])
def test_the_step_is_the_one_that_has_a_queue(tmp_path: Path, step: str) -> None:
    assert read(tmp_path, {"aws_queues": {step: "q", "other": "r"}}).step_name == step


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "JSON"),
        (PIPELINE | {"team_detector": {}}, "team_detector is not known"),
        (
            {"aws_queues": {"pothole_detection": "q"}, "pothole_detection": {}},
            "pothole_detection is not known",
        ),
        ({"aws_queues": 3, "process_steps": {}}, "aws_queues"),
        ({"aws_queue": {}}, "aws_queue is not known.*Known are aws_region, aws_queues"),
        ({"dynamodb": {"table": "t"}}, "table_id"),
        (
            {"dynamodb": {"table_id": "t", "zone": 1}},
            "dynamodb.zone is not known. Known are region, table_id",
        ),
        ({"human_detection": {"detectors": []}}, "detectors"),
        (
            {"human_detection": {"detectors": [["PotholeDetector", {"score": 1}]]}},
            "score is not known. Known are min_detection_score, max_batch_size",
        ),
        ({"human_detection": {"frame_ratio": 0}}, "frame_ratio"),
        ({"human_detection": {"detectors": [["PotholeDetector", {"max_batch_size": 0}]]}}, "max_batch_size"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        read(tmp_path, content)
    assert "variables.json" in str(caught.value)


def test_a_missing_queue_is_said() -> None:
    with pytest.raises(ConfigError, match="No queue feeds the step 'pothole_detection'"):
        _ = Variables().queue


def test_the_batch_is_that_of_the_settings_unless_a_detector_says_otherwise(tmp_path: Path) -> None:
    assert Variables().human_detection.batch_size is None
    options = [["PotholeDetector", {}], ["FaceDetector", {"max_batch_size": 3}]]
    assert read(tmp_path, {"human_detection": {"detectors": options}}).human_detection.batch_size == 3

"""The configuration of the stream's consumer: AWS's own one is taken, and a mistake is one sentence."""

import json
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from pothole.entrypoints.stream.metrics import UNITS
from pothole.entrypoints.stream.variables import TagFilter, Variables
from pothole.errors import ConfigError
from support.servers import ROOT

# Amazon's template writes it so, line breaks included (the page "Using streaming metadata with SageMaker").
ORIGINAL = """{"streamNames":["front-1"], "tagFilters":[{"key":"Location","values":["Front","Parking"]}],
 "sageMakerEndpoint":"objects", "endPointAcceptContentType": "image/png",
 "kdsStreamName":"answers","inferenceInterval":6,"sageMakerTaskQueueSize":5000,
 "sageMakerTaskThreadPoolSize":20,"sageMakerTaskTimeoutInMilli":20000,
 "sageMakerTaskThreadPoolName":"SageMakerThreadPool-%d"}
"""


def read(**given: Any) -> Variables:
    return Variables.read(json.dumps({"streamNames": ["a"], "kdsStreamName": "k"} | given), None)


def test_the_applications_own_parameter_is_taken_as_it_is(aws: str) -> None:
    ssm: Any = boto3.session.Session().client("ssm")
    name = f"driver-{uuid.uuid4().hex[:8]}"
    ssm.put_parameter(Name=name, Value=ORIGINAL, Type="String")
    found = Variables.read(f"ssm:{name}", ssm)
    assert found.stream_names == ("front-1",)
    assert found.tag_filters == (TagFilter(key="Location", values=("Front", "Parking")),)
    assert (found.sage_maker_endpoint, found.end_point_accept_content_type) == ("objects", "image/png")
    assert found.thread_name(3) == "SageMakerThreadPool-3"
    with pytest.raises(ConfigError, match=r"answers ParameterNotFound for the parameter 'nobody-made-it'"):
        Variables.read("ssm:nobody-made-it", ssm)


def test_what_is_left_out_has_the_applications_defaults() -> None:
    assert read() == read(
        inferenceInterval=6,
        sageMakerTaskQueueSize=5000,
        sageMakerTaskThreadPoolSize=20,
        sageMakerTaskTimeoutInMilli=20000,
        sageMakerTaskThreadPoolName="SageMakerThreadPool-%d",
        endPointAcceptContentType="image/jpeg",
        sageMakerEndpoint="local",
        recordFormat="original",
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"inferenceintervall": 3}, "inferenceintervall is not known. Known are streamNames, tagFilters"),
        ({"stream_names": ["a"]}, "stream_names is not known."),
        ({"inferenceInterval": 0}, "inferenceInterval: Input should be greater than or equal to 1."),
        ({"endPointAcceptContentType": "image/webp"}, "endPointAcceptContentType: Input should be"),
        ({"tagFilters": [{"key": "a", "vals": ["b"]}]}, "0.vals is not known. Known are key, values."),
        ({"streamNames": []}, "it: streamNames or tagFilters has to name a stream."),
        ({"sageMakerTaskThreadPoolName": "a-%s"}, "may have %d for a number once"),
        ({"recordPicture": True}, 'recordPicture needs recordFormat "json".'),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_that_names_it(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**given)
    assert str(caught.value).startswith("The configuration: ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.json cannot be read: No such file"):
        Variables.read(str(tmp_path / "missing.json"), None)
    (tmp_path / "cut.json").write_text('{"streamNames": [')
    with pytest.raises(ConfigError, match=r"cut\.json: it is no JSON"):
        Variables.read(str(tmp_path / "cut.json"), None)


def test_the_page_tells_of_each_variable_with_its_default_and_of_each_metric() -> None:
    page = (ROOT / "docs/how-to/stream.md").read_text()
    for name, field in Variables.model_fields.items():
        default = {(): "[]", False: "false"}.get(field.default, field.default)
        shown = "" if field.is_required() else f" `{default}`"
        assert f"| `{field.alias or name}` |{shown} |" in page
    for of_metrics in UNITS.values():
        assert all(f"`{name}`" in page for name in of_metrics)

"""The README and its neighbours say what is so: examples, tables, commands, files."""

import json
import re
import shlex
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pothole.entrypoints import settings_help
from pothole.entrypoints.cli.main import parser
from pothole.entrypoints.http.error_answers import status_of
from pothole.entrypoints.http.invocations import answer_json
from pothole.errors import ConfigError, DatasetError, PotholeError, RequestError
from pothole.job import Job
from pothole.jobs.lease import Lease
from pothole.jobs.request import Input, JobRequest
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import open_folder
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
JSON_BLOCKS = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines()
]


def block_with(*keys: str) -> Any:
    """The README's JSON example that has these keys and no other."""
    [found] = [value for value in map(json.loads, JSON_BLOCKS) if value.keys() == set(keys)]
    return found


def table_after(heading: str) -> list[list[str]]:
    """The rows of the first table after some text, without its head."""
    lines = README[README.index(heading) :].splitlines()
    rows = [line for line in lines if line.startswith("|")]
    end = lines.index(rows[0])
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    body = lines[lines.index(rows[0]) + 2 : end]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in body]


def shape(value: Any) -> Any:
    """Keys and kinds of a JSON value, of a list its first element's."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The data and the answer of a job on a road with one pothole."""

    def picture(number: int) -> Any:
        image = np.full((96, 160, 3), 120, np.uint8)
        image[30 + number : 50 + number, 60:100] = MAGENTA
        return image

    folder = tmp_path_factory.mktemp("roads")
    make_clip(folder / "clip.mp4", frames=8, size=(160, 96), picture=picture)
    job = Job(source_bucket=str(folder), source_key="clip.mp4", is_live=True)
    worker = Worker(MagentaDetector(), "model", open_folder, Settings())
    lease = worker.claim(job)
    assert isinstance(lease, Lease)
    record = worker.run(job, lease)
    answer = answer_json(record, worker.record_address(job, record))
    return json.loads((folder / "clip_output.json").read_text()), answer


def test_data_example_is_what_is_written(marked):
    example = block_with(
        "schema", "source", "output", "model", "settings", "frames", "tracks", "video", "summary"
    )
    data, _ = marked
    data["frames"] = [
        frame for frame in data["frames"] if frame["potholes"] and frame["potholes"][0]["track_id"]
    ]
    assert shape(example) == shape(data)


def test_answer_example_is_what_is_answered(marked):
    _, answer = marked
    example = block_with("output", "job")
    assert shape(example) == shape(answer)
    assert [Path(o).suffix for o in example["output"]] == [Path(o).suffix for o in answer["output"]]


def test_request_example_is_a_job_and_its_fields_are_all_listed():
    assert JobRequest.from_json(block_with("input")).job.source_key == "roads/clip.mp4"
    listed = {name.strip("`"): default.strip("`") for name, _, default in table_after("| field of `input`")}
    assert listed.keys() == Input.model_fields.keys()
    defaults = {
        name: field.default for name, field in Input.model_fields.items() if field.default is not None
    }
    for name, default in defaults.items():
        if not Input.model_fields[name].is_required():
            assert listed[name] == json.dumps(default), name


def test_error_example_is_what_is_answered():
    with pytest.raises(RequestError) as caught:
        JobRequest.from_json(
            {"input": {"s3_bucket": "b", "s3_source_filename": "clip.mp4", "is_live": "False"}}
        )
    assert block_with("error") == caught.value.to_json()


def test_errors_are_all_listed():
    def tree(error: type[PotholeError]) -> set[tuple[HTTPStatus, str]]:
        if error in {ConfigError, DatasetError}:  # of commands: no client of the server sees one
            return set()
        return {(status_of(error), error.code)}.union(*(tree(child) for child in error.__subclasses__()))

    listed = {
        (HTTPStatus(int(status)), code.strip("` "))
        for status, codes, _ in table_after("| status | `code` |")
        for code in codes.split(",")
    }
    assert listed == tree(PotholeError)


def test_the_page_of_settings_is_current():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert page == settings_help.page(), "run `make settings-page`"


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("pothole ")])
def test_commands_have_these_flags(command):
    parser().parse_args(shlex.split(command, comments=True)[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page):
    named = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", page.read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    both = {name for pair in named for name in pair if name}
    assert both <= targets | {"lint", "types", "format"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page):
    text = page.read_text()
    links = [page.parent / link for link in re.findall(r"\]\((?!http|#)([^)#]+)", text)]
    folders = "container|local_test|lambda|tests|notebooks|docs|bench|infra"
    named = [ROOT / path for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text)]
    started = re.findall(rf"^\.?/?((?:{folders})/[\w./-]+\.\w+|\w+\.sh)\b", text, re.MULTILINE)
    missing = [
        str(path) for path in [*links, *named, *(ROOT / path for path in started)] if not path.exists()
    ]
    assert not missing


def test_policies_give_no_more_than_is_needed():
    statements = [
        (statement, [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        for document in map(json.loads, JSON_BLOCKS)
        for statement in document.get("Statement", [])
    ]
    assert statements
    for statement, actions in statements:
        assert not any("*" in action for action in actions)
        if statement.get("Resource") == "*":  # these know no resources
            assert set(actions) <= {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
    written = {action for _, actions in statements for action in actions if action.startswith("s3:")}
    reading = {"s3:GetObject", "s3:ListBucket"}
    assert written == reading | {"s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"}
    [deleting] = [statement for statement, actions in statements if "s3:DeleteObject" in actions]
    assert deleting["Resource"].endswith("/*.pothole/*"), "videos and outputs may be deleted"

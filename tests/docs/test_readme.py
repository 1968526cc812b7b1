"""The README and its neighbours say what is so: examples, tables, commands, files."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import pothole
from pothole.entrypoints import settings_help
from pothole.entrypoints.cli.main import parser
from pothole.entrypoints.http.error_answers import status_of
from pothole.entrypoints.http.invocations import answer_json
from pothole.errors import ConfigError, DatasetError, PotholeError, RequestError
from pothole.job_order import Job
from pothole.jobs.lease import Lease
from pothole.jobs.request import Input, JobRequest
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from pothole.storage import open_folder
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCS = sorted(ROOT.glob("docs/**/*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
TEXTS = {page: page.read_text() for page in PAGES}
API, OUTPUTS_PAGE, BY_HAND = (
    TEXTS[ROOT / "docs" / page]
    for page in ("reference/api.md", "reference/outputs.md", "how-to/deploy-by-hand.md")
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


COMMANDS = sorted(
    {line for text in TEXTS.values() for block in blocks(text, "bash") for line in block.splitlines()}
)


def block_with(text: str, *keys: str) -> Any:
    """The JSON example of a page that has these keys and no other."""
    [found] = [value for value in map(json.loads, blocks(text, "json")) if value.keys() == set(keys)]
    return found


def table_after(heading: str, page: str = API) -> list[list[str]]:
    """The rows of the first table after some text, without its head."""
    lines = page[page.index(heading) :].splitlines()
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
        OUTPUTS_PAGE,
        "schema",
        "source",
        "output",
        "model",
        "settings",
        "frames",
        "tracks",
        "video",
        "summary",
    )
    data, _ = marked
    data["frames"] = [
        frame for frame in data["frames"] if frame["potholes"] and frame["potholes"][0]["track_id"]
    ]
    assert shape(example) == shape(data)


def test_answer_example_is_what_is_answered(marked):
    _, answer = marked
    example = block_with(API, "output", "job")
    assert shape(example) == shape(answer)
    assert [Path(o).suffix for o in example["output"]] == [Path(o).suffix for o in answer["output"]]


def test_request_example_is_a_job_and_its_fields_are_all_listed():
    assert JobRequest.from_json(block_with(API, "input")).job.source_key == "roads/clip.mp4"
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
    assert block_with(API, "error") == caught.value.to_json()


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


def test_the_python_of_the_readme_marks_a_video(tmp_path, monkeypatch, capsys):
    make_clip(tmp_path / "clip.mp4", 3, size=(160, 96))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pothole.entrypoints.python.load_detector", lambda folder: MagentaDetector())
    monkeypatch.setattr("support.clips.numbered_image", lambda *_: np.full((96, 160, 3), MAGENTA, np.uint8))
    make_clip(tmp_path / "clip.mp4", 3, size=(160, 96))
    [example] = blocks(README, "python")
    exec(example, {})
    assert capsys.readouterr().out.startswith("1 0.0 ")
    assert [path.name for path in (tmp_path / "marked").iterdir()] == ["clip_output.json"]


def test_import_pothole_is_fast_and_names_what_users_need():
    code = "import sys, pothole; print([m for m in ('numpy', 'cv2', 'keras') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
    assert all(getattr(pothole, name) for name in pothole.__all__)
    with pytest.raises(AttributeError, match="no attribute 'marks'"):
        _ = pothole.marks


def test_the_example_of_a_detector_can_be_installed_and_finds_what_it_says(tmp_path):
    shutil.copytree(ROOT / "docs" / "examples" / "dark_spots", tmp_path / "package")
    site, model = tmp_path / "site", tmp_path / "model"
    options = "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target"
    install = [sys.executable, "-m", "pip", "install", *options, str(site), str(tmp_path / "package")]
    subprocess.run(install, check=True)
    model.mkdir()
    (model / "detector.json").write_text('["dark_spots", {"threshold": 60}]')
    image = np.full((8, 6, 3), 200, np.uint8)
    image[3:5] = 50
    cv2.imwrite(str(tmp_path / "road.png"), image)
    found = subprocess.run(
        [sys.executable, "-m", "pothole", "detect", "road.png", "--model", str(model)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=True,
    )
    [picture] = json.loads(found.stdout)
    [pothole_found] = picture["potholes"]
    assert pothole_found["box"] == [0, 3, 6, 5]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_every_page_is_in_the_index():
    index = TEXTS[ROOT / "docs" / "index.md"]
    listed = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#]+)", index)}
    assert set(DOCS) - listed == {ROOT / "docs" / "index.md"}


def test_the_page_of_settings_is_current():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert page == settings_help.page(), "run `make settings-page`"


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("pothole ")])
def test_commands_have_these_flags(command):
    parser().parse_args(shlex.split(command, comments=True)[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_the_marks_of_a_merge(page):
    assert not re.search("^(<{7}|={7}|>{7})", TEXTS[page], re.MULTILINE)


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_headings_that_links_name_exist(page):
    for link, anchor in re.findall(r"\]\(((?!http)[^)#]*)#([^)]+)\)", page.read_text()):
        target = (page.parent / link).resolve() if link else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, f"{link}#{anchor}"


def test_policies_give_no_more_than_is_needed():
    statements = [
        (statement, [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        for document in map(json.loads, blocks(BY_HAND, "json"))
        for statement in document.get("Statement", [])
    ]
    assert statements
    for statement, actions in statements:
        assert not any("*" in action for action in actions)
        if statement.get("Resource") == "*":  # these know no resources
            assert set(actions) <= {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
    written = {action for _, actions in statements for action in actions if action.startswith("s3:")}
    reading = {"s3:GetObject", "s3:ListBucket"}
    assert written == reading | {
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:ListBucketMultipartUploads",
        "s3:DeleteObject",
    }
    [deleting] = [statement for statement, actions in statements if "s3:DeleteObject" in actions]
    assert deleting["Resource"].endswith("/*.pothole/*"), "videos and outputs may be deleted"

"""`make demo`: what it says when something is wrong, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from support.clips import make_clip

ROOT = Path(__file__).parents[2]
DEMO, QUEUE_DEMO, DEPLOY_LOCAL = (
    ROOT / "local_test" / f"{name}.py" for name in ("demo", "queue_demo", "deploy_local")
)


def start(argument: Path | str, script: Path = DEMO, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", script, argument],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "200"} | environment,
    )


def assert_nothing_listens(said: str) -> None:
    addresses = re.findall(r"http://127\.0\.0\.1:\d+", said)
    assert addresses
    for address in addresses:
        with pytest.raises(requests.ConnectionError):
            requests.get(address, timeout=5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "is not a file that can be read"),
        ("notes.txt", b"hello", "does not end like a video"),
        ("clip_output.mp4", b"hello", "is named like an output"),
        ("text.mp4", b"hello", "is not a video that can be read"),
    ],
)
def test_a_wrong_video_is_named_at_once(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    video = tmp_path / name
    if content is not None:
        video.write_bytes(content)

    with start(video) as demo:
        said = demo.communicate()[0]

    assert demo.returncode == 1
    assert name in said
    assert message in said
    assert "Traceback" not in said


def test_a_server_that_does_not_start_is_shown_and_all_is_taken_down(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    video = make_clip(tmp_path / "clip.mp4")
    with start(video, SM_MODEL_DIR=str(tmp_path), TMPDIR=str(temporary)) as demo:
        said = demo.communicate()[0]

    assert demo.returncode == 1
    assert "the server ended by itself" in said
    assert "The model cannot be loaded" in said
    assert_nothing_listens(said)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_demo_takes_all_down(tmp_path: Path, number: signal.Signals, status: int) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    with start(make_clip(tmp_path / "clip.mp4"), TMPDIR=str(temporary)) as demo:
        assert demo.stdout is not None
        said = ""
        while "AWS emulator at" not in said:
            said += demo.stdout.readline()
        demo.send_signal(number)
        said += demo.communicate()[0]

    assert demo.returncode == status
    assert "Traceback" not in said
    assert_nothing_listens(said)
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_local_deployment_works_until_it_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with start("MonthlyBudget=50", DEPLOY_LOCAL, TMPDIR=str(temporary)) as local:
        assert local.stdout is not None
        said = ""
        while "Ctrl-C takes all of it down" not in said:
            line = local.stdout.readline()
            assert line, said
            said += line
        variables = dict(re.findall(r"export (AWS_\w+)=(\S+)", said))
        listed = subprocess.run(
            [sys.executable, ROOT / "infra" / "deploy.py", "status"],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        local.send_signal(signal.SIGINT)
        said += local.communicate()[0]
    assert local.returncode == 0
    assert "MonthlyBudget is left out" in said
    assert "a first video was marked" in said
    assert "pothole-operations" in listed
    assert_nothing_listens(said)
    assert list(temporary.iterdir()) == []


def test_the_queues_way_shows_the_document_before_and_after(tmp_path: Path) -> None:
    video = make_clip(tmp_path / "clip.mp4", 4)
    with start(video, QUEUE_DEMO, TMPDIR=str(tmp_path)) as demo:
        said = demo.communicate()[0]
    assert demo.returncode == 0, said
    before, after = (line for line in said.splitlines() if line.startswith("the document "))
    assert "pothole_detection" not in before
    assert '"step": "pothole_detection", "state": "done"' in after
    assert "survey/pothole_detection/clip.json" in after
    assert_nothing_listens(said)

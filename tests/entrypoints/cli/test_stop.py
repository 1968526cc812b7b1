"""`pothole mark`, stopped and killed in the middle: real processes, real signals."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.clips import make_clip
from support.server_requests import SIZE, road
from support.servers import ROOT

COMMAND = [sys.executable, str(ROOT / "tests" / "support" / "slow_pothole.py"), "mark"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "road.mp4", 60, rate=10, size=SIZE, picture=road)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def start(clip: Path, out: Path, *flags: str, look_s: float = 0.02) -> subprocess.Popen[str]:
    environment = {
        "LOOK_SECONDS": str(look_s),
        "SEGMENT_SECONDS": "1",
        "TMPDIR": str(clip.parent / "temporary"),
        "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}",
    }
    command = [*COMMAND, str(clip), "--output-dir", str(out), "--frame-interval", "1", *flags]
    return subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def marked(clip: Path, out: Path, *flags: str) -> str:
    with start(clip, out, *flags) as process:
        said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


def test_ctrl_c_ends_soon_says_what_is_kept_and_resume_goes_on_from_there(
    clip: Path, temporary: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with start(clip, out, look_s=0.2) as process:
        wait_for(out, ".pothole/*/segments/0001.json")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=2)[0]
    assert process.returncode == 130
    told = re.search(rf"the first (\d+) frames are kept in {out}/.pothole: .* --resume", said)
    assert told, said
    assert int(told[1]) >= 20
    assert "Traceback" not in said
    assert not list(temporary.iterdir())

    kept = next(out.glob(".pothole/*/segments/0000-video.nut")).stat().st_mtime_ns
    with start(clip, out, "--resume") as process:
        assert next(out.glob(".pothole/*/segments/0000-video.nut")).stat().st_mtime_ns == kept
        assert process.wait() == 0
    marked(clip, tmp_path / "undisturbed")
    expected = outputs(tmp_path / "undisturbed")
    expected[".json"] = expected[".json"].replace(b"undisturbed", b"out")
    assert outputs(out) == expected, "no record is left, and not a byte is another one"


def test_without_resume_a_stopped_job_starts_over(clip: Path, temporary: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start(clip, out, look_s=0.2) as process:
        wait_for(out, ".pothole/*/segments/0000.json")
        process.terminate()
        process.communicate()
    assert process.returncode == 143
    assert "60/60" in marked(clip, out)
    assert sorted(outputs(out)) == [".json", ".mp4"]


def test_what_a_killed_process_left_goes_at_the_next_start_and_its_job_goes_on(
    clip: Path, temporary: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with start(clip, out, look_s=0.2) as process:
        wait_for(out, ".pothole/*/segments/0000.json")
        process.kill()
        process.communicate()
    assert list(temporary.iterdir())
    marked(clip, out, "--resume")
    assert not list(temporary.iterdir())
    assert sorted(outputs(out)) == [".json", ".mp4"]


def test_a_model_that_takes_long_does_not_keep_sigterm_waiting(
    clip: Path, temporary: Path, tmp_path: Path
) -> None:
    with start(clip, tmp_path / "out", look_s=20) as process:
        wait_for(temporary, "pothole-mark-*/job-*/*")
        process.terminate()
        said = process.communicate(timeout=2)[0]
    assert process.returncode == 143
    assert "nothing is kept" in said
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_any_command_ends_soon(clip: Path, temporary: Path, tmp_path: Path, number: int, status: int) -> None:
    environment = os.environ | {"LOOK_SECONDS": "20", "TMPDIR": str(temporary)}
    environment["PYTHONPATH"] = f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"
    command = [*COMMAND[:-1], "collect", str(clip), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command, env=os.environ | environment, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(tmp_path, ".pothole-*")
        process.send_signal(number)
        said = process.communicate(timeout=2)[1]
    assert process.returncode == status
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()

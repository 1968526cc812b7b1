"""`pothole mark`, stopped and killed in the middle: real processes, real signals."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.clips import make_clip
from support.commands import start_pothole, stop
from support.server_requests import SIZE, road


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "road.mp4", 60, rate=10, size=SIZE, picture=road)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def start(clip: Path, out: Path, *flags: str, look_s: float = 0.02) -> subprocess.Popen[str]:
    arguments = ["mark", clip, "--output-dir", out, "--frame-interval", "1", *flags]
    return start_pothole(*arguments, temporary=clip.parent / "temporary", look_s=look_s, SEGMENT_SECONDS="1")


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
        said = stop(process, signal.SIGINT, out, ".pothole/*/segments/0001.json", within_s=2)
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


def test_a_video_that_failed_before_ctrl_c_is_told(clip: Path, temporary: Path, tmp_path: Path) -> None:
    bad = tmp_path / "a_bad.mp4"
    bad.write_bytes(b"no video")
    out = tmp_path / "out"
    arguments = ["mark", bad, clip, "--output-dir", out, "--frame-interval", "1"]
    with start_pothole(*arguments, temporary=temporary, look_s=0.2, SEGMENT_SECONDS="1") as process:
        said = stop(process, signal.SIGINT, out, ".pothole/*/segments/0000.json")
    assert process.returncode == 130
    assert "1 of 2 videos failed:\n  a_bad.mp4" in said


def test_without_resume_a_stopped_job_starts_over(clip: Path, temporary: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start(clip, out, look_s=0.2) as process:
        stop(process, signal.SIGTERM, out, ".pothole/*/segments/0000.json")
    assert process.returncode == 143
    assert "60/60" in marked(clip, out)
    assert sorted(outputs(out)) == [".json", ".mp4"]


def test_what_a_killed_process_left_goes_at_the_next_start_and_its_job_goes_on(
    clip: Path, temporary: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with start(clip, out, look_s=0.2) as process:
        stop(process, signal.SIGKILL, out, ".pothole/*/segments/0000.json")
    assert list(temporary.iterdir())
    marked(clip, out, "--resume")
    assert not list(temporary.iterdir())
    assert sorted(outputs(out)) == [".json", ".mp4"]


def test_a_model_that_takes_long_does_not_keep_sigterm_waiting(
    clip: Path, temporary: Path, tmp_path: Path
) -> None:
    with start(clip, tmp_path / "out", look_s=20) as process:
        said = stop(process, signal.SIGTERM, temporary, "pothole-mark-*/job-*/*", within_s=2)
    assert process.returncode == 143
    assert "nothing is kept" in said
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_any_command_ends_soon(
    clip: Path, temporary: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    with start_pothole("collect", clip, "--out", tmp_path / "out", temporary=temporary, look_s=20) as process:
        said = stop(process, number, tmp_path, ".pothole-*", within_s=2)
    assert process.returncode == status
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()

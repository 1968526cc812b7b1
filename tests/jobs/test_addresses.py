"""`pothole mark` of what is no file of this machine: the web, S3, a camera; each a real server."""

import json
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pothole.entrypoints.cli import common, main
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road
from support.rtsp_camera import camera

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which the command is given."""
    monkeypatch.setattr(common, "load_detector", lambda folder, _: MagentaDetector())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["pothole", "mark", *map(str, words)])
    main.main()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "roads").mkdir()
    return make_clip(tmp_path / "roads" / "clip.mp4", 4, size=SIZE, picture=road)


def test_a_video_on_the_web_is_marked_here(monkeypatch: pytest.MonkeyPatch, clip: Path, here: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(clip.parent))) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{web.server_port}/clip.mp4"
        try:
            for _ in range(2):  # and renewed, since it is the same
                run(monkeypatch, f"{address}?signature=secret")
            with pytest.raises(SystemExit, match="There is nothing at"):
                run(monkeypatch, address.replace("clip", "none"))
        finally:
            web.shutdown()
            thread.join()
    assert sorted(path.name for path in here.iterdir()) == ["clip_output.json", "clip_output.mp4"]
    assert json.loads((here / "clip_output.json").read_text())["source"] == address


def test_videos_in_s3_are_marked_here(
    monkeypatch: pytest.MonkeyPatch, s3: "S3Client", bucket: str, clip: Path, here: Path, tmp_path: Path
) -> None:
    for name in ("a.mp4", "b.mov", "b_output.mp4", "note.txt", "deeper/c.mp4"):
        s3.put_object(Bucket=bucket, Key=f"roads/{name}", Body=clip.read_bytes())
    run(monkeypatch, f"s3://{bucket}/roads/a.mp4")
    assert (
        json.loads((here / "roads" / "a_output.json").read_text())["source"] == f"s3://{bucket}/roads/a.mp4"
    )
    run(monkeypatch, f"s3://{bucket}/roads/", "--output-dir", tmp_path / "out", "--outputs", "json")
    assert sorted(path.name for path in (tmp_path / "out" / "roads").iterdir()) == [
        "a_output.json",
        "b_output.json",
    ]


def test_a_camera_is_marked_for_as_long_as_asked(
    monkeypatch: pytest.MonkeyPatch, clip: Path, here: Path, tmp_path: Path
) -> None:
    filmed = make_clip(tmp_path / "filmed.mp4", 30, rate=10, size=SIZE, picture=road)
    with camera(filmed, speed=4) as address:
        run(monkeypatch, address, "--duration", "2", "--outputs", "json")
        with pytest.raises(SystemExit, match=r"is a live stream\. Say for how many seconds"):
            run(monkeypatch, address)
    [report] = here.iterdir()
    assert report.name.startswith("front-")
    told = json.loads(report.read_text())
    assert 15 <= told["summary"]["frames"] <= 25
    assert "secret" not in told["source"]


@pytest.mark.parametrize("address", ["ftp://host/clip.mp4", "https://host/"])
def test_what_no_video_is_to_be_had_from_is_said(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    with pytest.raises(SystemExit, match=r"is not known|names no file"):
        run(monkeypatch, address)

"""The scripts of local_test/, against a running server."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pothole.files import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from support.clips import make_clip
from support.pictures import SIZE, coded, road
from support.servers import NGINX, ROOT, Server, Start, free_port, wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 4, picture=road, size=SIZE).read_bytes()


def script(name: str, server: Server, *arguments: str | Path, **environment: str) -> tuple[int, str]:
    ended = subprocess.run(
        [ROOT / "local_test" / name, *arguments],
        env=os.environ | {"PORT": str(server.port)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout


def test_ping_sh_asks_the_server(server: Server) -> None:
    code, said = script("ping.sh", server)
    assert code == 0
    assert said.startswith("HTTP 200\n")


def test_ping_sh_fails_when_nobody_answers(server: Server) -> None:
    assert script("ping.sh", server, PORT="9")[0] != 0


def test_predict_sh_sends_the_payload_that_it_is_given(
    server: Server, s3: "S3Client", bucket: str, clip: bytes, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="mine.mp4", Body=clip)
    payload = tmp_path / "my payload.json"
    payload.write_text(json.dumps({"input": {"s3_bucket": bucket, "s3_source_filename": "mine.mp4"}}))
    code, said = script("predict.sh", server, payload)
    assert code == 0
    assert f"s3://{bucket}/mine_output.mp4" in said


def test_predict_sh_needs_no_aws_by_default(server: Server) -> None:
    code, said = script("predict.sh", server)
    assert code == 0
    assert '"image":{"width":960,"height":540}' in said


def test_predict_sh_fails_with_the_server(server: Server) -> None:
    code, said = script("predict.sh", server, ROOT / "local_test" / "input.json")
    assert code != 0
    assert said.startswith("HTTP 404\n")
    assert "s3://my-bucket/road/clip.mp4" in said


def test_predict_sh_sends_pictures_and_videos_as_what_they_are(
    server: Server, clip: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a [1].PNG").write_bytes(coded(road()))
    code, said = script("predict.sh", server, tmp_path / "a [1].PNG")
    assert code == 0
    assert '"label":"pothole"' in said

    (tmp_path / "clip of tests.mp4").write_bytes(clip)
    code, said = script("predict.sh", server, tmp_path / "clip of tests.mp4")
    assert code == 0
    marked = Path(said.splitlines()[-1])
    assert marked.name == "clip of tests_output.mp4"
    assert marked.read_bytes()[4:8] == b"ftyp"
    marked.unlink()


def test_predict_sh_knows_every_kind_of_picture_and_video() -> None:
    text = (ROOT / "local_test" / "predict.sh").read_text()
    kinds = re.findall(r"^ +([a-z0-9 |]+)\) type=", text, re.MULTILINE)
    known = {word for kind in kinds for word in kind.split(" | ")}
    assert {f".{word}" for word in known} == {*PICTURE_SUFFIXES, *VIDEO_SUFFIXES, ".json"}


def test_fault_the_scripts_opened_one_port_and_posted_to_another(aws: str, server: Server) -> None:
    texts = [(ROOT / "local_test" / f"{name}.sh").read_text() for name in ("serve_local", "ping", "predict")]
    assert [re.findall(r"\$\{PORT:-(\d+)\}", text) for text in texts] == [["8080"]] * 3


@pytest.mark.slow
def test_serve_local_sh_opens_the_port_that_ping_sh_asks(start: Start, server: Server) -> None:
    port = str(free_port())
    with subprocess.Popen(
        [ROOT / "local_test" / "serve_local.sh"],
        env=os.environ | {"PORT": port},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/nothing", process, status=404)
            assert script("ping.sh", server, PORT=port)[1].startswith("HTTP ")
        finally:
            process.terminate()
            process.wait(30)
    assert not list((ROOT / "local_test" / "test_dir" / "tmp").iterdir())

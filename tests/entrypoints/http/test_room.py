"""Bodies and the disk: nginx writes them down, so that it has to ask before, and to say when it could not."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from support.clips import make_clip
from support.server_requests import SIZE, job, road, send_picture
from support.servers import NGINX, Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def answer_to_headers(port: int, kind: str, length: int) -> tuple[int, dict[str, dict[str, str]]]:
    """Send the headers of a request and nothing of its body; return what is answered to them."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = "POST /invocations HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {length}"
        connection.sendall("".join(f"{line}\r\n" for line in (*head, "")).encode())
        answer = b""
        while not answer.endswith(b"}}"):
            received = connection.recv(4096)
            assert received, answer
            answer += received
    lines, _, body = answer.partition(b"\r\n\r\n")
    return int(lines.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("kind", "length"), [("video/mp4", 2**33), ("image/png", 2**20), ("application/json", 9)]
)
def test_a_body_that_there_is_no_room_for_is_refused_before_it_is_sent(
    start: Start, kind: str, length: int
) -> None:
    server = start(MIN_FREE_BYTES=str(2**60))
    status, said = answer_to_headers(server.port, kind, length)
    assert status == HTTPStatus.INSUFFICIENT_STORAGE
    assert said["error"]["code"] == "disk_full"


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "image/png"])
def test_a_body_that_is_no_video_is_not_taken_for_one(start: Start, kind: str) -> None:
    status, said = answer_to_headers(start().port, kind, 2**32)
    assert status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert said["error"]["code"] == "too_large"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=1777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("disks can be mounted by root alone")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_in_the_middle_of_a_body_is_a_507(start: Start, small_disk: Path) -> None:
    server = start(TMPDIR=str(small_disk), MIN_FREE_BYTES="1")

    def pieces() -> Iterator[bytes]:  # of a length that nobody tells
        for _ in range(32):
            yield bytes(2**20)

    response = requests.post(
        f"{server.url}/invocations", data=pieces(), headers={"Content-Type": "video/mp4"}, timeout=60
    )
    assert response.status_code == HTTPStatus.INSUFFICIENT_STORAGE
    assert response.json()["error"]["code"] == "disk_full"
    assert response.headers["Retry-After"]
    assert requests.get(f"{server.url}/ping", timeout=5).status_code == HTTPStatus.OK


def test_what_is_above_the_places_of_the_server_is_turned_away_without_asking_it(
    start: Start, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "c.mp4", 1, size=SIZE, picture=road).read_bytes()
    server = start(
        application="support.slow_wsgi:app", MODEL_SERVER_THREADS="1", MAX_JOBS="1", MAX_QUEUED_JOBS="1"
    )
    for key in ("a.mp4", "b.mp4"):
        s3.put_object(Bucket=bucket, Key=key, Body=clip)
    jobs = [threading.Thread(target=job, args=(server, bucket, key)) for key in ("a.mp4", "b.mp4")]
    picture = threading.Thread(target=send_picture, args=(server,))
    for thread in (*jobs, picture):
        thread.start()
    while "pothole_jobs_queued 1.0" not in requests.get(f"{server.url}/metrics", timeout=5).text:
        time.sleep(0.02)
    bad = requests.post(
        f"{server.url}/invocations", data=b"{", headers={"Content-Type": "application/json"}, timeout=9
    )
    assert bad.status_code == HTTPStatus.TOO_MANY_REQUESTS, "the server was asked"
    for thread in (*jobs, picture):
        thread.join()

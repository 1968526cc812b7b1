"""Many clients at once, and one for long; `make load` and `make soak` are large."""

import logging
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from pothole.files import MIB
from roads.__main__ import main as render_road
from support.clips import make_clip
from support.faulty_proxy import FaultyProxy
from support.jobs import ask, metric
from support.pictures import SIZE, coded, road
from support.servers import Server, Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLIENTS = int(os.environ.get("CLIENTS", "20"))
LOAD_SECONDS = int(os.environ.get("LOAD_SECONDS", "3"))
SOAK_SECONDS = int(os.environ.get("SOAK_SECONDS", "3"))
LONGEST_PING_S = float(os.environ.get("LONGEST_PING", "2"))
LEAVING = 48  # twice as many as hold all threads
figures = logging.getLogger("figures")


class Client(threading.Thread):
    """Sends one kind of request after the other, and keeps what came of it.

    Attributes:
        seconds: How long each answer took.
        statuses: How often each status came.
    """

    def __init__(self, server: Server, until: float, picture: bytes | None) -> None:
        super().__init__()
        self._url, self._until, self._picture = server.url, until, picture
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()

    def run(self) -> None:
        session = requests.Session()
        while time.monotonic() < self._until:
            began = time.monotonic()
            if self._picture is None:
                answer = session.get(f"{self._url}/ping", timeout=30)
            else:
                answer = session.post(
                    f"{self._url}/invocations",
                    data=self._picture,
                    headers={"Content-Type": "image/png"},
                    timeout=30,
                )
            self.seconds.append(time.monotonic() - began)
            self.statuses[answer.status_code] += 1
            if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                assert answer.headers["Retry-After"]
            time.sleep(0.5)  # clients that do not wait measure themselves alone


@pytest.mark.timeout(3600)
def test_pings_and_pictures_are_answered_while_a_video_is_worked_on(
    start: Start, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 250, size=SIZE, picture=road, codec="mpeg4").read_bytes()
    server = start(application="support.patient_wsgi:app", MODEL_SERVER_STOP_TIMEOUT="6")
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=clip)
    enough = time.monotonic() + LOAD_SECONDS
    assert ask(server, bucket, "clip.mp4", wait=False).status_code == HTTPStatus.ACCEPTED
    pings = [Client(server, enough, None) for _ in range(CLIENTS // 2)]
    pictures = [Client(server, enough, coded(road())) for _ in range(CLIENTS - len(pings))]
    for client in (*pings, *pictures):
        client.start()
    for client in (*pings, *pictures):
        client.join()
    assert metric(server, "pothole_frames_total") > 0, "the video starved"
    statuses = sum((client.statuses for client in pictures), Counter())
    assert set(sum((client.statuses for client in pings), Counter())) == {HTTPStatus.OK}
    assert set(statuses) <= {HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS}
    assert statuses[HTTPStatus.OK] > 0, "the pictures starved"
    half, most, longest = np.percentile([s for client in pings for s in client.seconds], [50, 99, 100])
    figures.info(
        "%d clients, %d s: pings %d, median %.0f ms, p99 %.0f ms, longest %.0f ms; pictures %s",
        CLIENTS,
        LOAD_SECONDS,
        sum(len(client.seconds) for client in pings),
        1000 * half,
        1000 * most,
        1000 * longest,
        dict(statuses),
    )
    assert most < LONGEST_PING_S


@pytest.mark.timeout(600)
def test_ping_is_answered_while_s3_is_silent_and_clients_leave(start: Start, aws: str, bucket: str) -> None:
    with FaultyProxy(aws, 0) as proxy:
        server = start(AWS_ENDPOINT_URL_S3=proxy.url, MODEL_SERVER_STOP_TIMEOUT="6")
        proxy.fail(1, "silence")

        def ask_and_leave(number: int) -> None:
            with suppress(requests.Timeout):
                body = {"input": {"s3_bucket": bucket, "s3_source_filename": f"{number}.mp4"}}
                requests.post(f"{server.url}/invocations", json=body, timeout=0.5)

        with ThreadPoolExecutor(LEAVING) as pool:
            list(pool.map(ask_and_leave, range(LEAVING)))
            until, seconds, statuses = time.monotonic() + LOAD_SECONDS, [], Counter[int]()
            asking = pool.submit(lambda: [ask_and_leave(n) for n in range(LOAD_SECONDS)])
            while time.monotonic() < until:
                began = time.monotonic()
                statuses[requests.get(f"{server.url}/ping", timeout=30).status_code] += 1
                seconds.append(time.monotonic() - began)
                time.sleep(0.02)
            asking.result()
    half, most, longest = np.percentile(seconds, [50, 99, 100])
    figures.info(
        "S3 silent, %d clients gone: pings %d, median %.0f ms, p99 %.0f ms, longest %.0f ms",
        LEAVING,
        len(seconds),
        1000 * half,
        1000 * most,
        1000 * longest,
    )
    assert set(statuses) == {HTTPStatus.OK}
    assert most < LONGEST_PING_S


@pytest.mark.timeout(3 * 3600)
def test_memory_and_open_files_stay_as_they_are(
    start: Start, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    """The shipped model, a road with potholes in two segments, and pictures of ever other sizes."""
    film = tmp_path / "clip.mp4"
    render_road(["video", str(film), "--frames", "48", "--size", "640x360", "--potholes", "4", "--sound"])
    clip, picture = film.read_bytes(), first_picture(film)
    server = start(application="pothole.entrypoints.http.wsgi:app", SEGMENT_SECONDS="1")
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=clip)
    rng = np.random.default_rng(0)
    samples: list[tuple[float, float]] = []
    began, rounds = time.monotonic(), 0
    while time.monotonic() - began < SOAK_SECONDS:
        assert ask(server, bucket, "clip.mp4", output_prefix=str(rounds)).status_code == HTTPStatus.OK
        assert ask(server, bucket, "missing.mp4").status_code == HTTPStatus.NOT_FOUND
        sized = coded(cv2.resize(picture, tuple(rng.integers(64, 1400, 2).tolist())), "JPEG")
        for data, kind, status in (
            (sized, "image/jpeg", HTTPStatus.OK),
            (clip, "video/mp4", HTTPStatus.OK),
            (b"no picture", "image/png", HTTPStatus.UNPROCESSABLE_ENTITY),
        ):
            answer = requests.post(
                f"{server.url}/invocations", data=data, headers={"Content-Type": kind}, timeout=60
            )
            assert answer.status_code == status
        rounds += 1
        samples.append((metric(server, "process_resident_memory_bytes"), metric(server, "process_open_fds")))
        for key in (f"{rounds - 1}/clip_output.mp4", f"{rounds - 1}/clip_output.json"):
            s3.delete_object(Bucket=bucket, Key=key)  # or the emulator, not the server, would grow
    memory = np.array([sample[0] for sample in samples]) / MIB
    files = [sample[1] for sample in samples]
    settled = len(samples) // 3
    figures.info(
        "%d rounds in %d s: memory %s MiB at each sixth, open files %d to %d",
        rounds,
        SOAK_SECONDS,
        " ".join(f"{part:.0f}" for part in memory[np.linspace(0, len(memory) - 1, 7).astype(int)]),
        files[settled],
        files[-1],
    )
    assert memory[-1] < memory[settled] + 64
    assert files[-1] <= files[settled] + 4
    assert not list(server.temp_dir.glob("pothole-serve-*/job-*"))


def first_picture(film: Path) -> NDArray[np.uint8]:
    """Return the first frame of a video, RGB."""
    with av.open(str(film)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")

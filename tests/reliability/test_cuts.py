"""A worker that is cut off from S3, or stopped, for longer than its lease; `make chaos` does it 300 times."""

import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from support.clips import make_clip
from support.faulty_proxy import FaultyProxy
from support.jobs import ask, content, keys, metric
from support.pictures import SIZE, road
from support.servers import Server, Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CUTS = int(os.environ.get("CUTS", "4"))
AT_ONCE = 4  # jobs that one cut hits
# Folders are used again, or no worker could meet what it or another one has made of the same video before.
FOLDERS = 3 * AT_ONCE
LEASE_S = 1
SUFFIXES = "json", "mp4"
figures = logging.getLogger("figures")


@contextmanager
def cut_off(server: Server, proxy: FaultyProxy) -> Iterator[None]:
    """Let no call to S3 through."""
    proxy.fail(1)
    try:
        yield
    finally:
        proxy.fail(0)


@contextmanager
def stopped(server: Server, proxy: FaultyProxy) -> Iterator[None]:
    """Stop the worker where it is, as a machine that is suspended or swaps does."""
    [worker] = server.children(of=server.children()["gunicorn"]).values()
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def outputs(s3: "S3Client", bucket: str, folder: str) -> tuple[bytes, ...]:
    """Return the outputs, as if the video lay in a folder of one name."""
    made = (content(s3, bucket, f"{folder}/clip_output.{suffix}") for suffix in SUFFIXES)
    return tuple(data.replace(f"/{folder}/".encode(), b"/folder/") for data in made)


def until(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.05)


def is_done(server: Server, bucket: str, key: str, short_labels: bool) -> bool:
    answer = ask(server, bucket, key, wait=False, short_labels=short_labels)
    assert answer.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS}, (
        answer.text
    )
    return answer.status_code == HTTPStatus.OK


def ask_without_waiting(server: Server, bucket: str, key: str, short_labels: bool) -> None:
    with suppress(requests.ConnectionError):
        ask(server, bucket, key, wait=False, short_labels=short_labels)


@pytest.mark.timeout(7200)
def test_a_worker_that_was_cut_off_mixes_no_outputs(
    start: Start, s3: "S3Client", aws: str, bucket: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 12, 10, SIZE, audio="aac", picture=road).read_bytes()
    common = {"LEASE_SECONDS": str(LEASE_S), "MAX_JOBS": str(AT_ONCE), "MAX_QUEUED_JOBS": "99"}
    dice, seen, cuts = random.Random(int(os.environ.get("SEED", "1"))), Counter[str](), 0
    with FaultyProxy(aws, 0) as proxy:
        first = start(**common, AWS_ENDPOINT_URL_S3=proxy.url, S3_TIMEOUT_SECONDS="1")
        second = start(**common, AWS_ENDPOINT_URL_S3=aws)
        whole = []
        for short_labels in (False, True):
            s3.put_object(Bucket=bucket, Key=f"whole{short_labels}/clip.mp4", Body=clip)
            key = f"whole{short_labels}/clip.mp4"
            assert ask(second, bucket, key, short_labels=short_labels).status_code == HTTPStatus.OK
            whole.append(outputs(s3, bucket, f"whole{short_labels}"))
        assert whole[0][0] != whole[1][0] and whole[0][1] != whole[1][1]
        there: dict[str, bool] = {}  # the settings of the outputs that lie in a folder
        while cuts < CUTS:
            folders = [str((cuts + i) % FOLDERS) for i in range(AT_ONCE)]
            others = {folder: dice.random() < 0.5 for folder in folders}  # the settings of the second
            for folder in folders:
                s3.put_object(Bucket=bucket, Key=f"{folder}/clip.mp4", Body=clip)
                ask_without_waiting(first, bucket, f"{folder}/clip.mp4", not there.get(folder, True))
            time.sleep(dice.uniform(0, 1))
            trouble = dice.choice([cut_off, stopped])
            with trouble(first, proxy):
                time.sleep(LEASE_S + dice.uniform(0, 1))
                for folder in folders:
                    ask(second, bucket, f"{folder}/clip.mp4", wait=False, short_labels=others[folder])
                time.sleep(dice.uniform(0, 1))
            for folder in folders:
                key = f"{folder}/clip.mp4"
                until(lambda key=key, other=others[folder]: is_done(second, bucket, key, other))  # type: ignore[misc]
            until(lambda: metric(first, "pothole_jobs_running") == 0)
            for folder in folders:
                made = outputs(s3, bucket, folder)
                assert made in whole, f"{folder}: the outputs are of no one job, after {trouble.__name__}"
                again = folder in there and there[folder] == others[folder]
                there[folder] = bool(whole.index(made))
                seen[f"{trouble.__name__}, {'there before' if again else 'new'}"] += 1
            cuts += AT_ONCE
    assert not [key for key in keys(s3, bucket) if "/segments/" in key]
    figures.info("%d jobs cut off: %s", cuts, dict(seen))

"""One event that comes many times, to several servers at once; `make chaos` repeats it."""

import logging
import os
import random
import threading
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from support.clips import make_clip
from support.jobs import all_records, ask, metric
from support.pictures import SIZE, road
from support.servers import Start

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROUNDS = int(os.environ.get("ROUNDS", "1"))
DUPLICATES = 20
FRAMES = 8
figures = logging.getLogger("figures")


@pytest.mark.timeout(3600)
def test_of_twenty_duplicates_over_two_servers_one_is_worked_on_and_all_are_answered(
    start: Start, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", FRAMES, size=SIZE, picture=road).read_bytes()
    # Each takes a place in the queue for the moment in which it learns that it is a duplicate.
    queue = {"application": "support.patient_wsgi:app", "MAX_QUEUED_JOBS": str(DUPLICATES)}
    servers = [start(**queue) for _ in range(2)]
    statuses: Counter[int] = Counter()
    for number in range(ROUNDS):
        key = f"{number}/a b+ü.mp4"
        s3.put_object(Bucket=bucket, Key=key, Body=clip)
        answers: list[requests.Response] = []
        spellings = [key, f"/{key}"] * (DUPLICATES // 2)
        random.shuffle(spellings)

        def send(place: int, spelling: str, together: threading.Barrier, to: list[requests.Response]) -> None:
            together.wait()
            to.append(ask(servers[place % 2], bucket, spelling))

        together = threading.Barrier(DUPLICATES)
        threads = [
            threading.Thread(target=send, args=(place, spelling, together, answers))
            for place, spelling in enumerate(spellings)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in answers} <= {HTTPStatus.OK, HTTPStatus.ACCEPTED}
        [_] = {answer.json()["job"]["id"] for answer in answers}
        statuses.update(answer.status_code for answer in answers)
        for server in servers:
            done = ask(server, bucket, key)
            assert done.status_code == HTTPStatus.OK
            assert done.json()["output"][0] == f"s3://{bucket}/{number}/a b+ü_output.mp4"
    assert sum(metric(server, "pothole_frames_total") for server in servers) == ROUNDS * FRAMES
    assert {(record["state"], record["attempt"]) for record in all_records(s3, bucket)} == {("done", 1)}
    figures.info("%d times %d duplicates, each worked on once; %s", ROUNDS, DUPLICATES, dict(statuses))

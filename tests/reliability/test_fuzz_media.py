"""Damaged pictures and videos; `make fuzz` sends thousands."""

import logging
import os
import random
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
import requests

from pothole.media.picture import FORMATS
from support.clips import make_clip
from support.heic import heic
from support.jobs import metric
from support.pictures import SIZE, coded, road
from support.servers import Server

INPUTS = int(os.environ.get("INPUTS", "72"))
# Media type, codec of pictures, codec of sound.
VIDEOS = {
    "mp4": ("video/mp4", "libx264", "aac"),
    "mov": ("video/quicktime", "libx264", "pcm_s16le"),
    "mkv": ("video/x-matroska", "libx264", "aac"),
    "webm": ("video/webm", "libvpx-vp9", "libopus"),
    "avi": ("video/x-msvideo", "mpeg4", "mp2"),
    "ts": ("video/mp2t", "libx264", "mp2"),
    "mts": ("video/mp2t", "libx264", "ac3"),
    "mpeg": ("video/mpeg", "mpeg2video", "mp2"),
    "flv": ("video/x-flv", "flv", "libmp3lame"),
    "wmv": ("video/x-ms-wmv", "wmv2", "wmav2"),
    "3gp": ("video/3gpp", "mpeg4", "aac"),
}
EXPECTED = {
    HTTPStatus.OK,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
RESIDENT, FILES = "process_resident_memory_bytes", "process_open_fds"
figures = logging.getLogger("figures")


def flip(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 20)):
        data[dice.randrange(len(data))] = dice.randrange(256)


def cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def drop(data: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(data))
    del data[start : start + dice.randint(1, 200)]


def double(data: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(data))
    data[start:start] = data[start : start + dice.randint(1, 2000)]


def overwrite_length(data: bytearray, dice: random.Random) -> None:
    """Put an extreme number where one of a header's may be."""
    start = dice.randrange(min(len(data), 2000))
    data[start : start + 4] = dice.choice(
        [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x01"]
    )


def splice(data: bytearray, dice: random.Random) -> None:
    half = len(data) // 2
    data[half:], data[:half] = data[:half], data[half:]


CHANGES: list[Callable[[bytearray, random.Random], None]] = [
    flip,
    flip,
    cut,
    drop,
    double,
    overwrite_length,
    overwrite_length,
    splice,
]


def damaged(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        if changed:
            dice.choice(CHANGES)(changed, dice)
    return bytes(changed)


def worker_of(server: Server) -> int:
    [worker] = server.children(of=server.children()["gunicorn"]).values()
    return worker


@pytest.mark.timeout(7200)
def test_damaged_media_crash_nothing_leave_nothing_and_cost_no_memory(server: Server, tmp_path: Path) -> None:
    seeds = [(coded(road(), format), kind) for kind, format in FORMATS.items()]
    seeds.append((heic(road()), "image/heic"))
    for suffix, (kind, codec, audio) in VIDEOS.items():
        clip = make_clip(
            tmp_path / f"clip.{suffix}", 4, rate=25, size=SIZE, picture=road, codec=codec, audio=audio
        )
        seeds.append((clip.read_bytes(), kind))
    worker, log_before = worker_of(server), server.log.stat().st_size
    dice = random.Random(int(os.environ.get("SEED", "1")))
    session, statuses = requests.Session(), Counter[int]()
    memory: list[tuple[float, float]] = []
    for number in range(INPUTS):
        data, kind = seeds[number % len(seeds)]
        sent = damaged(data, dice)
        answer = session.post(
            f"{server.url}/invocations", data=sent, headers={"Content-Type": kind}, timeout=60
        )
        statuses[answer.status_code] += 1
        if answer.status_code not in EXPECTED or (answer.status_code >= 400 and not answer.json()["error"]):
            (Path(os.environ.get("CRASHES", tmp_path)) / f"{number}.{kind.partition('/')[2]}").write_bytes(
                sent
            )
            pytest.fail(f"input {number} of {kind}: {answer.status_code} {answer.text}")
        if number % max(1, INPUTS // 20) == 0:
            memory.append((metric(server, RESIDENT), metric(server, FILES)))
    assert worker_of(server) == worker, "the worker died"
    left = [path for path in server.temp_dir.glob("pothole-serve-*/*-*") if path.is_dir()]
    assert not left
    assert "unexpected error" not in server.log.read_text()[log_before:]
    (settled, files), (at_end, files_at_end) = memory[len(memory) // 2], memory[-1]
    figures.info("memory in MiB: %s", [round(resident / 2**20) for resident, _ in memory])
    figures.info(
        "%d inputs: %s; memory %.0f to %.0f MiB, files %d to %d",
        INPUTS,
        dict(statuses),
        settled / 2**20,
        at_end / 2**20,
        files,
        files_at_end,
    )
    assert at_end < settled + 64 * 2**20
    assert files_at_end <= files + 2

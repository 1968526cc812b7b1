"""Streams read from a server that speaks as Kinesis Video does, boto3 as its client, whatever goes wrong."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from kinesis_video import KinesisVideo
from live_fragments import Group, groups_of
from pothole.entrypoints.stream import reader as reader_module
from pothole.entrypoints.stream.fragments import split
from pothole.entrypoints.stream.live_stream import Part
from pothole.entrypoints.stream.reader import StreamReader
from pothole.errors import InvalidMedia
from support.clips import make_clip


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[KinesisVideo]:
    monkeypatch.setattr(reader_module, "FIRST_WAIT_S", 0.02)
    with KinesisVideo(idle_s=2, stall_s=0.5) as service:
        service.create("road")
        yield service


@pytest.fixture
def read(service: KinesisVideo) -> Iterator[Callable[..., Iterator[Part]]]:
    """Reads the stream from its oldest fragment, or after one."""
    session = boto3.session.Session("test", "test", region_name="us-east-1")

    def client(name: str, endpoint_url: str = service.url, **options: Any) -> Any:
        return session.client(name, endpoint_url=endpoint_url, **options)

    stopped = threading.Event()
    reader = StreamReader(client, 10**8)
    yield partial(reader, "road", stopped=stopped)
    stopped.set()


@pytest.fixture
def clip(tmp_path: Path) -> list[Group]:
    """Five groups of two pictures, whose brightness tells their numbers."""

    def picture(number: int) -> Any:
        return np.full((96, 160, 3), 20 * number + 20, np.uint8)

    path = make_clip(tmp_path / "clip.mp4", 10, size=(160, 96), picture=picture)
    return list(groups_of(path, 2 / 30))


def fill(service: KinesisVideo, groups: list[Group], times: int = 1) -> list[str]:
    """Stream groups, and return the numbers of their fragments."""
    before = len(service.fragments("road"))
    service.produce("road", groups, speed=1000, rounds=times).join()
    return service.fragments("road")[before:]


def brightness(part: Part) -> list[int]:
    return [round(make().image.mean() / 20) - 1 for make in part.pictures]


def test_fragments_come_with_their_numbers_times_and_i_frames(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: list[Group]
) -> None:
    numbers = fill(service, clip)
    found = [(part.number, brightness(part)) for part in islice(read(after="0"), 5)]
    assert found == list(zip(numbers, [[0], [2], [4], [6], [8]], strict=True))


def test_a_new_stream_begins_now_and_one_with_a_checkpoint_behind_it(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: list[Group]
) -> None:
    numbers = fill(service, clip)
    assert [part.number for part in islice(read(after=numbers[2]), 2)] == numbers[3:]
    later = read(after=None)
    threading.Timer(0.3, lambda: fill(service, clip)).start()
    assert next(later).number > numbers[-1]


@pytest.mark.parametrize("fault", ["cut", "stall", "error:5000", "throttle", "down"])
def test_whatever_breaks_off_goes_on_with_no_fragment_lost_or_twice(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: list[Group], fault: str
) -> None:
    numbers = fill(service, clip, times=4)
    parts = read(after=numbers[0])
    service.fault("road", "cut")
    service.fault("road", fault)
    service.fault("road", fault)
    assert [next(parts).number for _ in numbers[1:]] == numbers[1:]


@pytest.mark.parametrize("fault", ["cut", "throttle", "down"])
def test_a_new_stream_that_breaks_off_at_once_still_begins_when_it_was_asked_for(
    service: KinesisVideo,
    read: Callable[..., Iterator[Part]],
    clip: list[Group],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes in while the call is made anew is not passed over."""
    monkeypatch.setattr(reader_module, "FIRST_WAIT_S", 0.8)
    numbers: list[str] = []
    service.fault("road", fault)
    for wait_s in (0.3, 1.5):
        threading.Timer(wait_s, lambda: numbers.extend(fill(service, clip))).start()
    first = next(read(after=None)).number
    assert first == numbers[0]


@pytest.mark.parametrize("error", [3002, 4500, 4506, 5000])
def test_an_error_in_a_fragments_place_is_told_and_asked_again(
    service: KinesisVideo,
    read: Callable[..., Iterator[Part]],
    clip: list[Group],
    error: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    numbers = fill(service, clip)
    service.fault("road", f"error:{error}")
    assert next(read(after=numbers[0])).number == numbers[1]
    assert f"the service tells the error {error}" in str([vars(record) for record in caplog.records])


def test_a_checkpoint_that_is_too_old_leads_to_the_oldest_fragment(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: list[Group]
) -> None:
    numbers = fill(service, clip)
    assert next(read(after="1")).number == numbers[0]


def test_a_producer_that_starts_anew_with_other_pictures_is_read_on(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: list[Group], tmp_path: Path
) -> None:
    """Its timecodes fall back to 0, and its codec's private data are others, of H.265 even."""
    numbers = fill(service, clip)
    other = make_clip(tmp_path / "other.mp4", 2, size=(192, 128))
    last = fill(service, list(groups_of(other, 1, "libx265")))
    found = [
        (part.number, [make().image.shape for make in part.pictures])
        for part in islice(read(after=numbers[3]), 2)
    ]
    assert found == [(numbers[4], [(96, 160, 3)]), (last[0], [(128, 192, 3)])]


def test_a_silent_stream_can_be_left_at_once(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: list[Group]
) -> None:
    stopped = threading.Event()
    parts = read.func("road", None, stopped)  # type: ignore[attr-defined]
    threading.Timer(0.2, stopped.set).start()
    assert list(parts) == []


def test_what_is_no_matroska_is_refused_and_what_is_cut_makes_no_fragment(
    service: KinesisVideo, clip: list[Group]
) -> None:
    class Source:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, size: int) -> bytes:
            found, self.data = self.data[:size], self.data[size:]
            return found

    fill(service, clip)
    whole = service._streams["road"].fragments[0].document(0)
    assert [len(fragment.data) for fragment in split(Source(whole))] == [len(whole)]
    for end in range(1, len(whole), 97):
        assert sum(1 for _ in split(Source(whole[:end]))) <= 1
    with pytest.raises(InvalidMedia, match="no Matroska"):
        list(split(Source(b"\x42\x86\x81\x01" * 20)))

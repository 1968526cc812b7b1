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

from pothole.entrypoints.stream import reader as reader_module
from pothole.entrypoints.stream.fragments import split
from pothole.entrypoints.stream.live_stream import Part
from pothole.entrypoints.stream.reader import StreamReader
from pothole.errors import InvalidMedia
from support.clips import make_clip
from support.video_streams import KinesisVideo, groups


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[KinesisVideo]:
    monkeypatch.setattr(reader_module, "FIRST_WAIT_S", 0.02)
    with KinesisVideo() as service:
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
def clip(tmp_path: Path) -> Path:
    """Ten frames whose brightness tells their number, an I-frame every second one."""

    def picture(number: int) -> Any:
        return np.full((96, 160, 3), 20 * number + 20, np.uint8)

    return make_clip(
        tmp_path / "clip.mp4", 10, size=(160, 96), picture=picture, options={"g": "2", "bf": "0"}
    )


def fill(service: KinesisVideo, clip: Path, times: int = 1) -> list[str]:
    return [service.put("road", group) for _ in range(times) for group in groups(clip)]


def brightness(part: Part) -> list[int]:
    return [round(make().image.mean() / 20) - 1 for make in part.pictures]


def test_fragments_come_with_their_numbers_times_and_i_frames(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: Path
) -> None:
    numbers = fill(service, clip)
    service.faults.forgotten = True  # so that it begins with the oldest
    found = [(part.number, brightness(part)) for part in islice(read(after="0"), 5)]
    assert found == list(zip(numbers, [[0], [2], [4], [6], [8]], strict=True))


def test_a_new_stream_begins_now_and_one_with_a_checkpoint_behind_it(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: Path
) -> None:
    numbers = fill(service, clip)
    assert [part.number for part in islice(read(after=numbers[2]), 2)] == numbers[3:]
    later = read(after=None)
    threading.Timer(0.3, lambda: fill(service, clip)).start()
    assert next(later).number > numbers[-1]


@pytest.mark.parametrize("fault", ["cut", "error", "throttled"])
def test_whatever_breaks_off_goes_on_with_no_fragment_lost_or_twice(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: Path, fault: str
) -> None:
    numbers = fill(service, clip, times=4)
    if fault == "cut":
        service.faults.cut_after = 3000
    parts = read(after=numbers[0])
    found = [next(parts).number for _ in range(3)]
    if fault == "error":
        service.faults.error = 5000
    if fault == "throttled":
        service.faults.throttled = 3
    found += [next(parts).number for _ in range(len(numbers) - 1 - len(found))]
    assert found == numbers[1:]
    if fault == "cut":
        asked = [call for name, call in service.calls if name == "getMedia"]
        assert len(asked) > 3
        assert all("AfterFragmentNumber" in call["StartSelector"] for call in asked)


@pytest.mark.parametrize("error", [3002, 4500, 4506, 5000])
def test_an_error_in_a_fragments_place_is_told_and_asked_again(
    service: KinesisVideo,
    read: Callable[..., Iterator[Part]],
    clip: Path,
    error: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    numbers = fill(service, clip)
    service.faults.error = error
    assert next(read(after=numbers[0])).number == numbers[1]
    assert f"the service tells the error {error}" in str([vars(record) for record in caplog.records])


def test_a_checkpoint_that_is_too_old_leads_to_the_oldest_fragment(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: Path
) -> None:
    numbers = fill(service, clip)
    assert next(read(after="1")).number == numbers[0]


def test_a_producer_that_starts_anew_with_other_pictures_is_read_on(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: Path, tmp_path: Path
) -> None:
    """Its timecodes fall back to 0, and its codec's private data are others, of H.265 even."""
    numbers = fill(service, clip)
    other = make_clip(tmp_path / "other.mp4", 2, codec="libx265", size=(192, 128))
    last = [service.put("road", group) for group in groups(other)]
    found = [
        (part.number, [make().image.shape for make in part.pictures])
        for part in islice(read(after=numbers[3]), 2)
    ]
    assert found == [(numbers[4], [(96, 160, 3)]), (last[0], [(128, 192, 3)])]


def test_a_silent_stream_can_be_left_at_once(
    service: KinesisVideo, read: Callable[..., Iterator[Part]], clip: Path
) -> None:
    stopped = threading.Event()
    parts = read.func("road", None, stopped)  # type: ignore[attr-defined]
    threading.Timer(0.2, stopped.set).start()
    assert list(parts) == []


def test_what_is_no_matroska_is_refused_and_what_is_cut_makes_no_fragment(
    service: KinesisVideo, clip: Path
) -> None:
    class Source:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, size: int) -> bytes:
            found, self.data = self.data[:size], self.data[size:]
            return found

    fill(service, clip)
    whole = service._streams["road"].fragments[0].document
    assert [len(fragment.data) for fragment in split(Source(whole))] == [len(whole)]
    for end in range(1, len(whole), 97):
        assert sum(1 for _ in split(Source(whole[:end]))) <= 1
    with pytest.raises(InvalidMedia, match="no Matroska"):
        list(split(Source(b"\x42\x86\x81\x01" * 20)))

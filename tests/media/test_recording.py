"""Live streams, recorded from a camera that speaks RTSP over a real socket."""

import re
from pathlib import Path

import pytest

from pothole.errors import InvalidMedia, StorageUnavailable, TooLarge
from pothole.jobs.addresses import opener
from pothole.media import Video, recording
from pothole.media.recording import record
from pothole.settings import Settings
from pothole.storage.web import ReadOnly
from support.clips import make_clip
from support.pictures import SIZE, road
from support.rtsp_camera import camera


def test_a_stream_is_recorded_for_as_long_as_asked(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 30, rate=10, size=SIZE, picture=road)
    with camera(clip, speed=4) as address:
        record(address, tmp_path / "r.mkv", 5.0, 2**30)
    with Video.open(tmp_path / "r.mkv") as video:
        times = [float(frame.time) for frame in video.frames()]
    assert times[0] == 0
    assert 4.7 <= times[-1] <= 5.3, "to the order of coding, which is another than that of showing"
    assert 48 <= len(times) <= 53


def test_nobody_at_an_address_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="The stream does not answer: connection refused"):
        record("rtsp://127.0.0.1:9/front", tmp_path / "r.mkv", 1.0, 2**30)
    assert not (tmp_path / "r.mkv").exists()


@pytest.mark.parametrize("fault", [{"has_keys": False}, {"is_still": True}])
def test_a_stream_that_never_comes_to_an_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: dict[str, bool]
) -> None:
    monkeypatch.setattr(recording, "LATE_S", 2.0)
    clip = make_clip(tmp_path / "clip.mp4", 30, rate=10, size=SIZE, picture=road)
    with (
        camera(clip, speed=4, **fault) as address,
        pytest.raises(InvalidMedia, match="The stream sent no pictures within 4 s that can be shown"),
    ):
        record(address, tmp_path / "r.mkv", 2.0, 2**30)


@pytest.mark.parametrize("fault", [{}, {"breaks_off_after": 25}])
def test_what_came_of_a_stream_that_is_too_slow_or_breaks_off_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: dict[str, int]
) -> None:
    monkeypatch.setattr(recording, "LATE_S", -19.0)  # a second of the camera's twenty has to do
    clip = make_clip(tmp_path / "clip.mp4", 30, rate=10, size=SIZE, picture=road)
    with camera(clip, speed=4, **fault) as address:
        stream = opener(Settings(), 20.0)(address)
        assert isinstance(stream, ReadOnly)
        file = stream.fetch("front-1", tmp_path, 2**30)
    with Video.open(file, remarks=(stream.remark,)) as video:
        frames = len(list(video.frames()))
        assert video.decode_warning
        assert re.match(r"The stream gave \d+ s of 20 s: it ended, broke off", video.decode_warning)
    assert 10 <= frames <= 120


def test_a_stream_that_sends_too_much_is_given_up(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 30, rate=10, size=SIZE, picture=road)
    with camera(clip, speed=4) as address, pytest.raises(TooLarge, match="more than 5000 bytes"):
        record(address, tmp_path / "r.mkv", 60.0, 5000)
    assert (tmp_path / "r.mkv").stat().st_size < 50_000

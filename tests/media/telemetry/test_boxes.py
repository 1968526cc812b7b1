"""Positions in the boxes of dashcams' videos, and in packets of CAMM."""

import random
import struct
from pathlib import Path

import pytest

from pothole.media import Video
from pothole.media.telemetry import GpsTrack
from pothole.media.telemetry.boxes import Box, blackvue_fixes, boxes, novatek_fixes
from pothole.media.telemetry.camm import is_camm, read_packet
from pothole.media.telemetry.fixes import distance
from pothole.media.telemetry.reader import track_of_video
from support.clips import make_clip
from support.telemetry import (
    START,
    box,
    camm_packet,
    drive,
    nmea,
    novatek_block,
    with_payloads,
)


def clip(folder: Path, more: bytes = b"") -> Path:
    path = make_clip(folder / "clip.mp4", 10, rate=1)
    path.write_bytes(path.read_bytes() + more)
    return path


def track(path: Path) -> GpsTrack | None:
    with Video.open(path) as video:
        return track_of_video(path, video.info)


@pytest.mark.parametrize("early", [False, True])
def test_blocks_of_novatek_are_read_a_second_each(tmp_path: Path, early: bool) -> None:
    points = drive(8)
    blocks = [novatek_block(None, early)] * 3 + [novatek_block(p, early) for p in points[3:]]
    found = track(clip(tmp_path, b"".join(box(b"free", block) for block in blocks)))
    assert found is not None
    assert (found.source, found.dropped) == ("novatek", {"no_fix": 3})
    assert found.times.tolist() == [3, 4, 5, 6, 7, 8]
    for lat, lon, point in zip(found.lat, found.lon, points[3:], strict=True):
        assert distance((lat, lon), point[1:]) < 2, "32 bits of minutes are no better"
    assert found.speed == pytest.approx(10, abs=0.01)
    assert found.heading == pytest.approx(90)


def test_a_table_says_where_the_blocks_are(tmp_path: Path) -> None:
    blocks = [b"\0\0\0\0free" + novatek_block(p) for p in drive(2)]
    start = 16
    listed = b"".join(
        (start + i * len(blocks[0])).to_bytes(4, "big") + len(blocks[0]).to_bytes(4, "big") for i in range(3)
    )
    file = tmp_path / "camera.mp4"
    data = box(b"ftyp", b"") + box(b"mdat", b"".join(blocks))
    file.write_bytes(data + box(b"moov", box(b"gps ", bytes(8) + listed)))
    assert [fix.time for fix in novatek_fixes(file)] == [0, 1, 2]


def test_text_of_nmea_in_a_block_is_read(tmp_path: Path) -> None:
    line = nmea(drive(1)).splitlines()[1].encode()
    file = tmp_path / "camera.mp4"
    file.write_bytes(box(b"free", b"freeGPS " + bytes(20) + line + b"\r\n" + bytes(30)))
    [fix] = novatek_fixes(file)
    assert fix.utc == START.timestamp()
    assert distance((fix.lat, fix.lon), drive(1)[0][1:]) < 0.02


def test_lines_of_a_blackvue_have_the_camera_s_milliseconds(tmp_path: Path) -> None:
    sentences = [line for line in nmea(drive(6)).splitlines() if "RMC" in line]
    text = "\r\n".join(f"[{1633961700000 + 1000 * i + 250}]{line}" for i, line in enumerate(sentences))
    found = track(clip(tmp_path, box(b"free", box(b"cprt", b"x") + box(b"gps ", text.encode()))))
    assert found is not None
    assert (found.source, found.times.tolist()) == ("blackvue", [0, 1, 2, 3, 4, 5, 6])
    assert found.utc[3] == START.timestamp() + 3


@pytest.mark.parametrize("full", [False, True])
def test_packets_of_camm_are_read_from_the_video(tmp_path: Path, full: bool) -> None:
    points = drive(4)
    packets = [camm_packet(point, full) for point in points]
    found = track(with_payloads(make_clip(tmp_path / "a.mp4", 8, rate=2), packets, tmp_path / "camm.mp4"))
    assert found is not None
    assert (found.source, len(found)) == ("camm", 5)
    assert distance((found.lat[2], found.lon[2]), points[2][1:]) < 0.001
    assert found.altitude[0] == pytest.approx(520.5)
    if full:
        assert found.sigma[0] == pytest.approx(1.5)
        assert found.utc[1] == pytest.approx(START.timestamp() + 1)
        assert found.heading[0] == pytest.approx(90)


def test_what_is_no_packet_of_camm_is_told_apart() -> None:
    assert not is_camm(b"DEVC" + bytes(24))
    assert not is_camm(b"\0\0\5\0" + bytes(8))
    without = read_packet(camm_packet(drive(1)[0], True, fix=0), 0.0)
    assert without is not None
    assert not without.is_valid


def test_damaged_boxes_do_not_crash(tmp_path: Path) -> None:
    rng = random.Random(4)
    file = tmp_path / "camera.mp4"
    sentences = "".join(
        f"[{1633961700000 + i}]{line}\r\n" for i, line in enumerate(nmea(drive(3)).splitlines())
    )
    whole = box(b"free", novatek_block(drive(1)[0])) + box(b"free", box(b"gps ", sentences.encode()))
    whole += box(b"moov", box(b"gps ", bytes(8) + bytes([0, 0, 0, 0, 0, 0, 1, 8])))
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 3, 10])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(bytes(data))
        for fix in (*novatek_fixes(file), *blackvue_fixes(file)):
            GpsTrack.of([(0.0, fix)], "test", "test")


def test_a_box_ends_where_the_next_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(
        struct.pack(">I4s", 12, b"ftyp") + b"isom" + struct.pack(">I4sQ", 1, b"free", 21) + b"whole" + b"junk"
    )
    with path.open("rb") as file:
        assert list(boxes(file, 0, 37)) == [Box(b"ftyp", 8, 4), Box(b"free", 28, 5)]

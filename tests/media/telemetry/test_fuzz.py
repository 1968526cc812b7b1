"""Damaged tracks: a sentence or a track without an impossible step, whatever the bytes."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from pothole.errors import InvalidMedia
from pothole.media.telemetry.fixes import MAX_DOP, can_follow, clean
from pothole.media.telemetry.gpmf import read_payload
from pothole.media.telemetry.reader import _read
from pothole.media.telemetry.track import GpsTrack
from support.telemetry import START, drive, gps5, gps9, gpx, nmea, table

MUTATIONS = 500  # of each kind

FILES = {
    "gpx": gpx(drive(12), "<hdop>1.1</hdop>").encode(),
    "nmea": nmea(drive(12)).encode(),
    "csv": table(drive(12)).encode(),
    "gps5": gps5(drive(1, rate=18), START),
    "gps9": gps9(drive(1, rate=10)),
}


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(changed))
        match rng.randrange(5):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at : at + rng.randrange(1, 40)]
            case 3:
                changed[at:at] = changed[at : at + rng.randrange(1, 60)]
            case _:
                changed[at : at + 4] = rng.choice(
                    [b"\xff\xff\xff\xff", b"\0\0\0\0", b"1e99", b"nan,", b"-9e9"]
                )
        changed = changed or bytearray(b"x")
    return bytes(changed)


@pytest.mark.parametrize("kind", FILES)
def test_damaged_tracks_neither_crash_nor_jump(tmp_path: Path, kind: str) -> None:
    rng = random.Random(kind)
    path = tmp_path / "track"
    usable = 0
    for _ in range(MUTATIONS):
        data = mutated(FILES[kind], rng)
        if kind.startswith("gps"):
            fixes = list(read_payload(data, 0.0, 1.0))
        else:
            path.write_bytes(data)
            try:
                _, fixes = _read(path, "track")
            except InvalidMedia:
                continue
        times = [fix.time if fix.time is not None else fix.utc for fix in fixes]
        kept, _ = clean([(t, fix) for t, fix in zip(times, fixes, strict=True) if t is not None])
        assert all(a[0] < b[0] and can_follow(a, b) for a, b in pairwise(kept))
        assert all(fix.dop is None or 0 < fix.dop <= MAX_DOP for _, fix in kept)
        track = GpsTrack.of(kept, kind, "test")
        if len(track):
            track.at(float(track.times[len(track) // 2]))
            usable += 1
    assert usable > MUTATIONS / 20

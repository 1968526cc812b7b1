"""Each kind of file leads to the same track: the drive that it was made of."""

import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest

from pothole.errors import InvalidMedia
from pothole.files import MIB
from pothole.media import Video
from pothole.media.telemetry import GpsTrack
from pothole.media.telemetry.clock import clock_of_video
from pothole.media.telemetry.fixes import distance
from pothole.media.telemetry.gpx import read_gpx
from pothole.media.telemetry.reader import track_of_file, track_of_video
from support.clips import make_clip
from support.telemetry import (
    LAT,
    LON,
    START,
    Point,
    drive,
    gps5,
    gps9,
    gpx,
    moment,
    nmea,
    sentence,
    table,
    with_payloads,
)


def clip_of(path: Path, seconds: int = 10, begins: datetime | None = START) -> Path:
    """A clip that says when it was taken."""
    clip = make_clip(path.with_name("plain.mp4"), seconds + 1, rate=1)
    with av.open(str(clip)) as inputs, av.open(str(path), "w") as output:
        if begins:
            output.metadata["creation_time"] = begins.isoformat()
        stream = output.add_stream_from_template(inputs.streams.video[0])
        for packet in inputs.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return path


def read(
    folder: Path, content: str | bytes, clip: Path | None = None, offset: float | None = None
) -> GpsTrack:
    clip = clip or clip_of(folder / "clip.mp4")
    path = folder / "track"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with Video.open(clip) as video:
        own = clock_of_video(clip, video.info.duration_s)
    return track_of_file(path, "track.gpx", own, offset)


def assert_is_drive(track: GpsTrack, points: Sequence[Point], within: float = 0.02) -> None:
    assert len(track) == len(points)
    for i, (seconds, lat, lon) in enumerate(points):
        assert track.times[i] == pytest.approx(seconds, abs=0.01)
        assert distance((track.lat[i], track.lon[i]), (lat, lon)) < within
        assert track.utc[i] == pytest.approx(moment(seconds).timestamp(), abs=0.01)


@pytest.mark.parametrize("write", [gpx, nmea, table, lambda points: table(points, ";")])
def test_gpx_nmea_and_csv_lead_to_the_same_track(
    tmp_path: Path, write: Callable[[Sequence[Point]], str]
) -> None:
    points = drive(10)
    track = read(tmp_path, write(points))
    assert_is_drive(track, points)
    assert track.clock == "creation_time"
    assert track.dropped == {}
    assert track.speed == pytest.approx(10.0, abs=0.01)
    at = track.at(4.5)
    assert at is not None
    assert distance((at.lat, at.lon), (LAT, points[4][2] / 2 + points[5][2] / 2)) < 0.02
    assert at.heading == pytest.approx(90.0, abs=0.1)
    assert at.distance == pytest.approx(45.0, abs=0.05)
    assert at.utc == pytest.approx(moment(4.5).timestamp())


def test_altitude_speed_course_and_precision_are_read(tmp_path: Path) -> None:
    more = "<hdop>1.5</hdop><extensions><e><speed>7</speed><course>45</course></e></extensions>"
    position = read(tmp_path, gpx(drive(10), more)).at(5.0)
    assert position is not None
    assert (position.altitude, position.speed, position.heading) == (520.5, 7.0, pytest.approx(45.0))
    assert position.sigma == pytest.approx(3.0)
    from_nmea = read(tmp_path, nmea(drive(10)))
    assert from_nmea.altitude == pytest.approx(520.5)
    assert from_nmea.sigma == pytest.approx(2.4)
    assert from_nmea.heading == pytest.approx(90.0)


@pytest.mark.parametrize("payload", [gps5, lambda p, at: gps9(p)])
def test_a_camera_s_own_track_is_read_from_the_video(
    tmp_path: Path, payload: Callable[[Sequence[Point], datetime], bytes]
) -> None:
    points = drive(4, rate=10)
    payloads = [payload(points[10 * i : 10 * i + 10], moment(i)) for i in range(4)]
    clip = with_payloads(make_clip(tmp_path / "clip.mp4", 8, rate=2), payloads, tmp_path / "camera.mp4")
    with Video.open(clip) as video:
        track = track_of_video(clip, video.info)
    assert track is not None
    assert_is_drive(track, points[:40])
    assert (track.source, track.sigma[0]) == ("gpmf", 3.0)


def test_a_camera_that_has_no_fix_gives_no_track_even_with_good_coordinates(tmp_path: Path) -> None:
    clip = with_payloads(
        make_clip(tmp_path / "clip.mp4", 8, rate=2),
        [gps5(drive(1, rate=9), START, fix=0)],
        tmp_path / "camera.mp4",
    )
    with Video.open(clip) as video:
        assert track_of_video(clip, video.info) is None


def test_what_is_no_fix_is_dropped_and_counted(tmp_path: Path) -> None:
    points = drive(20)
    zero = f"0.0,0.0,{moment(0.5).isoformat()},1.0"
    rows = [
        f"{lat:.8f},{lon:.8f},{moment(t).isoformat()},{99.0 if t == 7 else 1.0}" for t, lat, lon in points
    ]
    far = f"{LAT + 0.02:.6f},{LON:.6f},{moment(10.5).isoformat()},1.0"
    track = read(tmp_path, "\n".join(["lat,lon,time,hdop", *rows, zero, far, rows[3]]))
    assert track.dropped == {"no_fix": 1, "imprecise": 1, "jump": 1, "same_time": 1}
    assert_is_drive(track, [p for p in points if p[0] != 7])


def test_a_cold_start_elsewhere_is_not_believed(tmp_path: Path) -> None:
    points = drive(20)
    elsewhere = [(t, lat - 0.3, lon) if t < 6 else (t, lat, lon) for t, lat, lon in points]
    track = read(tmp_path, gpx(elsewhere))
    assert track.dropped == {"jump": 6}
    assert_is_drive(track, points[6:])


def test_a_receiver_without_a_fix_and_a_wrong_checksum_are_passed_over(tmp_path: Path) -> None:
    points = drive(10)
    log = (
        nmea(points[:4], "V")
        + "noise\r\n"
        + nmea(points[4:])
        + nmea(drive(12)[-1:]).replace("$GPRMC,1", "$GPRMC,2")
    )
    track = read(tmp_path, log)
    assert_is_drive(track, points[4:])
    assert track.dropped == {"no_fix": 4}


def test_the_position_in_a_long_gap_is_not_known(tmp_path: Path) -> None:
    points = [p for p in drive(40) if not 10 < p[0] < 25]
    track = read(tmp_path, gpx(points), clip_of(tmp_path / "long.mp4", 40))
    assert track.at(15.0) is None
    assert track.at(60.0) is None
    assert track.at(30.0) is not None


def test_between_fixes_the_position_is_less_sure(tmp_path: Path) -> None:
    track = read(tmp_path, gpx([p for p in drive(16) if p[0] % 8 == 0]), clip_of(tmp_path / "long.mp4", 16))
    at_fix, between = track.at(8.0), track.at(12.0)
    assert at_fix is not None and between is not None
    assert at_fix.sigma == 3.0
    assert between.sigma > 10


def test_a_track_over_the_date_line_does_not_go_around_the_earth(tmp_path: Path) -> None:
    points = [
        (float(i), -16.8, lon) for i, lon in enumerate([179.9998, 179.9999, -180.0, -179.9999, -179.9998])
    ]
    track = read(tmp_path, gpx(points), clip_of(tmp_path / "short.mp4", 4))
    between = track.at(2.5)
    assert len(track) == 5
    assert between is not None
    assert between.lon == pytest.approx(-179.99995)
    assert track.length == pytest.approx(42.6, abs=0.2)


def test_a_camera_s_clock_of_local_time_is_seen(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "local.mp4", 10, START + timedelta(hours=2))
    track = read(tmp_path, gpx(drive(10)), clip)
    assert track.clock == "creation_time, as local time +2 h from UTC"
    assert_is_drive(track, drive(10))


def test_a_track_as_long_as_the_video_begins_with_it(tmp_path: Path) -> None:
    for begins in (None, datetime(1970, 1, 1, tzinfo=UTC), START + timedelta(days=40)):
        track = read(tmp_path, gpx(drive(12)), clip_of(tmp_path / "clip.mp4", 10, begins))
        assert track.clock == "the track begins with the video"
        assert track.times[0] == 0


def test_a_track_of_another_time_is_refused_unless_the_offset_is_given(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "clip.mp4", 10, START + timedelta(days=40))
    with pytest.raises(InvalidMedia, match=r"no time in common.*2026-05-04 12:00:00") as caught:
        read(tmp_path, gpx(drive(100)), clip)
    assert "track_offset_s" in str(caught.value.hint)
    track = read(tmp_path, gpx(drive(100)), clip, offset=-30.0)
    assert track.times[0] == -30


def test_the_offset_moves_a_track_that_fits(tmp_path: Path) -> None:
    track = read(tmp_path, gpx(drive(10)), offset=0.8)
    assert track.times[0] == pytest.approx(0.8)
    assert track.offset == 0.8


def test_seconds_of_the_video_need_no_clock(tmp_path: Path) -> None:
    rows = "\n".join(f"{t + 1};{lat:.8f};{lon:.8f}" for t, lat, lon in drive(5))
    track = read(tmp_path, "time_s;Latitude;Longitude\n" + rows, clip_of(tmp_path / "clip.mp4", 10, None))
    assert track.times.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.isnan(track.utc).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x01\x02" * 50, "is no track of positions"),
        (b"", "is no track of positions"),
        (b"place,north,east\n1,2,3\n", "has the columns place, north, east"),
        (b"<gpx><trk><trkseg><trkpt lat='1'", "damaged"),
        (gpx([]).encode(), "has no position that can be used: it has none"),
        (gpx([(0.0, 0.0, 0.0)]).encode(), "1 × no_fix"),
    ],
)
def test_what_is_no_track_is_named_with_the_way_out(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InvalidMedia, match=message) as caught:
        read(tmp_path, content)
    assert "track.gpx" in caught.value.message
    assert caught.value.hint


BOMB = '<?xml version="1.0"?><!DOCTYPE gpx [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "content",
    [
        BOMB + "]><gpx><trk><name>&j;</name></trk></gpx>",
        '<!DOCTYPE gpx SYSTEM "http://example.org/gpx.dtd"><gpx><trk></trk></gpx>',
        '<!DOCTYPE gpx [<!ENTITY f SYSTEM "file:///etc/passwd">]><gpx><trk><name>&f;</name></trk></gpx>',
    ],
)
def test_definitions_in_xml_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidMedia, match="definitions of its own"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<gpx>" + "<a>" * 100, "within 64 others"),
        ("<gpx><trkpt " + " ".join(f"a{i}='1'" for i in range(200_000)), "more than 1048576 bytes"),
        ("<gpx><!--" + "-" * 3_000_000, "damaged"),
        ("lat,lon,time_s\n" + "," * 100_000, "has a line of more than 65536 letters"),
    ],
)
def test_a_track_that_is_made_to_take_long_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InvalidMedia, match=message):
        read(tmp_path, content)


def test_what_is_no_point_in_a_gpx_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text("<gpx>" + "<a/>" * 500_000 + "</gpx>")
    tracemalloc.start()
    assert not list(read_gpx(tmp_path / "a.gpx"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MIB


def test_a_log_of_other_sentences_only_is_no_track(tmp_path: Path) -> None:
    log = sentence("GPGGA,120000.00,,,,,0,00,,,M,,M,,") * 3
    with pytest.raises(InvalidMedia, match="no position"):
        read(tmp_path, log)

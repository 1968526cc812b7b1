"""Tracks of positions as files have them, of a drive that is known."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import reduce
from pathlib import Path

import av
from av.packet import Packet

from pothole.media.telemetry.fixes import metres_per_degree

START = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
LAT, LON = 48.1, 11.5
Point = tuple[float, float, float]  # seconds since the start, latitude, longitude


def drive(seconds: int = 10, speed: float = 10.0, heading_east: bool = True, rate: int = 1) -> list[Point]:
    """A straight drive at an even speed, east or north."""
    north, east = metres_per_degree(LAT)
    points = []
    for i in range(seconds * rate + 1):
        metres = speed * i / rate
        points.append(
            (
                i / rate,
                LAT + (0 if heading_east else metres / north),
                LON + (metres / east if heading_east else 0),
            )
        )
    return points


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def gpx(points: Sequence[Point], inside: str = "") -> str:
    body = "".join(
        f'<trkpt lat="{lat:.8f}" lon="{lon:.8f}"><ele>520.5</ele>'
        f"<time>{moment(t).isoformat()}</time>{inside}</trkpt>"
        for t, lat, lon in points
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><gpx version="1.1" creator="test" '
        f'xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{body}</trkseg></trk></gpx>'
    )


def sentence(text: str) -> str:
    check = reduce(lambda a, b: a ^ b, text.encode(), 0)
    return f"${text}*{check:02X}\r\n"


def nmea(points: Sequence[Point], status: str = "A") -> str:
    lines = []
    for t, lat, lon in points:
        at = moment(t)
        where = f"{_minutes(lat, 2)},N,{_minutes(lon, 3)},E"
        lines.append(sentence(f"GPGGA,{at:%H%M%S}.00,{where},1,09,1.20,520.5,M,47.0,M,,"))
        lines.append(sentence(f"GPRMC,{at:%H%M%S}.00,{status},{where},19.438,90.0,{at:%d%m%y},,,A"))
    return "".join(lines)


def _minutes(degrees: float, digits: int) -> str:
    whole = int(degrees)
    return f"{whole:0{digits}d}{(degrees - whole) * 60:09.6f}"


def table(points: Sequence[Point], separator: str = ",") -> str:
    rows = [["time", "lat", "lon", "speed_kmh"]]
    rows += [[moment(t).isoformat(), f"{lat:.8f}", f"{lon:.8f}", "36"] for t, lat, lon in points]
    return "\n".join(separator.join(row) for row in rows)


def item(key: str, kind: str, size: int, count: int, content: bytes) -> bytes:
    """An item of GPMF, filled up to four bytes."""
    head = struct.pack(">4sBBH", key.encode(), ord(kind) if kind else 0, size, count)
    return head + content + bytes(-len(content) % 4)


def nested(key: str, content: bytes) -> bytes:
    return item(key, "", 1, len(content), content)


def gps5(points: Sequence[Point], at: datetime, fix: int = 3, dop: int = 150) -> bytes:
    """A payload of a Hero 5 to 10."""
    rows = b"".join(
        struct.pack(">5i", round(lat * 1e7), round(lon * 1e7), 520500, 10000, 1000) for _, lat, lon in points
    )
    stream = (
        item("GPSF", "L", 4, 1, struct.pack(">I", fix))
        + item("GPSU", "U", 16, 1, f"{at:%y%m%d%H%M%S}.{at.microsecond // 1000:03d}".encode())
        + item("GPSP", "S", 2, 1, struct.pack(">H", dop))
        + item("SCAL", "l", 4, 5, struct.pack(">5i", 10**7, 10**7, 1000, 1000, 100))
        + item("GPS5", "l", 20, len(points), rows)
    )
    return nested("DEVC", nested("STRM", stream))


def gps9(points: Sequence[Point], fix: int = 3) -> bytes:
    """A payload of a Hero 11, which has the same fixes as GPS5, too."""
    rows = b""
    for t, lat, lon in points:
        since = moment(t) - datetime(2000, 1, 1, tzinfo=UTC)
        milliseconds = since.seconds * 1000 + since.microseconds // 1000
        where = round(lat * 1e7), round(lon * 1e7), 520500, 10000, 1000
        rows += struct.pack(">7i2H", *where, since.days, milliseconds, 150, fix)
    scale = struct.pack(">9i", 10**7, 10**7, 1000, 1000, 100, 1, 1000, 100, 1)
    newer = (
        item("TYPE", "c", 1, 9, b"lllllllSS")
        + item("SCAL", "l", 4, 9, scale)
        + item("GPS9", "?", 32, len(points), rows)
    )
    older = gps5(points, START)[8:]
    return nested("DEVC", nested("STRM", newer) + older)


def with_payloads(clip: Path, payloads: Sequence[bytes], to: Path) -> Path:
    """The clip with a track of telemetry, a payload a second."""
    with av.open(str(clip)) as inputs, av.open(str(to), "w") as output:
        pictures = output.add_stream_from_template(inputs.streams.video[0], opaque=True)
        data = output.add_data_stream("bin_data")
        data.time_base = Fraction(1, 1000)
        for i, payload in enumerate(payloads):
            packet = Packet(payload)
            packet.stream, packet.time_base = data, Fraction(1, 1000)
            packet.pts = packet.dts = 1000 * i
            packet.duration = 1000
            output.mux(packet)
        for packet in inputs.demux(video=0):
            if packet.size:
                packet.stream = pictures
                output.mux(packet)
    return to


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def novatek_block(point: Point | None, early: bool = False) -> bytes:
    """A block of a camera with Novatek's chips; without a point, of one that still looks for satellites."""
    before, at = (b"", 0) if early else (bytes(32), 0)
    t, lat, lon = point or (0.0, 0.0, 0.0)
    when = moment(t)
    clock = struct.pack("<6I", when.hour, when.minute, when.second, when.year - 2000, when.month, when.day)
    letters = b"ANE\0" if point else b"V\0\0\0"
    numbers = struct.pack("<4f", _hundreds(lat), _hundreds(lon), 19.438, 90.0) if point else bytes(16)
    return (b"freeGPS " + struct.pack("<I", at) + before + clock + letters + numbers).ljust(256, b"\0")


def _hundreds(degrees: float) -> float:
    whole = int(degrees)
    return 100 * whole + (degrees - whole) * 60


def camm_packet(point: Point, full: bool, fix: int = 3) -> bytes:
    t, lat, lon = point
    if not full:
        return struct.pack("<HH3d", 0, 5, lat, lon, 520.5)
    gps = (moment(t) - datetime(1980, 1, 6, tzinfo=UTC)).total_seconds() + 18
    return struct.pack("<HHdidd7f", 0, 6, gps, fix, lat, lon, 520.5, 1.5, 2.0, 10.0, 0.0, 0.0, 0.1)

"""This module reads GPMF, which GoPro's cameras write into videos: GPS5, and GPS9 from Hero 11 on.

A payload is a tree of key, type, size and count, each 4 bytes aligned and big-endian
(https://github.com/gopro/gpmf-parser). One payload holds the fixes of about a second.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime

from pothole.media.telemetry.fixes import Fix

HEAD = 8
MAX_DEPTH = 8  # levels of nesting that are looked into; a camera's have 3
NUMBER_TYPES = {
    "b": "b",
    "B": "B",
    "s": "h",
    "S": "H",
    "l": "i",
    "L": "I",
    "f": "f",
    "d": "d",
    "j": "q",
    "J": "Q",
}
GPS9_TYPES = "lllllllSS"  # lat, lon, altitude, two speeds, days since 2000, seconds of the day, DOP, fix
SINCE_2000 = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
MIN_FIX = 2  # 0 is no fix, 2 and 3 are one in two and in three dimensions
DAY = 86400.0

Items = dict[str, tuple[str, int, int, bytes]]  # by key: type, bytes of a sample, number of samples, data


def read_payload(data: bytes, start: float, duration: float) -> Iterator[Fix]:
    """Yield the fixes of one payload, spread evenly over its time; what is damaged is passed over.

    Args:
        data: The payload.
        start: Second of the video at which it begins.
        duration: Seconds until the next one.
    """
    streams = list(_streams(data, 0))
    newer = [stream for stream in streams if "GPS9" in stream]  # Hero 11 writes the same fixes as GPS5, too
    for stream in newer or streams:
        try:
            rows = _gps9(stream) if newer else _gps5(stream)
        except (struct.error, ValueError, OverflowError, KeyError):
            continue
        for i, fix in enumerate(rows):
            shift = duration * i / len(rows)
            utc = fix.utc if newer or fix.utc is None else fix.utc + shift
            yield fix._replace(time=start + shift, utc=utc)


def _streams(data: bytes, depth: int) -> Iterator[Items]:
    """Yield the items of each stream, by key."""
    items: Items = {}
    for key, kind, size, count, content in _items(data):
        if kind == "\0":
            if depth < MAX_DEPTH:
                yield from _streams(content, depth + 1)
        else:
            items[key] = kind, size, count, content
    if "GPS5" in items or "GPS9" in items:
        yield items


def _items(data: bytes) -> Iterator[tuple[str, str, int, int, bytes]]:
    at = 0
    while at + HEAD <= len(data):
        key, kind, size, count = struct.unpack_from(">4scBH", data, at)
        length = size * count
        content = data[at + HEAD : at + HEAD + length]
        if len(content) < length or not key.isalnum():
            return
        yield key.decode("ascii", "replace"), kind.decode("latin-1"), size, count, content
        at += HEAD + length + -length % 4


def _rows(stream: Items, key: str, kinds: str) -> list[tuple[float, ...]]:
    """Return the samples of an item as numbers, each divided by its scale."""
    _, size, count, data = stream[key]
    pattern = ">" + "".join(NUMBER_TYPES[kind] for kind in kinds)
    if struct.calcsize(pattern) != size:
        raise ValueError(f"{key} has samples of {size} bytes")
    kind, scale_size, scales, scale_data = stream.get("SCAL", ("l", 0, 0, b""))
    scale = (
        struct.unpack(f">{scales}{NUMBER_TYPES[kind]}", scale_data[: scales * scale_size]) if scales else (1,)
    )
    scale = scale * len(kinds) if len(scale) == 1 else scale
    if len(scale) != len(kinds) or 0 in scale:
        raise ValueError(f"{key} has {len(scale)} scales")
    samples = struct.iter_unpack(pattern, data[: size * count])
    return [tuple(v / s for v, s in zip(row, scale, strict=True)) for row in samples]


def _first(stream: Items, key: str) -> int | None:
    """Return a whole number that an item holds; None where there is none."""
    kind, size, count, data = stream.get(key, ("", 0, 0, b""))
    if not count or kind not in NUMBER_TYPES:
        return None
    return int(struct.unpack_from(">" + NUMBER_TYPES[kind], data[:size])[0])


def _gps5(stream: Items) -> list[Fix]:
    """Return fixes of Hero 5 to 10: one time, precision and kind of fix for all samples of a payload."""
    fix, dop = _first(stream, "GPSF"), _first(stream, "GPSP")
    utc = _utc(stream["GPSU"][3]) if "GPSU" in stream else None
    return [
        Fix(
            time=None,
            utc=utc,
            lat=lat,
            lon=lon,
            altitude=altitude,
            speed=speed,
            dop=None if dop is None else dop / 100,
            is_valid=fix is None or fix >= MIN_FIX,
        )
        for lat, lon, altitude, speed, _ in _rows(stream, "GPS5", "lllll")
    ]


def _utc(text: bytes) -> float | None:
    try:
        return datetime.strptime(text.decode("ascii"), "%y%m%d%H%M%S.%f").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _gps9(stream: Items) -> list[Fix]:
    """Return fixes of Hero 11 and later: each sample has a time, a precision and a kind of its own."""
    return [
        Fix(
            time=None,
            utc=SINCE_2000 + days * DAY + seconds,
            lat=lat,
            lon=lon,
            altitude=altitude,
            speed=speed,
            dop=dop,
            is_valid=fix >= MIN_FIX,
        )
        for lat, lon, altitude, speed, _, days, seconds, dop, fix in _rows(stream, "GPS9", GPS9_TYPES)
    ]

"""The boxes of an MP4 in which dashcams put positions, as text of NMEA or as records of their own.

- BlackVue has a box `gps ` within a `free` one: lines of NMEA, with the camera's milliseconds in front.
- Cameras with Novatek's chips have blocks that begin with `freeGPS `, one a second. A table in `moov`, a box
  `gps `, says where they are; some have them as boxes of the file.

Both were worked out by others (exiftool.org, mapillary_tools) and measured here on files of cameras.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pothole.media.telemetry.fixes import Fix
from pothole.media.telemetry.nmea import KNOT, fixes_of

MAX_BOXES = 100_000  # of a level; more are no file of a camera
MAX_TEXT = 2**26
MAX_BLOCK = 2**16
MAX_BLOCKS = 200_000
HEAD = 8
LONG = 1  # in place of a size that follows in 64 bits
MARK = b"freeGPS "
# A block has hour to day, and where its status letters are, at one of these places, counted from its mark.
LAYOUTS = ((0x2C, 0x44), (0x0C, 0x24))
LINE = re.compile(rb"\[(\d{10,16})\](\$[^\[\r\n]*)")


class Box(NamedTuple):
    """A box of an MP4.

    Attributes:
        kind: Its name, four bytes.
        start: Where its content begins in the file.
        size: Bytes of the content.
    """

    kind: bytes
    start: int
    size: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes from one place of a file to another, as far as they are whole."""
    for _ in range(MAX_BOXES):
        file.seek(start)
        head = file.read(16)
        if len(head) < HEAD or start + HEAD > end:
            return
        size, kind = struct.unpack_from(">I4s", head)
        before = HEAD
        if size == LONG and len(head) == 16:
            size, before = struct.unpack_from(">Q", head, HEAD)[0], 16
        if size < before or start + size > end:
            return
        yield Box(kind, start + before, size - before)
        start += size


def blackvue_fixes(path: Path) -> Iterator[Fix]:
    """Yield the fixes that a BlackVue wrote, with their seconds since its first line."""
    with path.open("rb") as file:
        for outer in boxes(file, 0, path.stat().st_size):
            if outer.kind != b"free":
                continue
            for inner in boxes(file, outer.start, outer.start + outer.size):
                if inner.kind == b"gps ":
                    yield from _lines(_content(file, inner, MAX_TEXT))


def novatek_fixes(path: Path) -> Iterator[Fix]:
    """Yield the fixes of a camera with Novatek's chips, one a second."""
    with path.open("rb") as file:
        size = path.stat().st_size
        for number, block in enumerate(_blocks(file, size)):
            fix = _fix(block)
            if fix is not None:
                yield fix._replace(time=float(number))


def _content(file: BinaryIO, box: Box, limit: int) -> bytes:
    file.seek(box.start)
    return file.read(min(box.size, limit))


def _lines(text: bytes) -> Iterator[Fix]:
    first: int | None = None
    for match in LINE.finditer(text):
        milliseconds = int(match[1])
        first = milliseconds if first is None else first
        for fix in fixes_of([match[2]]):
            yield fix._replace(time=(milliseconds - first) / 1000)


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the blocks of a file, by its table, else as they lie in it."""
    top = list(boxes(file, 0, size))
    for moov in (box for box in top if box.kind == b"moov"):
        for table in boxes(file, moov.start, moov.start + moov.size):
            if table.kind == b"gps ":
                listed = _content(file, table, 8 + 8 * MAX_BLOCKS)[8:]
                for place, length in struct.iter_unpack(">II", listed[: len(listed) // 8 * 8]):
                    yield _block(file, place, length)
                return
    for box in top:
        if box.kind == b"free" and (block := _block(file, box.start, box.size)):
            yield block


def _block(file: BinaryIO, place: int, length: int) -> bytes:
    """Return a block from its mark on; nothing when there is none."""
    file.seek(place)
    data = file.read(min(length, MAX_BLOCK))
    at = data.find(MARK, 0, 16)
    return data[at:] if at >= 0 else b""


def _fix(block: bytes) -> Fix | None:
    """Return the fix of a block; one that says that there is none for a receiver that still looks."""
    text = block.find(b"$G")
    if text > 0:
        return next(fixes_of([block[text:].split(b"\0")[0]]), None)
    for clock, status in LAYOUTS:
        if len(block) < status + 20:
            continue
        letters = block[status : status + 3]
        hour, minute, second, year, month, day = struct.unpack_from("<6I", block, clock)
        is_time = (
            hour < 24 and minute < 60 and second < 62 and 0 < month < 13 and 0 < day < 32 and year < 3000
        )
        if not is_time or letters[:1] not in (b"A", b"V"):
            continue
        lat, lon, knots, heading = struct.unpack_from("<4f", block, status + 4)
        # Its clock may be that of a time zone, so that it is not told as UTC.
        return Fix(
            time=None,
            utc=None,
            lat=_degrees(lat, letters[1:2] == b"S"),
            lon=_degrees(lon, letters[2:3] == b"W"),
            speed=knots * KNOT,
            heading=heading,
            is_valid=letters[:1] == b"A",
        )
    return None


def _degrees(value: float, is_negative: bool) -> float:
    """Return degrees of a number that has them times 100, and minutes besides."""
    whole = (
        int(abs(value) / 100) if abs(value) < 1e6 else 1000
    )  # no place on earth, where it is damaged or NaN
    degrees = whole + (abs(value) - 100 * whole) / 60
    return -degrees if is_negative else degrees

"""This module reads NMEA 0183: RMC sentences for place, speed and course, GGA for altitude and precision."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from pynmeagps import NMEAReader
from pynmeagps.exceptions import NMEAMessageError, NMEAParseError, NMEAStreamError, NMEATypeError

from pothole.media.telemetry.fixes import Fix

KNOT = 0.514444  # metres a second
MAX_SENTENCE = 200  # bytes; the standard has 82
# What the library raises at damaged sentences, and what odd fields raise in it.
DECLARED = (NMEAMessageError, NMEAParseError, NMEAStreamError, NMEATypeError)
DAMAGE = (*DECLARED, ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)


def read_nmea(path: Path) -> Iterator[Fix]:
    """Yield the fixes of a log of sentences; those with a wrong checksum are passed over."""
    with path.open("rb") as file:
        yield from fixes_of(iter(lambda: file.readline(4096), b""))


def fixes_of(lines: Iterable[bytes]) -> Iterator[Fix]:
    """Yield a fix for each RMC sentence, with what the GGA of the same second says."""
    about: dict[time, Any] = {}
    for line in lines:
        sentence = _parse(line)
        if sentence is None:
            continue
        moment = getattr(sentence, "time", None)  # a cut sentence lacks its last fields
        if not isinstance(moment, time):
            continue
        if sentence.msgID == "GGA":
            about = {moment: sentence}
        elif (fix := _fix(sentence, about.get(moment))) is not None:
            yield fix


def _parse(line: bytes) -> Any:
    """Return the sentence in a line, whatever is before it; None for other kinds and for damage."""
    start = line.find(b"$")
    kind = line[start + 3 : start + 6]
    if start < 0 or len(line) - start > MAX_SENTENCE or kind not in (b"RMC", b"GGA"):
        return None
    try:
        return NMEAReader.parse(line[start:].strip() + b"\r\n")
    except DAMAGE:
        return None


def _fix(rmc: Any, gga: Any) -> Fix | None:
    try:
        moment = datetime.combine(rmc.date, rmc.time, UTC)
        has_place = isinstance(rmc.lat, float) and isinstance(rmc.lon, float)
        return Fix(
            time=None,
            utc=moment.timestamp(),
            lat=rmc.lat if has_place else 0.0,
            lon=rmc.lon if has_place else 0.0,
            altitude=_number(gga.alt) if gga else None,
            speed=None if (knots := _number(rmc.spd)) is None else knots * KNOT,
            heading=_number(rmc.cog),
            dop=_number(gga.HDOP) if gga else None,
            is_valid=rmc.status == "A" and has_place and (gga is None or gga.quality != 0),
        )
    except DAMAGE:
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None

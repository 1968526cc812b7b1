"""This module reads GPX 1.0 and 1.1: points of tracks, with height, precision, speed and course."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from pothole.errors import InvalidMedia, reason
from pothole.media.telemetry.fixes import Fix

# Names of elements below a point, without their namespaces: those of GPX, and of Garmin's extension.
NUMBERS = {"ele": "altitude", "speed": "speed", "course": "heading", "hdop": "dop"}


def read_gpx(path: Path) -> Iterator[Fix]:
    """Yield the points of all tracks, as the file is read, so that memory does not grow with it.

    Raises:
        InvalidMedia: It is no XML, or has definitions of entities, as files have that are to exhaust memory.
    """
    try:
        for _, element in iterparse(path, forbid_dtd=True):
            if _name(element) == "trkpt":
                if (fix := _fix(element)) is not None:
                    yield fix
                element.clear()
            elif _name(element) in ("trkseg", "rte", "wpt"):
                element.clear()
    except DefusedXmlException as exc:
        raise InvalidMedia(
            f"{path.name} has definitions of its own (a DTD), which are not read.",
            "Save it as plain GPX 1.1.",
        ) from exc
    except (ParseError, ValueError, LookupError) as exc:  # the last two for encodings that do not exist
        raise InvalidMedia(f"{path.name} is damaged: {reason(exc)}.", "Export the GPX file anew.") from exc


def utc_seconds(text: str) -> float:
    """Return the POSIX seconds of a time in ISO 8601; one without a zone is UTC.

    Raises:
        ValueError: It is none.
    """
    time = datetime.fromisoformat(text.strip())
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _fix(point: Element) -> Fix | None:
    """Return the fix of a `trkpt`; None when it has no time or no place, and is of no use here."""
    values: dict[str, Any] = {}
    utc = None
    try:
        lat, lon = float(point.get("lat", "")), float(point.get("lon", ""))
        for element in point.iter():
            name, text = _name(element), element.text or ""
            if name == "time" and utc is None:
                utc = utc_seconds(text)
            elif name in NUMBERS and text.strip():
                values.setdefault(NUMBERS[name], float(text))
    except (ValueError, OverflowError):
        return None
    return None if utc is None else Fix(None, utc, lat, lon)._replace(**values)

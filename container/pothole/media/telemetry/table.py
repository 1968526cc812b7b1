"""This module reads positions from CSV: a line of names, then a line for each fix."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from pothole.errors import InvalidMedia, reason
from pothole.media.telemetry.fixes import Fix
from pothole.media.telemetry.gpx import utc_seconds

# The names that each column may have, in small letters.
NAMES = {
    "utc": ("time", "timestamp", "time_utc", "utc", "datetime", "date_time"),
    "time": ("time_s", "seconds", "elapsed_s", "video_time_s"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "long", "longitude"),
    "altitude": ("altitude", "alt", "ele", "elevation", "altitude_m"),
    "speed": ("speed", "speed_m_s", "speed_ms"),
    "kmh": ("speed_kmh", "speed_km_h", "kmh"),
    "heading": ("heading", "course", "bearing"),
    "dop": ("hdop", "dop"),
    "accuracy": ("accuracy", "accuracy_m", "sigma_m"),
}
EXPECTED = (
    "Expected the columns lat, lon and time (ISO 8601 or POSIX seconds) or time_s (seconds of the video)."
)
MAX_LINE = 2**16  # letters
POSIX_MS = 10**11  # above it a number of seconds is one of milliseconds


def read_table(path: Path) -> Iterator[Fix]:
    """Yield the fixes of a CSV; lines without numbers where they have to be are passed over.

    Raises:
        InvalidMedia: It has no line of names, or a column that is needed is missing.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        head = file.readline(4096)
        separator = max(",;\t", key=head.count)
        columns = {name.strip().strip('"').lower(): i for i, name in enumerate(head.split(separator))}
        found = {
            field: columns[name] for field, names in NAMES.items() for name in names[::-1] if name in columns
        }
        if not {"lat", "lon"} <= found.keys() or not {"utc", "time"} & found.keys():
            names = ", ".join(list(columns)[:12])
            raise InvalidMedia(f"{path.name} has the columns {names}, which is no track.", EXPECTED)
        try:
            for row in csv.reader(_lines(file, path.name), delimiter=separator):
                if (fix := _fix(row, found)) is not None:
                    yield fix
        except csv.Error as exc:
            raise InvalidMedia(f"{path.name} is no CSV: {reason(exc)}.", EXPECTED) from exc


def _lines(file: TextIO, name: str) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise InvalidMedia(f"{name} has a line of more than {MAX_LINE} letters.", EXPECTED)
        yield line


def _fix(row: list[str], columns: dict[str, int]) -> Fix | None:
    given = {field: row[i].strip() for field, i in columns.items() if i < len(row) and row[i].strip()}
    try:
        utc = _moment(given.pop("utc")) if "utc" in given else None
        values: dict[str, Any] = {field: float(text.replace(",", ".")) for field, text in given.items()}
        if "kmh" in values:
            values["speed"] = values.pop("kmh") / 3.6
        time = values.pop("time", None)
        if utc is None and time is None:
            return None
        return Fix(time, utc, values.pop("lat"), values.pop("lon"))._replace(**values)
    except (ValueError, KeyError, OverflowError):  # the second for a missing latitude or longitude
        return None


def _moment(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return utc_seconds(text)
    return seconds / 1000 if seconds > POSIX_MS else seconds

"""CSV as RFC 4180 has it, in UTF-8, with a line of names; no cell of it is run as a formula."""

import csv
from collections.abc import Sequence
from pathlib import Path

from pothole.geo.export.row import Row, Value

# Spreadsheets take a cell that begins so for a formula. An apostrophe in front makes it text.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the list as a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = list(rows[0].properties) if rows else list(Row("", "", None, None).properties)
        writer.writerow(["lat", "lon", *names])
        for row in rows:
            lon, lat = row.place or (None, None)
            writer.writerow([lat, lon, *(_cell(value) for value in row.properties.values())])


def _cell(value: Value) -> Value:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value

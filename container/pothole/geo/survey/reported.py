"""Reports of potholes that an authority has already, such as those of a 311 service, beside the list."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pothole.errors import RequestError, reason
from pothole.geo.export.row import Row, Value
from pothole.geo.survey.pieces import Pieces
from pothole.geo.survey.records import Pothole
from pothole.media.telemetry.fixes import MAX_LATITUDE, MAX_LONGITUDE, distance

# The names that each column may have in the files that cities publish, in small letters, without signs.
COLUMNS = {
    "lat": ("latitude", "lat", "y"),
    "lon": ("longitude", "lon", "lng", "long", "x"),
    "id": ("id", "uniquekey", "srnumber", "servicerequestnumber", "servicerequestid", "caseid",
           "caseenquiryid", "requestid", "casenumber", "reportid", "objectid"),
    "time": ("createddate", "requesteddatetime", "opened", "opendt", "creationdate", "datecreated", "date",
             "time", "createdat"),
    "state": ("status", "casestatus", "srstatus", "state"),
}  # fmt: skip
EXPECTED = "Give a CSV with a line of names, among them latitude and longitude in degrees."
MAX_ROWS = 1_000_000


@dataclass(frozen=True)
class Report:
    """A report is one that people or others made of a pothole.

    Attributes:
        id: Its own; the number of its line where it has none.
        lat: Degrees north.
        lon: Degrees east.
        time: When it was made, as the file has it; empty where it says nothing.
        state: What the file says of its state.
    """

    id: str
    lat: float
    lon: float
    time: str
    state: str


@dataclass(frozen=True)
class Matches:
    """Which reports and which potholes of the list are the same.

    Attributes:
        by_pothole: The reports near each pothole, nearest first, with their metres, by its id.
        by_report: The nearest pothole of each report and its metres; None where there is none.
        within: Metres between the two, at most.
    """

    by_pothole: dict[str, list[tuple[Report, float]]]
    by_report: list[tuple[Report, tuple[Pothole, float] | None]]
    within: float

    def about(self, pothole: Pothole) -> dict[str, Value]:
        """Return what a list says of the reports of a pothole, by name."""
        near = self.by_pothole.get(pothole.id, [])
        first = near[0] if near else None
        return {
            "reports": len(near),
            "report_id": first[0].id if first else None,
            "report_distance_m": round(first[1], 1) if first else None,
        }

    def rows(self, driven: Pieces) -> list[Row]:
        """Return the reports as a list, each with what the drives say of it."""
        return [
            _row(report, found, bool((driven.beside(report.lat, report.lon).distance <= self.within).any()))
            for report, found in self.by_report
        ]


def read_reported(path: Path) -> list[Report]:
    """Read reports from a CSV; lines without a place are left out.

    Raises:
        RequestError: It has no such columns, or no line with a place.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            first = file.readline(2**16)
            separator = max(",;\t|", key=first.count)
            names = next(csv.reader([first], delimiter=separator), [])
            columns = _columns(path, names)
            lines = csv.reader(file, delimiter=separator)
            reports = []
            for number, line in enumerate(lines, start=2):
                if number > MAX_ROWS:
                    raise RequestError(
                        f"{path} has more than {MAX_ROWS} lines.", "Cut it by area or by year."
                    )
                if (report := _report(line, columns, number)) is not None:
                    reports.append(report)
    except OSError as exc:
        raise RequestError(f"{path} cannot be read: {reason(exc)}.") from exc
    except csv.Error as exc:
        raise RequestError(f"{path} is no CSV: {reason(exc)}.", EXPECTED) from exc
    if not reports:
        raise RequestError(f"{path} has no line with a place.", EXPECTED)
    return reports


def _columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    plain = {"".join(c for c in name.lower() if c.isalnum()): i for i, name in reversed([*enumerate(names)])}
    found = {
        field: next((plain[name] for name in known if name in plain), None)
        for field, known in COLUMNS.items()
    }
    if found["lat"] is None or found["lon"] is None:
        raise RequestError(f"{path} has the columns {', '.join(names[:12])}, and no place.", EXPECTED)
    return {field: i for field, i in found.items() if i is not None}


def _report(line: Sequence[str], columns: dict[str, int], number: int) -> Report | None:
    given = {field: line[i].strip() if i < len(line) else "" for field, i in columns.items()}
    try:
        lat, lon = float(given["lat"]), float(given["lon"])
    except ValueError:
        return None
    if not _is_place(lat, lon):
        return None
    return Report(given.get("id") or str(number), lat, lon, given.get("time", ""), given.get("state", ""))


def match_reported(reports: Sequence[Report], potholes: Sequence[Pothole], within: float) -> Matches:
    """Find the nearest pothole of each report.

    Args:
        reports: What is known already; several may be of one pothole.
        potholes: The list.
        within: Metres between the two, at most.
    """
    by_pothole: dict[str, list[tuple[Report, float]]] = {}
    by_report: list[tuple[Report, tuple[Pothole, float] | None]] = []
    lats = np.array([pothole.lat for pothole in potholes])
    order = np.argsort(lats, kind="stable")
    sorted_lats = lats[order]
    reach = within / 110_000  # degrees of latitude; a degree is never shorter than 110 km
    for report in reports:
        low, high = np.searchsorted(sorted_lats, [report.lat - reach, report.lat + reach])
        near = [
            (distance((report.lat, report.lon), (potholes[i].lat, potholes[i].lon)), int(i))
            for i in order[low:high]
        ]
        metres, number = min(near, default=(np.inf, -1))
        if metres <= within:
            pothole = potholes[number]
            by_report.append((report, (pothole, metres)))
            by_pothole.setdefault(pothole.id, []).append((report, metres))
        else:
            by_report.append((report, None))
    for reports_here in by_pothole.values():
        reports_here.sort(key=lambda each: each[1])
    return Matches(by_pothole, by_report, within)


def _row(report: Report, found: tuple[Pothole, float] | None, is_covered: bool) -> Row:
    if found is not None:
        says = found[0].state
    elif is_covered:
        says = "no pothole seen, though a drive came by"
    else:
        says = "no drive came by"
    return Row(
        id=report.id,
        name=f"Report {report.id}",
        lat=report.lat,
        lon=report.lon,
        values={
            "reported": report.time or None,
            "status": report.state or None,
            "drives_say": says,
            "pothole": found[0].id if found else None,
            "distance_m": round(found[1], 1) if found else None,
        },
    )


def _is_place(lat: float, lon: float) -> bool:
    """Say whether two numbers are a latitude and a longitude; zeros stand for none."""
    finite = math.isfinite(lat) and math.isfinite(lon)
    return finite and abs(lat) <= MAX_LATITUDE and abs(lon) <= MAX_LONGITUDE and (lat, lon) != (0, 0)

"""A drive is read from the report of its video: where it led, and which potholes were seen."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pothole.errors import RequestError, reason
from pothole.geo.flow import Numbers

WITHOUT = "It says nothing of places: mark its video again with a track of positions."


@dataclass(frozen=True)
class Seen:
    """A pothole as one drive saw it.

    Attributes:
        drive: Number of the drive, in the order of `read_drives`.
        track_id: Its id in the report.
        lat: Degrees north.
        lon: Degrees east.
        accuracy_m: Metres around it within which it lies with a probability of 90 %.
        heading: Direction of travel, in degrees; None when not known.
        distance_m: Metres along the drive.
        time_utc: When it was seen; None when not known.
        record: All that the report says of it.
    """

    drive: int
    track_id: int
    lat: float
    lon: float
    accuracy_m: float
    heading: float | None
    distance_m: float
    time_utc: str | None
    record: dict[str, Any]


@dataclass(frozen=True)
class Drive:
    """A drive is one video with its report.

    Attributes:
        source: Name of the video.
        output: Name of the marked video; None when there is none.
        began: When it was taken, in ISO 8601; empty when not known.
        seen: The potholes that have a place.
        unplaced: Number of those that have none.
        path: `(n, 2)` latitude and longitude of the camera along the drive.
    """

    source: str
    output: str | None
    began: str
    seen: tuple[Seen, ...]
    unplaced: int
    path: Numbers

    @property
    def id(self) -> str:
        """Return a short name that is this drive's alone."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:10]


def read_drives(reports: Iterable[Path]) -> list[Drive]:
    """Read reports; the drives come in the order of their times, whatever that of the reports.

    Raises:
        RequestError: A file is no report, or says nothing of places; names it.
    """
    drives = sorted((_read(path) for path in reports), key=lambda drive: (drive.began, drive.source))
    if not drives:
        raise RequestError(
            "There is no report.", hint="Name files that end in _output.json, or their folder."
        )
    return [_numbered(drive, number) for number, drive in enumerate(drives)]


def _numbered(drive: Drive, number: int) -> Drive:
    seen = tuple(Seen(**{**vars(each), "drive": number}) for each in drive.seen)
    return Drive(drive.source, drive.output, drive.began, seen, drive.unplaced, drive.path)


def _read(path: Path) -> Drive:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not {"source", "tracks", "frames"} <= data.keys():
            raise RequestError(f"{path} is no report of a video.")
        if not data.get("drive", {}).get("path"):
            raise RequestError(f"{path} cannot be used.", hint=WITHOUT)
        placed = [record for record in data["tracks"] if record.get("position")]
        seen = tuple(_seen(record, data) for record in placed)
        began = data["drive"]["began_utc"] or ""
        if began:
            datetime.fromisoformat(began)
        points = np.array(data["drive"]["path"], float)[:, 1:]
        path_points = points[:, ::-1].copy()
        if path_points.shape[1] != 2 or not np.isfinite(path_points).all():
            raise ValueError("path")
        unplaced = len(data["tracks"]) - len(placed)
        return Drive(str(data["source"]), data.get("output"), began, seen, unplaced, path_points)
    except OSError as exc:
        raise RequestError(f"{path} cannot be read: {reason(exc)}.") from exc
    except (ValueError, KeyError, TypeError, IndexError) as exc:
        if isinstance(exc, RequestError):
            raise
        raise RequestError(
            f"{path} is no report of a video, or a damaged one.", hint="Mark the video again."
        ) from exc


def _seen(record: dict[str, Any], data: dict[str, Any]) -> Seen:
    at = record["position"]
    time = next((f["time_s"] for f in data["frames"] if f["index"] == record["best_frame"]), None)
    return Seen(
        drive=0,
        track_id=int(record["id"]),
        lat=float(at["lat"]),
        lon=float(at["lon"]),
        accuracy_m=max(0.5, float(at["accuracy_m"])),
        heading=None if at["heading"] is None else float(at["heading"]),
        distance_m=float(at["distance_m"]),
        time_utc=at["time_utc"],
        record=record | {"best_time_s": time},
    )

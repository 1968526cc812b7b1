"""What is known of each pothole of the list: since when, how often, how big, and if it is still there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pothole.geo.export import Row
from pothole.geo.export.row import Value
from pothole.geo.survey.drives import Drive, Seen
from pothole.geo.survey.match import MAX_TURN, Spot, match_drives
from pothole.geo.survey.pieces import Pieces, turn

COVERED = 10.0  # metres between a drive's way and a pothole that it would have seen
MIN_STEP = 0.5  # metres; shorter pieces of a way have no direction
GONE = 2  # later drives in a row that did not see it, after which it is said to be gone


@dataclass(frozen=True)
class Pothole:
    """A pothole of the list.

    Attributes:
        id: The same for the same drives, in whatever order, and when later ones are added.
        lat: Degrees north.
        lon: Degrees east.
        accuracy_m: Metres around it within which it lies with a probability of 90 %.
        heading: Direction of travel of the drives that saw it.
        first_seen: When, in ISO 8601; None when not known.
        last_seen: The same.
        drives: Number of drives that saw it.
        covered: Number of drives that came by.
        missed: Number of those since it was last seen.
        best: It, where it was seen best.
        size: What that drive says of its size; None when none does.
    """

    id: str
    lat: float
    lon: float
    accuracy_m: float
    heading: float | None
    first_seen: str | None
    last_seen: str | None
    drives: int
    covered: int
    missed: int
    best: Seen
    size: dict[str, Any] | None

    @property
    def is_gone(self) -> bool:
        """Say whether so many later drives did not see it that it was repaired, most likely."""
        return self.missed >= GONE

    @property
    def state(self) -> str:
        """Return what the later drives say of it, in words."""
        if self.is_gone:
            return f"not seen on {self.missed} later drives that came by"
        return "not seen on 1 later drive that came by" if self.missed else "there"

    @property
    def worst_first(self) -> tuple[bool, float, float]:
        """Return by what it stands in the order of the worst: its area, then its score; last what is gone."""
        return self.is_gone, -(self.size or {}).get("area_m2", 0.0), -self.best.record["max_score"]

    def row(self, drives: Sequence[Drive], about: Mapping[str, Value]) -> Row:
        """Return it as a row of a list for maps.

        Args:
            drives: What the list was made of.
            about: What else the list says of it, by name.
        """
        size = self.size or {}
        drive = drives[self.best.drive]
        astm = size.get("severity", {}).get("astm_d6433", {})
        names = ("width_m", "length_m", "diameter_m", "area_m2")
        return Row(
            id=self.id,
            name=f"Pothole {self.id}",
            lat=self.lat,
            lon=self.lon,
            time_utc=self.last_seen,
            link=f"{drive.output}#t={self.best.record['first_time_s']}" if drive.output else None,
            values={
                "accuracy_m": round(self.accuracy_m, 1),
                "heading": self.heading,
                "first_seen": self.first_seen,
                "last_seen": self.last_seen,
                "drives": self.drives,
                "covered": self.covered,
                "state": self.state,
                **{name: size.get(name) for name in names},
                "astm_d6433_severities": " ".join(astm.get("severities", ())) or None,
                "score": self.best.record["max_score"],
                **about,
                "source": drive.source,
            },
        )


def survey(drives: Sequence[Drive]) -> list[Pothole]:
    """Return the list of potholes of drives."""
    ways = [Pieces.of(drive.path) for drive in drives]
    return [_pothole(spot, drives, ways) for spot in match_drives(drives)]


def _pothole(spot: Spot, drives: Sequence[Drive], ways: Sequence[Pieces]) -> Pothole:
    lat, lon = spot.place
    seen = {each.drive for each in spot.seen}
    heading = spot.heading
    covered = [i for i, way in enumerate(ways) if i in seen or _came_by(way, lat, lon, heading)]
    times = sorted(each.time_utc for each in spot.seen if each.time_utc)
    best = max(spot.seen, key=lambda each: (each.record["max_score"], -each.drive))
    sized = [each for each in spot.seen if each.record.get("size")]
    sharpest = min(sized, key=lambda each: _width(each.record["size"]), default=None)
    first = spot.seen[0]
    return Pothole(
        id=f"{drives[first.drive].id}-{first.track_id}",
        lat=lat,
        lon=lon,
        accuracy_m=float(1 / np.sqrt(sum(1 / each.accuracy_m**2 for each in spot.seen))),
        heading=heading,
        first_seen=times[0] if times else None,
        last_seen=times[-1] if times else None,
        drives=len(seen),
        covered=len(covered),
        missed=sum(i > max(seen) for i in covered),
        best=best,
        size=sharpest.record["size"] if sharpest else None,
    )


def _width(size: dict[str, Any]) -> float:
    low, high = size["interval_90"]["diameter_m"]
    return float(high - low) / float(size["diameter_m"])


def _came_by(way: Pieces, lat: float, lon: float, heading: float | None) -> bool:
    """Say whether a drive came by a place in a direction."""
    beside = way.beside(lat, lon)
    near = (beside.distance <= COVERED) & (beside.length >= MIN_STEP)
    return bool((near if heading is None else near & (turn(beside.bearing, heading) <= MAX_TURN)).any())

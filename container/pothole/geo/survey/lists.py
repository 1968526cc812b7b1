"""A survey is written as lists for maps and as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pothole.geo.export import WRITERS, Row
from pothole.geo.export.row import Value
from pothole.geo.export.table import write_csv
from pothole.geo.survey.drives import Drive
from pothole.geo.survey.page import write_page
from pothole.geo.survey.pictures import picture_of
from pothole.geo.survey.pieces import Pieces
from pothole.geo.survey.records import Pothole, survey
from pothole.geo.survey.reported import Matches, Report, match_reported
from pothole.geo.survey.roads import Network, OnRoad
from pothole.geo.survey.sections import Section, divide, write_sections

SECTION_M = 100.0
WITHIN_M = 25.0
PICTURES = 20


@dataclass(frozen=True)
class Wanted:
    """What a survey is to say, besides where the potholes are.

    Attributes:
        title: What the page is called.
        network: Roads on which the potholes lie; None where they are not known.
        section_m: Metres of a section of a road.
        reported: Reports of potholes that are known already; None for none.
        within_m: Metres between a report and its pothole, at most.
        pictures: Number of the worst potholes that are shown with pictures.
    """

    title: str = "Potholes"
    network: Network | None = None
    section_m: float = SECTION_M
    reported: Sequence[Report] | None = None
    within_m: float = WITHIN_M
    pictures: int = PICTURES


def write_survey(folder: Path, drives: Sequence[Drive], wanted: Wanted) -> list[Pothole]:
    """Write the list of the potholes of drives.

    Args:
        folder: Where `survey.html`, `survey.geojson` and so on are written; it exists.
        drives: What the list is made of.
        wanted: What it is to say.

    Returns:
        The list.
    """
    potholes = survey(drives)
    places = _places(potholes, wanted.network)
    driven = Pieces.joined([Pieces.of(drive.path) for drive in drives])
    matches = None
    if wanted.reported is not None:
        matches = match_reported(wanted.reported, potholes, wanted.within_m)
        write_csv(folder / "reports.csv", matches.rows(driven))
    pictures = _pictures(folder / "pictures", potholes, drives, wanted.pictures)
    rows = [_row(pothole, drives, wanted.network, places, matches, pictures) for pothole in potholes]
    for name, write in WRITERS.items():
        write(folder / f"survey.{name}", rows)
    sections: list[Section] = []
    if wanted.network is not None:
        sections = divide(wanted.network, wanted.section_m, potholes, places, driven)
        write_sections(folder / "sections.geojson", sections)
        write_csv(folder / "sections.csv", [section.row() for section in sections])
    write_page(folder / "survey.html", wanted.title, potholes, drives, pictures, sections)
    return potholes


def _places(potholes: Sequence[Pothole], network: Network | None) -> dict[str, OnRoad]:
    if network is None:
        return {}
    found = {p.id: network.find(p.lat, p.lon, p.heading) for p in potholes}
    return {name: place for name, place in found.items() if place is not None}


def _row(
    pothole: Pothole,
    drives: Sequence[Drive],
    network: Network | None,
    places: dict[str, OnRoad],
    matches: Matches | None,
    pictures: dict[str, bytes],
) -> Row:
    about: dict[str, Value] = {}
    if network is not None:
        about |= network.about(places.get(pothole.id))
    if matches is not None:
        about |= matches.about(pothole)
    picture = f"pictures/{pothole.id}.jpg" if pothole.id in pictures else None
    return pothole.row(drives, {**about, "picture": picture})


def _pictures(
    folder: Path, potholes: Sequence[Pothole], drives: Sequence[Drive], count: int
) -> dict[str, bytes]:
    """Write pictures of the worst potholes; they come back by the ids of these."""
    worst = sorted(potholes, key=lambda pothole: (*pothole.worst_first, pothole.id))[:count]
    found = {pothole.id: picture_of(pothole, drives) for pothole in worst}
    pictures = {name: picture for name, picture in found.items() if picture is not None}
    if pictures:
        folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (folder / f"{name}.jpg").write_bytes(picture)
    return pictures

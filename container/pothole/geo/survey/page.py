"""One HTML file shows the list: a map without a network, and the worst potholes with their pictures."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from pothole.geo.flow import Numbers
from pothole.geo.survey.drives import Drive
from pothole.geo.survey.records import Pothole
from pothole.geo.survey.sections import Section
from pothole.media.telemetry.fixes import metres_per_degree

WORST = 20
WIDTH, MARGIN = 1000.0, 30.0  # of the map, in its own units
MAX_HEIGHT = 900.0
WORST_SECTIONS = 50
# Potholes in 100 m of road from which a section has the next colour.
HEAT = (0.01, 1.0, 3.0)
SCALES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)  # metres of the scale's bar


@dataclass(frozen=True)
class Sheet:
    """A sheet is the map.

    Attributes:
        height: In its own units; its width is `WIDTH`.
        ways: The drives, each as the path of a line.
        dots: Each pothole's x, y and radius.
        bar: Length of the scale's bar in units, and in metres.
        sections: Each section's line as a path, and its colour: 0 to 3, or `unseen`.
    """

    height: float
    ways: tuple[str, ...]
    dots: tuple[tuple[float, float, float], ...]
    bar: tuple[float, str]
    sections: tuple[tuple[str, str], ...]


def write_page(
    path: Path,
    title: str,
    potholes: Sequence[Pothole],
    drives: Sequence[Drive],
    pictures: Mapping[str, bytes],
    sections: Sequence[Section],
) -> None:
    """Write the page.

    Args:
        path: The HTML file.
        title: What the list is called.
        potholes: The list.
        drives: What it was made of.
        pictures: JPEGs of some potholes, by id.
        sections: Those of the roads, when these are known.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    ordered = sorted(potholes, key=lambda pothole: (*pothole.worst_first, pothole.id))
    page = template.render(
        title=title,
        potholes=ordered,
        worst=ordered[:WORST],
        numbers={pothole.id: number for number, pothole in enumerate(ordered, start=1)},
        drives=drives,
        unplaced=sum(drive.unplaced for drive in drives),
        sheet=draw(ordered, drives, sections),
        sections=sorted(sections, key=lambda each: -(each.per_100_m or 0))[:WORST_SECTIONS],
        all_sections=len(sections),
        seen_m=sum(each.seen_m for each in sections),
        network_m=sum(each.end - each.begin for each in sections),
        pictures={name: base64.b64encode(data).decode() for name, data in pictures.items()},
        width=WIDTH,
    )
    path.write_text(page, encoding="utf-8")


def draw(potholes: Sequence[Pothole], drives: Sequence[Drive], sections: Sequence[Section]) -> Sheet:
    """Return the map, north up, of where the drives led."""
    places = np.array([(p.lat, p.lon) for p in potholes], float).reshape(-1, 2)
    everything = np.vstack([*(drive.path for drive in drives), places])
    origin = everything[0]
    north, east = metres_per_degree(float(origin[0]))

    def metres(points: Numbers) -> Numbers:
        turns = (points[:, 1] - origin[1] + 180) % 360 - 180
        return np.stack([turns * east, -(points[:, 0] - origin[0]) * north], axis=1)

    all_metres = metres(everything)
    low, size = all_metres.min(0), np.maximum(np.ptp(all_metres, axis=0), 1.0)
    scale = min((WIDTH - 2 * MARGIN) / size[0], (MAX_HEIGHT - 2 * MARGIN) / size[1])
    shift = np.array([(WIDTH - scale * size[0]) / 2, MARGIN])

    def units(points: Numbers) -> list[list[float]]:
        return [[float(v) for v in pair] for pair in np.round((metres(points) - low) * scale + shift, 1)]

    def line(points: Numbers) -> str:
        return "M" + "L".join(f"{x} {y}" for x, y in units(points))

    ways = tuple(line(drive.path) for drive in drives)
    # A network may be a country's: roads that lead nowhere near are left out.
    reach = size / 2 + MARGIN / scale
    inside = (s for s in sections if (np.abs(metres(s.line) - low - size / 2) <= reach).all(1).any())
    near = {id(section.road) for section in inside}
    heat = tuple((line(s.line), _heat(s)) for s in sections if id(s.road) in near)
    radii = [4 + 4 * min(2.0, (p.size or {}).get("diameter_m", 0.4)) for p in potholes]
    dots = tuple((x, y, round(r, 1)) for (x, y), r in zip(units(places), radii, strict=True))
    metres_of_bar = max((each for each in SCALES if each * scale <= WIDTH / 4), default=SCALES[0])
    text = f"{metres_of_bar} m" if metres_of_bar < 1000 else f"{metres_of_bar // 1000} km"
    return Sheet(
        round(scale * float(size[1]) + 2 * MARGIN + 20, 1),
        ways,
        dots,
        (round(metres_of_bar * scale, 1), text),
        heat,
    )


def _heat(section: Section) -> str:
    rate = section.per_100_m
    return "unseen" if rate is None else str(sum(rate >= limit for limit in HEAT))

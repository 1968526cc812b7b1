"""A row is one pothole of a list, as all formats have it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

Value = str | int | float | None
# What XML 1.0 has no way to write.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Row:
    """A row is one pothole of a list.

    Attributes:
        id: The same in every list of the same source.
        name: What people call it.
        lat: Degrees north, WGS 84; None where it is not known.
        lon: Degrees east.
        time_utc: When it was seen, in ISO 8601; None where it is not known.
        link: Where it can be looked at; None for nowhere.
        values: All else, by name; the same names in every row of a list.
    """

    id: str
    name: str
    lat: float | None
    lon: float | None
    time_utc: str | None = None
    link: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, Value]:
        """Return all but the place, by name."""
        return {
            "id": self.id,
            "name": self.name,
            "time_utc": self.time_utc,
            **self.values,
            "link": self.link,
        }

    @property
    def place(self) -> tuple[float, float] | None:
        """Return longitude and latitude, None where they are not known."""
        if self.lat is None or self.lon is None:
            return None
        return round(self.lon, 7), round(self.lat, 7)


def placed(rows: Sequence[Row]) -> list[tuple[Row, float, float]]:
    """Return the rows whose place is known, each with its longitude and latitude."""
    return [(row, *row.place) for row in rows if row.place is not None]


def xml_text(value: object) -> str:
    """Return a value as the text of an XML element."""
    return escape(FORBIDDEN.sub("", str(value)))

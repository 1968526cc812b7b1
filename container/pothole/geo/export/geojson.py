"""GeoJSON as RFC 7946 has it: WGS 84, longitude first, and null for a place that is not known."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pothole.geo.export.row import Row, Value
from pothole.types import Json


def write_geojson(path: Path, rows: Sequence[Row]) -> None:
    """Write the list as a collection of points, a line each."""
    write_features(path, (_point(row) for row in rows))


def write_features(path: Path, features: Iterable[tuple[str, Json | None, Mapping[str, Value]]]) -> None:
    """Write a collection of features, a line each.

    Args:
        path: The file.
        features: Id, geometry and properties of each; the geometry is None where the place is not known.
    """
    lines = ",\n".join(_line(*feature) for feature in features)
    path.write_text(f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n', encoding="utf-8")


def _point(row: Row) -> tuple[str, Json | None, Mapping[str, Value]]:
    geometry = None if row.place is None else {"type": "Point", "coordinates": row.place}
    return row.id, geometry, row.properties


def _line(id: str, geometry: Json | None, properties: Mapping[str, Value]) -> str:
    feature = {"type": "Feature", "id": id, "geometry": geometry, "properties": properties}
    return json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

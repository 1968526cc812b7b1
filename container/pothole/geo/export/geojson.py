"""GeoJSON as RFC 7946 has it: WGS 84, longitude first, and null for a place that is not known."""

import json
from collections.abc import Sequence
from pathlib import Path

from pothole.geo.export.row import Row


def write_geojson(path: Path, rows: Sequence[Row]) -> None:
    """Write the list as a collection of points, a line each."""
    features = ",\n".join(_feature(row) for row in rows)
    path.write_text(f'{{"type":"FeatureCollection","features":[\n{features}\n]}}\n', encoding="utf-8")


def _feature(row: Row) -> str:
    geometry = None if row.place is None else {"type": "Point", "coordinates": row.place}
    feature = {"type": "Feature", "id": row.id, "geometry": geometry, "properties": row.properties}
    return json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

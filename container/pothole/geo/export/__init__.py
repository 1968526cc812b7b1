"""Lists of potholes in the formats that maps and road authorities' tools open, a module each."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pothole.geo.export.geojson import write_geojson
from pothole.geo.export.geopackage import write_geopackage
from pothole.geo.export.gpx import write_gpx
from pothole.geo.export.kml import write_kml
from pothole.geo.export.row import Row
from pothole.geo.export.table import write_csv

WRITERS: dict[str, Callable[[Path, Sequence[Row]], None]] = {
    "csv": write_csv,
    "geojson": write_geojson,
    "gpkg": write_geopackage,
    "gpx": write_gpx,
    "kml": write_kml,
}
"""What writes each format, by its name, which is also the suffix of its files."""

__all__ = ["WRITERS", "Row"]

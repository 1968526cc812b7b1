"""GeoPackage 1.3 (OGC 12-128r17), a SQLite file with one layer of points, for QGIS, ArcGIS and the like."""

import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path

from pothole.geo.export.row import Row, Value

APPLICATION_ID = 0x47504B47  # "GPKG"
VERSION = 10300
WGS84 = 4326
LAYER = "potholes"
UNKNOWN_TIME = "1970-01-01T00:00:00.000Z"
WGS84_WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],'
    'AUTHORITY["EPSG","4326"]]'
)
SCHEMA = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY,
  organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL,
  description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL,
  identifier TEXT UNIQUE, description TEXT DEFAULT '', last_change DATETIME NOT NULL, min_x DOUBLE,
  min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL UNIQUE, column_name TEXT NOT NULL,
  geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
  PRIMARY KEY (table_name, column_name), FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
"""
SYSTEMS = [
    ("Undefined Cartesian", -1, "NONE", -1, "undefined", None),
    ("Undefined geographic", 0, "NONE", 0, "undefined", None),
    ("WGS 84", WGS84, "EPSG", WGS84, WGS84_WKT, None),
]


def write_geopackage(path: Path, rows: Sequence[Row]) -> None:
    """Write the list as a layer of points; those whose place is not known have no geometry."""
    path.unlink(missing_ok=True)
    names = list(rows[0].properties) if rows else list(Row("", "", None, None).properties)
    # The layer has a key of its own, `fid`, as its tools expect it.
    columns = [("pothole_id" if name == "id" else name, _kind(name, rows)) for name in names]
    database = sqlite3.connect(path)
    try:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.executescript(SCHEMA)
        database.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", SYSTEMS)
        declared = ", ".join(f"{_quoted(name)} {kind}" for name, kind in columns)
        database.execute(
            f"CREATE TABLE {LAYER} (fid INTEGER PRIMARY KEY AUTOINCREMENT, geom POINT, {declared})"
        )
        places = [row.place for row in rows if row.place]
        bounds = (
            [pick(axis) for pick in (min, max) for axis in zip(*places, strict=True)]
            if places
            else [None] * 4
        )
        last = max((row.time_utc for row in rows if row.time_utc), default=UNKNOWN_TIME)
        contents = (LAYER, "features", LAYER, "", last, *bounds, WGS84)
        database.execute("INSERT INTO gpkg_contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", contents)
        database.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?, ?, ?, ?, ?, ?)",
            (LAYER, "geom", "POINT", WGS84, 0, 0),
        )
        marks = ", ".join("?" * (len(columns) + 1))
        listed = ", ".join(_quoted(name) for name, _ in columns)
        # Names of columns cannot be parameters; these are of our own making, and quoted.
        insert = f"INSERT INTO {LAYER} (geom, {listed}) VALUES ({marks})"  # noqa: S608
        database.executemany(insert, [(_geometry(row.place), *row.properties.values()) for row in rows])
        database.commit()
    finally:
        database.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _kind(name: str, rows: Sequence[Row]) -> str:
    values: list[Value] = [row.properties[name] for row in rows if row.properties[name] is not None]
    if values and all(isinstance(value, int) for value in values):
        return "INTEGER"
    return "REAL" if values and all(isinstance(value, int | float) for value in values) else "TEXT"


def _geometry(place: tuple[float, float] | None) -> bytes | None:
    """Return a point as GeoPackage's binary: a header, then well-known binary, both little-endian."""
    if place is None:
        return None
    return b"GP" + struct.pack("<BBi", 0, 1, WGS84) + struct.pack("<BIdd", 1, 1, *place)

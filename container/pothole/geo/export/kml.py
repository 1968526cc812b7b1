"""KML 2.2, for Google Earth and the like; potholes whose place is not known are left out."""

from collections.abc import Sequence
from pathlib import Path

from pothole.geo.export.row import Row, placed, xml_text


def write_kml(path: Path, rows: Sequence[Row]) -> None:
    """Write the list as placemarks, with all that is known of each as its extended data."""
    marks = "\n".join(_placemark(row, lon, lat) for row, lon, lat in placed(rows))
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="http://www.opengis.net/kml/2.2"><Document>\n'
        f"<name>Potholes</name>\n{marks}\n</Document></kml>\n",
        encoding="utf-8",
    )


def _placemark(row: Row, lon: float, lat: float) -> str:
    data = "".join(
        f'<Data name="{xml_text(name)}"><value>{xml_text(value)}</value></Data>'
        for name, value in row.properties.items()
        if value is not None
    )
    time = f"<TimeStamp><when>{xml_text(row.time_utc)}</when></TimeStamp>" if row.time_utc else ""
    return (
        f"<Placemark><name>{xml_text(row.name)}</name>{time}<ExtendedData>{data}</ExtendedData>"
        f"<Point><coordinates>{lon:.7f},{lat:.7f}</coordinates></Point></Placemark>"
    )

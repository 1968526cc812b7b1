"""GPX 1.1 waypoints, for navigation devices; potholes whose place is not known are left out."""

from collections.abc import Sequence
from pathlib import Path

from pothole.geo.export.row import Row, placed, xml_text


def write_gpx(path: Path, rows: Sequence[Row]) -> None:
    """Write the list as waypoints."""
    points = "\n".join(_waypoint(row, lon, lat) for row, lon, lat in placed(rows))
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="pothole" '
        f'xmlns="http://www.topografix.com/GPX/1/1">\n{points}\n</gpx>\n',
        encoding="utf-8",
    )


def _waypoint(row: Row, lon: float, lat: float) -> str:
    about = ", ".join(f"{name} {value}" for name, value in row.values.items() if value is not None)
    time = f"<time>{xml_text(row.time_utc)}</time>" if row.time_utc else ""
    link = f'<link href="{xml_text(row.link)}"/>' if row.link else ""
    return (
        f'<wpt lat="{lat:.7f}" lon="{lon:.7f}">{time}<name>{xml_text(row.name)}</name>'
        f"<cmt>{xml_text(row.id)}</cmt><desc>{xml_text(about)}</desc>{link}<type>pothole</type></wpt>"
    )

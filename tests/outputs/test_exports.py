"""Lists for maps are opened by GDAL, as the tools of road authorities do."""

import csv
import json
import sqlite3
from pathlib import Path

import pyogrio
import pytest

from pothole.errors import RequestError
from pothole.geo.export import WRITERS, Row
from pothole.job import run_job
from pothole.job_order import Job
from pothole.outputs.registry import OUTPUTS
from pothole.settings import Settings
from pothole.storage import open_folder
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road

EVIL = '=HYPERLINK("http://x")</name><&\x07'
ROWS = [
    Row(
        "a-1",
        "Pothole 1",
        48.1,
        11.5,
        "2026-05-04T12:00:00Z",
        "clip.mp4#t=1.5",
        {"score": 0.9, "hits": 3, "n": EVIL},
    ),
    Row("a-2", "Pothole 2", -33.9, -179.999, None, None, {"score": 0.5, "hits": 1, "n": "-1+2"}),
    Row("a-3", "Pothole 3", None, None, None, None, {"score": 0.4, "hits": 2, "n": None}),
]
PLACES = {(11.5, 48.1), (-179.999, -33.9)}


def opened(
    path: Path, layer: str | None = None
) -> tuple[dict, list[tuple[float, float] | None], dict[str, list]]:
    """What GDAL says of a file: about it, its points, and its fields."""
    about, _, geometry, values = pyogrio.raw.read(path, layer=layer)
    info = pyogrio.read_info(path, layer=layer)
    points = [None if g is None else _point(bytes(g)) for g in geometry]
    return info, points, dict(zip(about["fields"].tolist(), [v.tolist() for v in values], strict=True))


def _point(wkb: bytes) -> tuple[float, float]:
    import struct

    x, y = struct.unpack_from("<dd", wkb, 5)
    return round(x, 6), round(y, 6)


@pytest.mark.parametrize("name", ["geojson", "gpkg", "kml", "gpx"])
def test_gdal_reads_every_format_with_its_places(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"list.{name}"
    WRITERS[name](path, ROWS)
    info, points, fields = opened(path, "waypoints" if name == "gpx" else None)
    assert info["crs"] == "EPSG:4326"
    assert info["geometry_type"].removesuffix(" Z") in ("Point", "Unknown")
    assert {p for p in points if p} == PLACES, "no swapped axes"
    assert len(points) == (3 if name in ("geojson", "gpkg") else 2)
    if name in ("geojson", "gpkg"):
        assert fields["score"] == [0.9, 0.5, 0.4]
        assert fields["hits"] == [3, 1, 2]
        assert fields["n"][0] == EVIL
    else:
        assert fields["Name" if name == "kml" else "name"] == ["Pothole 1", "Pothole 2"]


@pytest.mark.parametrize("name", list(WRITERS))
def test_an_empty_list_is_a_file_that_opens(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"list.{name}"
    WRITERS[name](path, [])
    if name == "csv":
        assert path.read_text().startswith("lat,lon,id,name")
    elif name not in ("kml", "gpx"):  # of these GDAL shows no layer that has nothing in it
        assert opened(path)[1] == []


def test_geojson_is_as_its_standard_has_it(tmp_path: Path) -> None:
    WRITERS["geojson"](tmp_path / "list.geojson", ROWS)
    data = json.loads((tmp_path / "list.geojson").read_text())
    assert "crs" not in data
    assert data["features"][0]["geometry"] == {"type": "Point", "coordinates": [11.5, 48.1]}
    assert data["features"][0]["id"] == "a-1"
    assert data["features"][2]["geometry"] is None


def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path) -> None:
    WRITERS["csv"](tmp_path / "list.csv", ROWS)
    with (tmp_path / "list.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["n"], rows[1]["n"]) == ("'" + EVIL, "'-1+2")
    assert (rows[1]["lat"], rows[1]["lon"]) == ("-33.9", "-179.999"), "numbers stay numbers"
    assert rows[2]["lat"] == ""


def test_a_geopackage_is_whole_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.gpkg", "two.gpkg"):
        WRITERS["gpkg"](tmp_path / name, ROWS)
    assert (tmp_path / "one.gpkg").read_bytes() == (tmp_path / "two.gpkg").read_bytes()
    database = sqlite3.connect(tmp_path / "one.gpkg")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert database.execute("SELECT min_x, max_y FROM gpkg_contents").fetchone() == (-179.999, 48.1)
    database.close()


def test_a_job_writes_the_lists_that_it_is_asked_for(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 12, 6, SIZE, picture=lambda i: road())
    (tmp_path / "t.csv").write_text("time_s,lat,lon\n0,48.1,11.5\n9,48.1001,11.5\n")
    names = ("video", "geojson", "csv", "kml", "gpx", "gpkg")
    job = Job(str(tmp_path), "clip.mp4", is_live=True, outputs=names, track="t.csv")
    result = run_job(job, MagentaDetector(), open_folder, settings)
    assert [Path(o).name for o in result.outputs] == [f"clip_output{OUTPUTS[name].suffix}" for name in names]
    assert result.potholes > 0
    before = (tmp_path / "clip_output.geojson").read_bytes()
    [feature, *_] = json.loads(before)["features"]
    assert feature["properties"]["link"] == f"{tmp_path / 'clip_output.mp4'}#t=0.0"
    assert feature["geometry"]["coordinates"][1] == pytest.approx(48.1, abs=0.001)
    run_job(job, MagentaDetector(), open_folder, settings)
    assert (tmp_path / "clip_output.geojson").read_bytes() == before, "the same ids each time"


def test_a_map_without_a_track_is_refused_before_the_work(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 2, 6, SIZE)
    job = Job(str(tmp_path), "clip.mp4", is_live=True, outputs=("json", "kml", "gpkg"))
    with pytest.raises(RequestError, match="there is no map for kml, gpkg"):
        run_job(job, MagentaDetector(), open_folder, settings)
    run_job(
        Job(str(tmp_path), "clip.mp4", is_live=True, outputs=("csv",)),
        MagentaDetector(),
        open_folder,
        settings,
    )
    assert (tmp_path / "clip_output.csv").read_text().startswith("lat,lon,id,")

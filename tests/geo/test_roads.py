"""A list says on which road each pothole lies, what each section has, and which reports are known already."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import pytest

from geo.test_survey import LENGTH, place, report, run, truth
from pothole.errors import RequestError
from pothole.geo.survey.drives import read_drives
from pothole.geo.survey.lists import Wanted, write_survey
from pothole.geo.survey.reported import read_reported
from pothole.geo.survey.roads import read_roads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def roads(path: Path, *lines: tuple[dict[str, Any], list[tuple[float, float]]]) -> Path:
    """Write a network of lines of metres along and aside."""
    features = [
        {
            "type": "Feature",
            "properties": about,
            "geometry": {"type": "LineString", "coordinates": [place(*point)[::-1] for point in line]},
        }
        for about, line in lines
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def drive(
    path: Path, along: list[tuple[float, float]], potholes: list[tuple[float, float]], day: int
) -> Path:
    """Write the report of a drive without noise, whose way is told point by point."""
    report(path, potholes, day, noise=0.0)
    data = json.loads(path.read_text())
    data["drive"]["path"] = [[float(i), *place(*point)[::-1]] for i, point in enumerate(along)]
    path.write_text(json.dumps(data))
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def way(begin: float, end: float, step: float = 20.0) -> list[tuple[float, float]]:
    return [(float(x), 0.0) for x in np.arange(begin, end + 1, step)]


def test_potholes_have_a_road_and_a_chainage(tmp_path: Path) -> None:
    potholes = [(100.0, 0.0), (700.0, 1.0), (1200.0, -1.0)]
    network = read_roads(
        roads(
            tmp_path / "roads.json",
            ({"name": "Long Road"}, [(-50, 3), (2000, 3)]),
            ({"ref": "A 7", "chainage": 400}, [(700, 300), (700, -300)]),
        )
    )
    drives = read_drives([drive(tmp_path / "1.json", way(0, 1300), potholes, 4)])
    write_survey(tmp_path, drives, Wanted(network=network))
    rows = table(tmp_path / "survey.csv")
    assert [row["road"] for row in rows] == ["Long Road"] * 3, "a road that crosses is no nearer one"
    assert [float(row["chainage_m"]) for row in rows] == pytest.approx([150, 750, 1250], abs=0.5)
    assert {row["direction"] for row in rows} == {"with"}
    assert pyogrio.read_info(tmp_path / "survey.gpkg")["features"] == 3


def test_a_place_far_from_roads_has_none_and_one_that_is_driven_back_is_against(tmp_path: Path) -> None:
    network = read_roads(roads(tmp_path / "r.json", ({}, [(0, 0), (500, 0)])))
    assert network.find(*place(100, 60), 90.0) is None
    found = network.find(*place(100, 5), 270.0)
    assert found is not None
    assert (found.road.name, found.direction) == ("road 0", "against")
    assert found.aside == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize("key", ["name", "RD_NAME", "St_Name", "FULLNAME", "road name", "ref"])
def test_a_road_has_the_name_that_authorities_give_it(tmp_path: Path, key: str) -> None:
    about = {"OBJECTID": 7, "id": "w1", "name": None} | {key: "King Road"}
    [road] = read_roads(roads(tmp_path / "r.json", (about, [(0, 0), (10, 0)]))).roads
    assert road.name == "King Road"


def test_sections_say_what_was_seen_and_what_was_not(tmp_path: Path) -> None:
    """Driven to 300 m, from there to 600 m without positions, never from there on."""
    potholes = [(40.0, 0.0), (60.0, 0.0), (250.0, 0.0)]
    path = [*way(0, 300), (600.0, 0.0)]
    network = read_roads(roads(tmp_path / "r.json", ({"NAME": "Mill Lane"}, [(0, 2), (1030, 2)])))
    drives = read_drives([drive(tmp_path / "1.json", path, potholes, 4)])
    write_survey(tmp_path, drives, Wanted(network=network))
    rows = table(tmp_path / "sections.csv")
    assert [row["potholes"] for row in rows] == ["2", "0", "1", *["0"] * 7]
    assert float(rows[-1]["end_m"]) == pytest.approx(1030, abs=0.2), "the last one takes the rest"
    seen, without, never = (
        sum(float(row[name]) for row in rows) for name in ("seen_m", "without_positions_m", "not_driven_m")
    )
    assert seen == pytest.approx(310, abs=11), "to 15 m around the last position"
    assert without == pytest.approx(300, abs=11)
    assert seen + without + never == pytest.approx(1030, abs=1)
    assert [row["per_100_m"] for row in rows[-3:]] == [""] * 3, "nothing is known where nobody drove"
    frame = pyogrio.raw.read(tmp_path / "sections.geojson")
    assert len(frame[2]) == 10
    assert [row["id"] for row in rows][:2] == ["0-0", "0-100"]
    page = (tmp_path / "survey.html").read_text()
    assert page.count('class="heat heat') == 10
    assert page.count("heatunseen") >= 4
    assert f"{seen / 1000:.2f} of 1.03 km" in page


def test_roads_outside_of_the_map_are_listed_and_not_drawn(tmp_path: Path) -> None:
    network = read_roads(
        roads(tmp_path / "r.json", ({}, [(0, 0), (300, 0)]), ({}, [(90_000, 0), (90_300, 0)]))
    )
    drives = read_drives([drive(tmp_path / "1.json", way(0, 300), [(40.0, 0.0)], 4)])
    write_survey(tmp_path, drives, Wanted(network=network))
    assert len(table(tmp_path / "sections.csv")) == 6
    assert (tmp_path / "survey.html").read_text().count('class="heat heat') == 3


def test_a_pothole_that_is_gone_counts_in_no_section(tmp_path: Path) -> None:
    potholes = truth(count=12)
    reports = [report(tmp_path / f"{day}.json", potholes, day, noise=0.1) for day in (4, 5)]
    reports += [report(tmp_path / f"{day}.json", potholes, day, noise=0.1, missed=(3,)) for day in (6, 7)]
    network = read_roads(roads(tmp_path / "r.json", ({}, [(-10, 0), (LENGTH + 10, 0)])))
    write_survey(tmp_path, read_drives(reports), Wanted(network=network))
    assert sum(int(row["potholes"]) for row in table(tmp_path / "sections.csv")) == 11
    page = (tmp_path / "survey.html").read_text()
    assert page.index("not seen on 2 later drives") > page.rindex("seen on 4 of 4 drives"), "it is shown last"


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("Unique Key,Created Date,Status,Latitude,Longitude", "{id},05/01/2026 10:00:00 AM,Open,{lat},{lon}"),
        ("SR_NUMBER;STATUS;CREATED_DATE;LATITUDE;LONGITUDE", "{id};Open;2026-05-01;{lat};{lon}"),
        ("case_enquiry_id,open_dt,case_status,latitude,longitude", "{id},2026-05-01,Open,{lat},{lon}"),
        ("service_request_id,requested_datetime,status,lat,long", "{id},2026-05-01,Open,{lat},{lon}"),
    ],
)
def test_reports_of_cities_are_matched(
    head: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three near one pothole or another, one where a drive saw none, one where nobody drove, one nowhere."""
    drive(tmp_path / "1_output.json", way(0, 600), [(100.0, 0.0), (400.0, 0.0)], 4)
    known = {"a": (108, 3), "b": (96, -4), "c": (395, 2), "d": (250, 0), "e": (900, 0)}
    lines = [line.format(id=name, lat=place(*at)[0], lon=place(*at)[1]) for name, at in known.items()]
    (tmp_path / "311.csv").write_text("\n".join([head, *lines, line.format(id="f", lat="", lon="")]))
    out = tmp_path / "list"
    run(monkeypatch, "survey", tmp_path, "--reported", tmp_path / "311.csv", "--output-dir", out)
    rows = table(out / "survey.csv")
    assert [(row["reports"], row["report_id"]) for row in rows] == [("2", "b"), ("1", "c")]
    says = {row["id"]: row["drives_say"] for row in table(out / "reports.csv")}
    assert says == {
        "a": "there",
        "b": "there",
        "c": "there",
        "d": "no pothole seen, though a drive came by",
        "e": "no drive came by",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no GeoJSON"),
        ("[]", "has no list of features"),
        ('{"features": []}', "has no line"),
        ('{"features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}', "has no line"),
        ('{"features": [{"geometry": {"type": "LineString", "coordinates": [[1, 2]]}}]}', "Feature 0"),
        ('{"features": [{"geometry": {"type": "LineString", "coordinates": ["x", 1]}}]}', "Feature 0"),
        ('{"features": [7]}', "Feature 0"),
        (
            '{"features": [{"geometry": {"type": "LineString", "coordinates": [[3500, 5e6], [3501, 5e6]]}}]}',
            "not in WGS 84",
        ),
    ],
)
def test_what_is_no_network_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(RequestError, match=message):
        read_roads(tmp_path / "r.json")


def test_reports_of_a_bucket_make_a_list(
    bucket: str, s3: "S3Client", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (4, 5):
        path = report(tmp_path / f"{day}.json", truth(count=12), day)
        s3.upload_file(str(path), bucket, f"may/{day}/drive_output.json")
    s3.put_object(Bucket=bucket, Key="may/4/drive_output.mp4", Body=b"no report")
    run(monkeypatch, "survey", f"s3://{bucket}/may/", "--output-dir", tmp_path / "list")
    assert {row["drives"] for row in table(tmp_path / "list" / "survey.csv")} == {"2"}
    with pytest.raises(SystemExit, match="has no report"):
        run(monkeypatch, "survey", f"s3://{bucket}/june/", "--output-dir", tmp_path / "list")


def test_what_is_no_list_of_reports_is_named(tmp_path: Path) -> None:
    path = tmp_path / "311.csv"
    path.write_text("id,street\n1,Main\n")
    with pytest.raises(RequestError, match="has the columns id, street, and no place"):
        read_reported(path)
    path.write_text("id,lat,lon\n1,0,0\n2,north,east\n")
    with pytest.raises(RequestError, match="no line with a place"):
        read_reported(path)

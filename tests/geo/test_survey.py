"""Many drives become one list: each pothole once, its id the same, and what is gone is said to be."""

import base64
import json
import re
import sys
from collections.abc import Sequence
from io import BytesIO
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest

from pothole.entrypoints.cli import main
from pothole.errors import RequestError
from pothole.geo.survey.drives import read_drives
from pothole.geo.survey.match import match_drives
from pothole.geo.survey.records import Pothole, survey
from pothole.media.picture import read_picture
from pothole.media.telemetry.fixes import distance, metres_per_degree
from support.clips import make_clip
from support.telemetry import LAT, LON

NORTH, EAST = metres_per_degree(LAT)
LENGTH = 1500.0
MEMORY = 200.0  # metres along which a receiver's error stays about the same


def truth(count: int = 50, seed: int = 3) -> list[tuple[float, float]]:
    """Potholes along and aside, at least 10 m apart."""
    rng = np.random.default_rng(seed)
    gaps = 10 + rng.exponential(LENGTH / count - 12, count)
    along = np.cumsum(gaps)
    return [(float(z), float(x)) for z, x in zip(along, rng.uniform(-1.5, 1.5, count), strict=True)]


def place(along: float, aside: float) -> tuple[float, float]:
    """A road that leads east."""
    return LAT - aside / NORTH, LON + along / EAST


def report(
    path: Path,
    potholes: Sequence[tuple[float, float]],
    day: int,
    noise: float = 3.0,
    back: bool = False,
    reach: float = 3000.0,
    missed: Sequence[int] = (),
) -> Path:
    """The report of a drive, whose receiver drifts."""
    rng = np.random.default_rng([day, 11])
    error, last, tracks = rng.normal(0, noise, 2), 0.0, []
    ordered = sorted(enumerate(potholes), key=lambda each: -each[1][0] if back else each[1][0])
    for number, (index, (along, aside)) in enumerate(ordered, start=1):
        stays = np.exp(-abs(along - last) / MEMORY)
        error, last = stays * error + rng.normal(0, noise * np.sqrt(1 - stays**2), 2), along
        if index in missed or along > reach:
            continue
        lat, lon = place(along + error[0], aside + error[1])
        position = {
            "lat": lat,
            "lon": lon,
            "accuracy_m": 6.4,
            "heading": 270.0 if back else 90.0,
            "time_utc": f"2026-05-{day:02}T10:00:00.000Z",
            "distance_m": 3000 - along if back else along,
            "side": "middle",
        }
        record: dict[str, Any] = {"id": number, "truth": index, "best_frame": 1, "best_box": [0, 0, 9, 9]}
        record |= {"first_time_s": 1.0, "max_score": 0.8, "position": position, "size": None}
        tracks.append(record)
    way = [[0.0, *place(0, 0)[::-1]], [200.0, *place(reach, 0)[::-1]]]
    drive = {"track": {}, "began_utc": f"2026-05-{day:02}T10:00:00.000Z", "path": way[::-1] if back else way}
    data = {"source": f"drive{day}.mp4", "output": None, "frames": [], "tracks": tracks, "drive": drive}
    path.write_text(json.dumps(data))
    return path


def listed(reports: Sequence[Path]) -> list[Pothole]:
    return survey(read_drives(reports))


def test_three_noisy_drives_give_each_pothole_once_whatever_their_order(tmp_path: Path) -> None:
    potholes = truth()
    reports = [report(tmp_path / f"{day}.json", potholes, day) for day in (4, 5, 6)]
    lists = [listed(order) for order in permutations(reports)]
    assert len({tuple(p.id for p in each) for each in lists}) == 1, "the same ids in any order"
    found = lists[0]
    assert abs(len(found) - 50) <= 2
    pairs = [(p.best.record["truth"], p) for p in found if p.drives >= 2]
    assert len({index for index, _ in pairs}) >= 0.95 * 50
    for index, pothole in pairs:
        assert distance((pothole.lat, pothole.lon), place(*potholes[index])) < 9


@pytest.mark.parametrize("seed", range(4))
def test_potholes_are_joined_with_themselves(tmp_path: Path, seed: int) -> None:
    potholes = truth(seed=seed)
    drives = read_drives([report(tmp_path / f"{day}.json", potholes, day + 3 * seed) for day in (1, 2, 3)])
    spots = match_drives(drives)
    right = wrong = 0
    for spot in spots:
        truths = [each.record["truth"] for each in spot.seen]
        right += sum(t == truths[0] for t in truths[1:])
        wrong += sum(t != truths[0] for t in truths[1:])
    assert right / (right + wrong) >= 0.95, "precision"
    assert right / 100 >= 0.95, "recall"


def test_ids_stay_when_a_later_drive_is_added(tmp_path: Path) -> None:
    potholes = truth()
    reports = [report(tmp_path / f"{day}.json", potholes[:40], day) for day in (4, 5)]
    before = [p.id for p in listed(reports)]
    after = [p.id for p in listed([*reports, report(tmp_path / "6.json", potholes, 6)])]
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_the_opposite_lane_stays_apart(tmp_path: Path) -> None:
    potholes = truth(20)
    found = listed(
        [report(tmp_path / "4.json", potholes, 4, 0.0), report(tmp_path / "5.json", potholes, 5, 0.0, True)]
    )
    assert len(found) == 40
    assert all(p.covered == 1 for p in found)


def test_a_repaired_pothole_is_noticed_and_one_not_driven_over_is_not(tmp_path: Path) -> None:
    potholes = truth(20)
    repaired, far = 3, 19
    assert potholes[far][0] > potholes[repaired][0] + 100
    short = potholes[far][0] - 50
    found = listed(
        [
            report(tmp_path / "4.json", potholes, 4, 1.0),
            report(tmp_path / "5.json", potholes, 5, 1.0, missed=[repaired], reach=short),
            report(tmp_path / "6.json", potholes, 6, 1.0, missed=[repaired], reach=short),
        ]
    )
    by_truth = {p.best.record["truth"]: p for p in found}
    assert by_truth[repaired].state == "not seen on 2 later drives that came by"
    assert (by_truth[far].state, by_truth[far].covered) == ("there", 1)
    assert (by_truth[0].drives, by_truth[0].covered, by_truth[0].state) == (3, 3, "there")
    assert by_truth[0].first_seen == "2026-05-04T10:00:00.000Z"
    assert by_truth[0].last_seen == "2026-05-06T10:00:00.000Z"


def test_two_potholes_of_one_drive_are_never_one(tmp_path: Path) -> None:
    near = [(100.0, 0.0), (101.0, 0.0)]
    found = listed([report(tmp_path / f"{day}.json", near, day, 0.0) for day in (4, 5)])
    assert [p.drives for p in found] == [2, 2]


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["pothole", *map(str, words)])
    main.main()


def test_the_command_writes_the_list_in_all_formats_and_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    for day in (4, 5):
        report(reports / f"{day}_output.json", truth(12), day)
    run(monkeypatch, "survey", reports, "--output-dir", tmp_path / "list", "--title", "Main <Street>")
    said = capsys.readouterr()
    assert "12 potholes on 2 drives." in said.err
    assert said.out.strip() == str(tmp_path / "list" / "survey.html")
    names = {"csv", "geojson", "gpkg", "gpx", "html", "kml"}
    assert {path.suffix[1:] for path in (tmp_path / "list").iterdir()} == names
    assert pyogrio.read_info(tmp_path / "list" / "survey.gpkg")["features"] == 12
    page = (tmp_path / "list" / "survey.html").read_text()
    assert "Main &lt;Street&gt;" in page
    assert page.count("<circle") == 12
    assert page.count("<figure>") == 12
    assert "src=" not in page.replace('src="data:', "")
    assert "http" not in page.replace("http-equiv", ""), "it needs no network"


def test_a_pothole_is_shown_with_its_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "drive4.mp4", 3, size=(640, 240))
    report(tmp_path / "4_output.json", [(100.0, 0.0)], 4)
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, "survey", tmp_path / "4_output.json", "--output-dir", tmp_path / "list")
    [picture] = re.findall(r"base64,([^\"]+)", (tmp_path / "list" / "survey.html").read_text())
    shown = read_picture(BytesIO(base64.b64decode(picture)), "the picture", 10**6)
    assert shown.shape == (60, 80, 3), "a quarter of the frame's height, 4 to 3"


def test_what_is_no_report_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_output.json").write_text("{}")
    with pytest.raises(RequestError, match=r"a_output\.json is no report"):
        read_drives([tmp_path / "a_output.json"])
    (tmp_path / "b_output.json").write_text('{"source": "x", "tracks": [], "frames": []}')
    with pytest.raises(RequestError, match="mark its video again with a track"):
        read_drives([tmp_path / "b_output.json"])
    drive = report(tmp_path / "c_output.json", truth(), 4)
    drive.write_text(drive.read_text().replace("2026-05-04T10:00:00.000Z", "yesterday"))
    with pytest.raises(RequestError, match=r"c_output\.json is no report of a video, or a damaged one"):
        read_drives([drive])
    with pytest.raises(SystemExit, match=r"There is no .*gone"):
        run(monkeypatch, "survey", tmp_path / "gone")

"""A folder of pictures, whose EXIF says when and where each was taken."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from pothole.errors import InvalidMedia
from pothole.job import run_job
from pothole.job_order import Job
from pothole.media.telemetry.clock import clock_of_pictures
from pothole.settings import Settings
from pothole.storage import open_folder
from support.fakes import MagentaDetector
from support.pictures import road
from support.telemetry import START, Point, drive, gpx

SECONDS = 6  # from the first picture to the last


def survey(folder: Path, points: list[Point], positions: bool = True) -> Path:
    """Pictures of a drive, one a second."""
    (folder / "survey").mkdir()
    for seconds, lat, lon in points:
        exif = Pillow.Exif()
        details = exif.get_ifd(0x8769)
        details[0x9003] = (START + timedelta(seconds=seconds)).strftime("%Y:%m:%d %H:%M:%S")
        details[0x9011] = "+00:00"
        if positions:
            gps = exif.get_ifd(0x8825)
            for tag, ref, value, names in ((2, 1, lat, "NS"), (4, 3, lon, "EW")):
                gps[tag], gps[ref] = (abs(value), 0.0, 0.0), names[value < 0]
        Pillow.fromarray(road()).save(folder / "survey" / f"p{seconds:.0f}.jpg", exif=exif, quality=95)
    return folder


def marked(folder: Path, settings: Settings, **fields: Any) -> dict[str, Any]:
    job = Job(str(folder), "survey/", is_live=True, outputs=("json", "geojson"), **fields)
    run_job(job, MagentaDetector(), open_folder, settings)
    return json.loads((folder / "survey_output.json").read_text())  # type: ignore[no-any-return]


def test_the_positions_in_pictures_place_what_they_show(tmp_path: Path, settings: Settings) -> None:
    points = drive(SECONDS)
    report = marked(survey(tmp_path, points), settings)
    assert report["drive"]["track"]["source"] == "exif"
    assert report["drive"]["track"]["fixes"] == SECONDS + 1
    assert [at[0] for at in (report["drive"]["path"][0], report["drive"]["path"][-1])] == [0, SECONDS]
    assert json.loads((tmp_path / "survey_output.geojson").read_text())["features"]


@pytest.mark.parametrize(("before", "after"), [(4, 0), (600, 600)])
def test_the_times_of_pictures_are_the_clock_of_a_track(
    tmp_path: Path, settings: Settings, before: int, after: int
) -> None:
    way = drive(before + SECONDS + after)
    track = [(seconds - before, lat, lon) for seconds, lat, lon in way]
    folder = survey(tmp_path, track[before : before + SECONDS + 1], positions=False)
    (folder / "drive.gpx").write_text(gpx(track))
    report = marked(folder, settings, track="drive.gpx")
    assert report["drive"]["track"]["clock"] == "EXIF"
    begins = next(at for at in report["drive"]["path"] if at[0] >= -0.5)
    assert begins[1:] == pytest.approx([way[before + round(begins[0])][2], way[0][1]], abs=1e-6)


def test_a_track_of_another_day_is_refused(tmp_path: Path, settings: Settings) -> None:
    folder = survey(tmp_path, drive(SECONDS), positions=False)
    earlier = [(seconds - 5 * 365 * 86400, lat, lon) for seconds, lat, lon in drive(SECONDS)]
    (folder / "drive.gpx").write_text(gpx(earlier))
    with pytest.raises(InvalidMedia, match="no time in common"):
        marked(folder, settings, track="drive.gpx")
    assert (
        marked(folder, settings, track="drive.gpx", track_offset_s=0.0)["drive"]["track"]["fixes"]
        == SECONDS + 1
    )


def test_a_pause_that_is_not_shown_in_full_moves_no_position() -> None:
    clock = clock_of_pictures([10.0, 11.0, 11.0, 12.0, 110.0], [0.0, 1.0, 1.5, 2.0, 7.0])
    assert [clock.time_of(elapsed) for elapsed in (-2.0, 0.5, 1.0, 51.0, 101.0)] == [-2.0, 0.5, 1.0, 4.5, 8.0]

"""A job that knows where its camera was says where each pothole is; one that does not is as ever."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pothole.errors import InvalidMedia, SourceNotFound
from pothole.geo.flow import Flow
from pothole.geo.plane import Camera
from pothole.job import run_job
from pothole.job_order import Job
from pothole.media import Frame
from pothole.media.telemetry.fixes import distance, metres_per_degree
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.sightings import SightingsSink
from pothole.settings import Settings
from pothole.storage import open_folder
from pothole.types import Image
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector
from support.moving_road import MovingRoad
from support.telemetry import LAT, LON, drive

SPEED = 8.0
POTHOLES = [(-1.0, 14.0, 0.35), (1.2, 22.0, 0.3)]  # aside, along, radius, in metres
ROAD = MovingRoad(POTHOLES, rate=15, speed=SPEED)


def picture(index: int) -> Image:
    frame, potholes = ROAD.picture(index)
    image = frame.rgb()
    for mask, (left, top, right, bottom) in zip(potholes.masks, potholes.mask_boxes, strict=True):
        image[top:bottom, left:right][mask] = MAGENTA
    return image


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a drive past two potholes, and its track."""
    folder = tmp_path_factory.mktemp("drive")
    make_clip(folder / "clip.mp4", 60, 15, ROAD.size[::-1], picture=picture)
    rows = [f"{t},{lat:.8f},{lon:.8f}" for t, lat, lon in drive(6, SPEED)]
    (folder / "clip.csv").write_text("\n".join(["time_s,lat,lon", *rows]))
    return folder / "clip.mp4"


def report(clip: Path, to: Path, settings: Settings, **fields: object) -> dict:
    job = replace(
        Job(str(clip.parent), "clip.mp4", is_live=True, outputs=("json",), output_bucket=str(to)), **fields
    )
    run_job(job, MagentaDetector(), open_folder, settings)
    return json.loads((to / "clip_output.json").read_text())


def test_each_pothole_has_its_place(clip: Path, tmp_path: Path, settings: Settings) -> None:
    data = report(clip, tmp_path, settings, track="clip.csv")
    assert len(data["tracks"]) == 2
    north, east = metres_per_degree(LAT)
    for record, (aside, along, _) in zip(data["tracks"], POTHOLES, strict=True):
        at = record["position"]
        truth = LAT - aside / north, LON + along / east
        assert distance((at["lat"], at["lon"]), truth) < 1.0
        assert at["side"] == ("left" if aside < 0 else "right")
        assert at["distance_m"] == pytest.approx(along, abs=1.0)
        assert at["heading"] == pytest.approx(90, abs=0.5)
        assert 6 < at["accuracy_m"] < 9, "a track that does not say how good it is"
    about = data["drive"]
    assert about["track"]["source"] == "csv"
    assert about["track"]["fixes"] == 7
    assert about["track"]["length_m"] == pytest.approx(6 * SPEED, abs=0.1)
    assert about["track"]["length_m"] == round(about["track"]["length_m"], 1)
    assert about["ground_plane"]["source"] == "speed"
    assert about["ground_plane"]["horizon_px"] == pytest.approx(0.3 * 360, abs=6)
    assert data["settings"]["track"] == "clip.csv"


def test_without_a_track_the_report_is_as_ever(clip: Path, tmp_path: Path, settings: Settings) -> None:
    data = report(clip, tmp_path, settings)
    assert "drive" not in data
    assert set(data["settings"]) == {
        *("is_live", "frame_interval", "video_stream", "deinterlace", "short_labels", "render")
    }
    assert all("position" not in record for record in data["tracks"])


def test_a_camera_alone_gives_no_place_and_the_reason_is_said(
    clip: Path, tmp_path: Path, settings: Settings
) -> None:
    data = report(clip, tmp_path, settings, camera=Camera(height_m=1.3, focal_px=512))
    assert [record["position"] for record in data["tracks"]] == [None, None]
    assert data["drive"]["track"] is None
    assert data["drive"]["ground_plane"]["source"] == "camera"


def test_the_offset_of_the_user_moves_the_places(clip: Path, tmp_path: Path, settings: Settings) -> None:
    data = report(clip, tmp_path, settings, track="clip.csv", track_offset_s=-0.5)
    assert data["tracks"][0]["position"]["distance_m"] == pytest.approx(14 + 0.5 * SPEED, abs=1.0)
    assert data["settings"]["track_offset_s"] == -0.5


def test_a_track_that_is_missing_or_none_ends_the_job(clip: Path, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(SourceNotFound, match=r"gone\.gpx"):
        report(clip, tmp_path, settings, track="gone.gpx")
    with pytest.raises(InvalidMedia, match=r"clip\.mp4 is no track"):
        report(clip, tmp_path, settings, track="clip.mp4")
    assert not list(tmp_path.glob("*output*"))


def recorded(path: Path) -> SightingsSink:
    sink = SightingsSink(Fraction(15), None, Camera(), True)
    flow = Flow(0.5, 0.04, np.array([[1.25, 2.0]]), np.array([[1.5, 3.0]]))
    with sink.open_part(path) as part:
        for index in range(3):
            frame, found = ROAD.picture(index)
            part.write(
                MarkedFrame(Frame(index, index, Fraction(index, 15), frame.picture), found, False, flow)
            )
    return sink


def test_a_part_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "part.jsonl"
    sink = recorded(path)
    sink.check_part(path, 3)
    sink.append(path)
    assert [seen.track_id for seen in sink.sightings] == [1, 1], "every other frame"
    assert sink.sightings[0].outline.shape[1] == 2
    assert (len(sink.flows), sink.flows[0].points.tolist()) == (3, [[1.25, 2.0]])


@pytest.mark.parametrize(
    ("old", "new"), [('{"frames":3}', '{"frames":4}'), ('"gap":0.04', '"gap":-1'), ('"id":1', '"id":"x"')]
)
def test_a_damaged_part_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "part.jsonl"
    sink = recorded(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"part\.jsonl"):
        sink.check_part(path, 3)
    path.write_text("")
    with pytest.raises(ValueError, match=r"part\.jsonl has the sightings of 0 frames, expected 1"):
        sink.check_part(path, 1)

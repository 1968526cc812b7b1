import json
from pathlib import Path

import av
import cv2
import pytest

from pothole.errors import RequestError
from pothole.job import run_job
from pothole.job_order import Job
from pothole.job_result import JobResult
from pothole.media import Video
from pothole.outputs.registry import OUTPUTS, chosen_outputs
from pothole.settings import Settings
from pothole.storage import Confirm, open_folder
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road

TRACK = "time_s,lat,lon\n0,48.1,11.5\n9,48.1001,11.5\n"


def done(folder: Path, settings: Settings, *outputs: str) -> JobResult:
    if not (folder / "clip.mp4").exists():
        make_clip(folder / "clip.mp4", 12, 6, SIZE, picture=lambda i: road())
    job = Job(str(folder), "clip.mp4", is_live=True, outputs=outputs)
    return run_job(job, MagentaDetector(), open_folder, settings)


def made(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "_output" in path.name)


def test_what_is_asked_for_is_made_and_nothing_else(tmp_path: Path, settings: Settings) -> None:
    both = tmp_path / "both"
    for names in (["json"], ["video"], ["contact_sheet"], ["json", "contact_sheet"]):
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        result = done(folder, settings, *names)
        assert made(folder) == sorted(f"clip_output{OUTPUTS[name].suffix}" for name in names)
        assert result.outputs == tuple(str(folder / f"clip_output{OUTPUTS[n].suffix}") for n in names)
        assert (result.frames, result.frames_with_potholes) == (12, 12)
    both.mkdir()
    done(both, settings, "json", "video")
    alone = json.loads((tmp_path / "json" / "clip_output.json").read_text())
    beside = json.loads((both / "clip_output.json").read_text())
    assert (alone["output"], beside["output"]) == (None, str(both / "clip_output.mp4"))
    assert alone["frames"] == beside["frames"]
    assert alone["tracks"] == beside["tracks"]
    assert (tmp_path / "video" / "clip_output.mp4").read_bytes() == (both / "clip_output.mp4").read_bytes()
    with Video.open(tmp_path / "video" / "clip_output.mp4") as video:
        assert len(list(video.frames())) == 12
    assert cv2.imread(str(tmp_path / "contact_sheet" / "clip_output.jpg")) is not None


def test_without_the_video_nothing_is_encoded(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "clip.mp4", 12, 6, SIZE, picture=lambda i: road())

    def encode(*args: object) -> None:
        raise AssertionError("a frame was encoded")

    monkeypatch.setattr("pothole.media.segment.SegmentWriter.write", encode)
    monkeypatch.setattr("pothole.outputs.annotate.marked", encode)
    assert done(tmp_path, settings, "json").frames == 12


def test_outputs_have_one_order_whoever_names_them() -> None:
    assert chosen_outputs(["contact_sheet", "json", "video", "json"]) == ("video", "json", "contact_sheet")
    assert Job("b", "clip.mp4", outputs=("json", "video")) == Job("b", "clip.mp4")


@pytest.mark.parametrize(
    ("names", "message"), [([], "outputs names nothing"), (["json", "mp4"], "'mp4', which is no output")]
)
def test_what_is_no_output_is_named_with_those_that_are(names: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        chosen_outputs(names)
    assert "video, json, contact_sheet" in str(caught.value.hint)


def test_a_failed_job_leaves_no_output(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 12, 6, SIZE, picture=lambda i: road())

    class Failing(MagentaDetector):
        def predict(self, *args: object, **kwargs: object) -> list[object]:  # type: ignore[override]
            raise OSError("broken")

    (tmp_path / "t.csv").write_text(TRACK)
    job = Job(str(tmp_path), "clip.mp4", is_live=True, outputs=tuple(OUTPUTS), track="t.csv")
    with pytest.raises(OSError, match="broken"):
        run_job(job, Failing(), open_folder, settings)
    assert made(tmp_path) == []
    assert not list(settings.temp_dir.iterdir())


def test_the_marked_video_is_published_last(tmp_path: Path, settings: Settings) -> None:
    published: list[str] = []

    class Recording:
        def __init__(self, folder: str) -> None:
            self._store = open_folder(folder)

        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            published.append(f"{key} {content_type}")
            return self._store.publish(path, key, content_type, confirm)

        def __getattr__(self, name: str) -> object:
            return getattr(self._store, name)

    make_clip(tmp_path / "clip.mp4", 2, 6, SIZE)
    (tmp_path / "t.csv").write_text(TRACK)
    job = Job(str(tmp_path), "clip.mp4", is_live=True, outputs=tuple(OUTPUTS), track="t.csv")
    result = run_job(job, MagentaDetector(), Recording, settings)  # type: ignore[arg-type]
    assert published == [
        "pothole_detection/clip.json application/json",
        "clip_output.gpkg application/geopackage+sqlite3",
        "clip_output.gpx application/gpx+xml",
        "clip_output.kml application/vnd.google-earth.kml+xml",
        "clip_output.csv text/csv",
        "clip_output.geojson application/geo+json",
        "clip_output.html text/html; charset=utf-8",
        "clip_output.jpg image/jpeg",
        "clip_output.json application/json",
        "clip_output.mp4 video/mp4",
    ]
    assert result.outputs[0].endswith(".mp4")
    with av.open(result.outputs[0]) as container:
        assert container.streams.video[0].frames == 2

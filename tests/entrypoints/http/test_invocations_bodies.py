"""Pictures and videos as bodies, through the web application."""

import io
import json
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image as Pillow

from pothole.entrypoints.http.app import create_app
from pothole.media import Video
from pothole.settings import Settings
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector
from support.heic import heic
from support.pictures import SIZE, coded, road

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.usefixtures("no_temporary_file_is_left")


@pytest.mark.parametrize(
    ("content_type", "format"),
    [
        ("image/jpeg", "JPEG"),
        ("image/jpg", "JPEG"),
        ("image/webp", "WEBP"),
        ("image/tiff", "TIFF"),
        ("image/avif", "AVIF"),
        ("image/png", "PNG"),
        ("image/bmp", "BMP"),
        ("image/gif", "GIF"),
        ("application/x-image", "PNG"),
        ("image/heic", "HEIC"),
        ("image/heif", "HEIC"),
        ("application/x-image", "HEIC"),
    ],
)
def test_a_picture_is_answered_with_its_potholes(client: FlaskClient, content_type: str, format: str) -> None:
    data = heic(road()) if format == "HEIC" else coded(road(), format)
    response = client.post("/invocations", data=data, content_type=content_type)
    assert response.status_code == HTTPStatus.OK
    assert response.json is not None
    assert response.json["image"] == {"width": 160, "height": 96}
    [found] = response.json["output"]
    assert found["label"] == "pothole"
    assert np.allclose(found["box"], [60, 20, 92, 36], atol=2)
    assert found["polygons"]


@pytest.mark.parametrize(
    ("accept", "format"), [("image/png", "PNG"), ("image/jpeg", "JPEG"), ("image/*", "JPEG")]
)
def test_a_picture_comes_back_marked_when_pictures_are_accepted(
    client: FlaskClient, accept: str, format: str
) -> None:
    response = client.post(
        "/invocations", data=coded(road()), content_type="image/png", headers={"Accept": accept}
    )
    assert response.status_code == HTTPStatus.OK
    with Pillow.open(io.BytesIO(response.data)) as picture:
        assert picture.format == format
        assert picture.size == SIZE
        marked = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(marked[28, 76] - MAGENTA).max() > 30, "the pothole is not tinted"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, image/png;q=0.5"])
def test_json_is_what_comes_back_where_it_is_accepted(client: FlaskClient, accept: str) -> None:
    response = client.post(
        "/invocations", data=coded(road()), content_type="image/png", headers={"Accept": accept}
    )
    assert response.is_json


def test_a_photograph_that_was_taken_sideways_is_read_upright(client: FlaskClient) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned clockwise
    response = client.post("/invocations", data=coded(road(), "JPEG", exif=exif), content_type="image/jpeg")
    assert response.json is not None
    assert response.json["image"] == {"width": 96, "height": 160}
    assert np.allclose(response.json["output"][0]["box"], [96 - 36, 60, 96 - 20, 92], atol=2)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_kind_of_pixel_is_read(client: FlaskClient, mode: str) -> None:
    file = io.BytesIO()
    Pillow.new(mode, SIZE).save(file, "JPEG" if mode == "CMYK" else "PNG")
    response = client.post("/invocations", data=file.getvalue(), content_type="application/x-image")
    assert response.status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"not a picture", coded(road())[:200], b"\x89PNG\r\n\x1a\n" * 9]
)
def test_what_is_no_picture_is_a_422(client: FlaskClient, data: bytes) -> None:
    response = client.post("/invocations", data=data, content_type="image/png")
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert response.json is not None
    assert response.json["error"]["code"] == "invalid_media"


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = coded(np.zeros((4000, 5000, 3), np.uint8))
    assert len(bomb) < 100_000
    app = create_app(replace(settings, max_image_pixels=5000 * 4000 - 1), lambda _: MagentaDetector())
    app.extensions["worker"].result()
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    response = app.test_client().post("/invocations", data=bomb, content_type="image/png")
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert response.json is not None
    assert "5000x4000 pixels" in response.json["error"]["message"]


def test_a_picture_of_too_many_bytes_is_a_413(settings: Settings) -> None:
    app = create_app(replace(settings, max_image_bytes=100), lambda _: MagentaDetector())
    app.extensions["worker"].result()
    response = app.test_client().post("/invocations", data=bytes(101), content_type="image/png")
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


# Videos


def test_a_video_comes_back_marked(client: FlaskClient, tmp_path: Path, settings: Settings) -> None:
    source = make_clip(tmp_path / "clip.mov", 5, size=SIZE, picture=road)
    with client.post("/invocations", data=source.read_bytes(), content_type="video/quicktime") as response:
        assert response.status_code == HTTPStatus.OK
        assert response.mimetype == "video/mp4"
        assert not list(settings.temp_dir.iterdir()), "files are left while the answer is sent"
        assert int(response.headers["Content-Length"]) == len(response.data)
        assert json.loads(response.headers["X-Job"])["potholes"] == 1
        (tmp_path / "marked.mp4").write_bytes(response.data)
    with Video.open(tmp_path / "marked.mp4") as video:
        assert len(list(video.frames())) == 5


def test_a_long_warning_does_not_cost_the_answer(client: FlaskClient, tmp_path: Path) -> None:
    """A proxy takes so many bytes of headers, and answers with an error where there are more."""
    with av.open(tmp_path / "many.mp4", "w") as container:
        videos = [container.add_stream("mpeg4", rate=25, width=64, height=48) for _ in range(24)]
        for video in videos:
            container.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
            container.mux(video.encode())
    data = (tmp_path / "many.mp4").read_bytes()
    with client.post("/invocations", data=data, content_type="video/mp4") as response:
        assert response.status_code == HTTPStatus.OK
        warning = json.loads(response.headers["X-Job"])["warning"]
    assert "streams" in warning
    assert len(warning) == 301


def test_a_body_that_is_no_video_is_a_422(client: FlaskClient) -> None:
    response = client.post("/invocations", data=b"not a video", content_type="video/mp4")
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert response.json is not None
    assert response.json["error"]["message"].startswith("body is not a video")


def test_videos_as_bodies_are_counted_as_jobs(client: FlaskClient, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 3, size=SIZE, picture=road).read_bytes()
    for body in (clip, clip, b"not a video"):
        client.post("/invocations", data=body, content_type="video/mp4").close()
    counted = client.get("/metrics").text
    assert 'pothole_jobs_total{outcome="done"} 2.0' in counted
    assert 'pothole_jobs_total{outcome="failed"} 1.0' in counted
    assert "pothole_job_seconds_count 3.0" in counted

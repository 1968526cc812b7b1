"""The web application against a real S3 emulator."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import boto3
import numpy as np
import pytest
from botocore.stub import Stubber
from flask.testing import FlaskClient
from PIL import Image as Pillow

from clips import make_clip
from fakes import MAGENTA, MagentaDetector
from pothole.detector import Image
from pothole.errors import ModelError
from pothole.serving.app import create_app
from pothole.settings import Settings
from pothole.storage import S3Storage, Storage
from pothole.video import Video

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIZE = (160, 96)


def road(number: int = 0) -> Image:
    image = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    image[20 + number : 36 + number, 60:92] = MAGENTA
    return image


def coded(image: Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, format, **options)
    return file.getvalue()


@pytest.fixture(autouse=True)
def no_temporary_file_is_left(settings: Settings) -> Iterator[None]:
    yield
    assert not list(settings.temp_dir.iterdir())


# Jobs


@dataclass
class Road:
    """A bucket with a clip in it, and the server beside it."""

    client: FlaskClient
    s3: "S3Client"
    bucket: str
    folder: Path

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def job(self, key: str, **fields: Any) -> Any:
        body = {"input": {"s3_bucket": self.bucket, "s3_source_filename": key, "is_live": True, **fields}}
        return self.client.post("/invocations", json=body)

    def etags(self) -> dict[str, str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: item["ETag"] for item in listed}


@pytest.fixture
def s3_road(client: FlaskClient, s3: "S3Client", bucket: str, tmp_path: Path) -> Road:
    road_ = Road(client, s3, bucket, tmp_path)
    road_.put("good.mp4", make_clip(tmp_path / "good.mp4", 4, size=SIZE, picture=road).read_bytes())
    return road_


def test_a_job_writes_video_and_data_beside_the_source_and_says_so(s3_road: Road, tmp_path: Path) -> None:
    s3_road.put("dir/a b+ü.mov", (tmp_path / "good.mp4").read_bytes())
    response = s3_road.job("/dir/a b+ü.mov")

    assert response.status_code == HTTPStatus.OK
    outputs = [f"s3://{s3_road.bucket}/dir/a b+ü_output{suffix}" for suffix in (".mp4", ".json")]
    assert response.json["output"] == outputs
    job = response.json["job"]
    assert (job["frames"], job["potholes"], job["frames_with_potholes"]) == (4, 1, 4)
    assert job["warning"] is None
    assert int(response.headers["Content-Length"]) == len(response.data)
    marked = s3_road.s3.get_object(Bucket=s3_road.bucket, Key="dir/a b+ü_output.mp4")
    assert marked["ContentType"] == "video/mp4"
    (tmp_path / "marked.mp4").write_bytes(marked["Body"].read())
    with Video.open(tmp_path / "marked.mp4") as video:
        assert len(list(video.frames())) == 4
    data = s3_road.s3.get_object(Bucket=s3_road.bucket, Key="dir/a b+ü_output.json")
    assert data["ContentType"] == "application/json"
    assert json.load(data["Body"])["source"] == f"s3://{s3_road.bucket}/dir/a b+ü.mov"


def test_the_body_of_the_original_system_is_answered(s3_road: Road) -> None:
    body = {"input": {"s3_source_filename": "/good.mp4", "s3_bucket": s3_road.bucket, "is_live": False}}
    response = s3_road.client.post("/invocations", json=body)
    assert response.status_code == HTTPStatus.OK
    assert response.json["job"]["frames"] == 1


def audio_alone(folder: Path) -> bytes:
    path = folder / "audio.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.parametrize(
    ("key", "make", "status", "code", "message"),
    [
        ("empty.mp4", lambda _: b"", 422, "invalid_media", "empty.mp4 is empty."),
        ("note.mp4", lambda _: b"Dear road,\n" * 99, 422, "invalid_media", "note.mp4 is not a video"),
        ("audio.mp4", audio_alone, 422, "invalid_media", "audio.mp4 has no video stream"),
        ("ended.mp4", lambda f: (f / "good.mp4").read_bytes()[:200], 422, "invalid_media", "ended.mp4"),
        ("x_output.mp4", lambda f: (f / "good.mp4").read_bytes(), 400, "source_is_output", "x_output.mp4"),
    ],
)
def test_a_source_that_is_no_video_is_refused_and_left_alone(
    s3_road: Road, key: str, make: Callable[[Path], bytes], status: int, code: str, message: str
) -> None:
    s3_road.put(key, make(s3_road.folder))
    before = s3_road.etags()
    response = s3_road.job(key)

    assert response.status_code == status
    error = response.json["error"]
    assert error["code"] == code
    assert message in error["message"]
    assert error["hint"]
    assert s3_road.etags() == before
    assert s3_road.job("good.mp4").status_code == HTTPStatus.OK


def test_a_missing_object_is_a_404_and_not_a_success(s3_road: Road) -> None:
    response = s3_road.job("dir/missing.mp4")
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert response.json["error"]["code"] == "source_not_found"
    assert f"s3://{s3_road.bucket}/dir/missing.mp4" in response.json["error"]["message"]
    assert s3_road.job("good.mp4").status_code == HTTPStatus.OK


def test_a_missing_bucket_is_a_404(s3_road: Road) -> None:
    response = s3_road.job("good.mp4", s3_bucket="no-such-bucket")
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert "s3://no-such-bucket/good.mp4" in response.json["error"]["message"]


def test_a_missing_output_bucket_is_a_404_and_publishes_nothing(s3_road: Road) -> None:
    before = s3_road.etags()
    response = s3_road.job("good.mp4", output_bucket="no-such-bucket")
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert "bucket no-such-bucket" in response.json["error"]["message"]
    assert s3_road.etags() == before


def test_a_missing_permission_is_a_403_that_names_it(settings: Settings) -> None:
    client = boto3.session.Session().client("s3", region_name="us-east-1")

    def open_refused(bucket: str) -> Storage:
        return S3Storage(bucket, client)

    app = create_app(settings, lambda _: MagentaDetector(), open_refused)
    app.extensions["detector"].result()
    with Stubber(client) as stub:
        stub.add_client_error("head_object", "403", http_status_code=403)
        body = {"input": {"s3_bucket": "secret", "s3_source_filename": "clip.mp4"}}
        response = app.test_client().post("/invocations", json=body)
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert response.json is not None
    assert response.json["error"]["code"] == "access_denied"
    assert "s3:GetObject" in response.json["error"]["hint"]


def test_an_object_above_the_limit_is_a_413(s3_road: Road, settings: Settings) -> None:
    app = create_app(replace(settings, max_video_bytes=100), lambda _: MagentaDetector())
    app.extensions["detector"].result()
    response = Road(app.test_client(), s3_road.s3, s3_road.bucket, s3_road.folder).job("good.mp4")
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert "above the limit of 100" in response.json["error"]["message"]


def test_a_truncated_video_is_marked_and_the_answer_says_how_much_is_missing(s3_road: Road) -> None:
    def noise(number: int) -> Image:
        return np.random.default_rng(number).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)

    whole = make_clip(s3_road.folder / "w.mp4", 40, size=SIZE, picture=noise, faststart=True).read_bytes()
    s3_road.put("cut.mp4", whole[: len(whole) // 2])
    response = s3_road.job("cut.mp4")
    assert response.status_code == HTTPStatus.OK
    job = response.json["job"]
    assert 0 < job["frames"] < 40
    assert job["missing_frames"] == 40 - job["frames"]
    assert "cut short" in job["warning"]
    assert "cut_output.mp4" in s3_road.etags()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not JSON"),
        (b"{", "The body is not JSON"),
        (b"\xff\xfe\x00", "The body is not JSON"),
        (b"[" * 100_000, "The body is not JSON"),
        (b"[]", "The body is [], expected a JSON object"),
        (b'{"input": {"s3_source_filename": "c.mp4"}}', "input.s3_bucket is missing"),
        (b'{"input": {"s3_bucket": "b"}}', "input.s3_source_filename is missing"),
        (b'{"input": {"s3_bucket": "b", "s3_source_filename": "c", "is_live": "False"}}', "input.is_live"),
        (b'{"input": {"s3_bucket": "b", "s3_source_filename": "c", "key": 1}}', "input.key is not a known"),
    ],
)
def test_a_wrong_body_is_a_400_that_says_what_is_wrong(
    client: FlaskClient, body: bytes, message: str
) -> None:
    response = client.post("/invocations", data=body, content_type="application/json")
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert response.json is not None
    assert response.json["error"]["code"] == "invalid_request"
    assert message in response.json["error"]["message"]
    assert response.json["error"]["hint"]


def test_json_above_a_mebibyte_is_a_413(client: FlaskClient) -> None:
    response = client.post("/invocations", data=b" " * (2**20 + 1), content_type="application/json")
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "image/webp", None])
def test_other_content_types_are_a_415_that_lists_what_is_read(
    client: FlaskClient, content_type: str | None
) -> None:
    response = client.post("/invocations", data=b"x", content_type=content_type)
    assert response.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert response.json is not None
    assert "image/jpeg" in response.json["error"]["hint"]


# Pictures


@pytest.mark.parametrize(
    ("content_type", "format"),
    [
        ("image/jpeg", "JPEG"),
        ("image/png", "PNG"),
        ("image/bmp", "BMP"),
        ("image/gif", "GIF"),
        ("application/x-image", "PNG"),
    ],
)
def test_a_picture_is_answered_with_its_potholes(client: FlaskClient, content_type: str, format: str) -> None:
    response = client.post("/invocations", data=coded(road(), format), content_type=content_type)
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
    app.extensions["detector"].result()
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    response = app.test_client().post("/invocations", data=bomb, content_type="image/png")
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert response.json is not None
    assert "5000x4000 pixels" in response.json["error"]["message"]


def test_a_picture_of_too_many_bytes_is_a_413(settings: Settings) -> None:
    app = create_app(replace(settings, max_image_bytes=100), lambda _: MagentaDetector())
    app.extensions["detector"].result()
    response = app.test_client().post("/invocations", data=bytes(101), content_type="image/png")
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


# Videos as bodies


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


def test_a_body_that_is_no_video_is_a_422(client: FlaskClient) -> None:
    response = client.post("/invocations", data=b"not a video", content_type="video/mp4")
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert response.json is not None
    assert response.json["error"]["message"].startswith("body is not a video")


# The rest


def test_ping_says_503_while_the_model_loads_and_200_afterwards(settings: Settings) -> None:
    loaded = threading.Event()

    def load(_: Path) -> MagentaDetector:
        loaded.wait(10)
        return MagentaDetector()

    app = create_app(settings, load)
    client = app.test_client()
    for response in (client.get("/ping"), client.post("/invocations", json={})):
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert response.json is not None
        assert response.json["error"]["code"] == "not_ready"
        assert response.headers["Retry-After"]
    loaded.set()
    app.extensions["detector"].result()
    assert client.get("/ping").status_code == HTTPStatus.OK


def test_the_model_folder_of_the_settings_is_loaded(settings: Settings) -> None:
    asked: list[Path] = []

    def load(model_dir: Path) -> MagentaDetector:
        asked.append(model_dir)
        return MagentaDetector()

    create_app(settings, load).extensions["detector"].result()
    assert asked == [settings.model_dir]


def test_a_model_that_cannot_be_loaded_is_said_by_ping(settings: Settings) -> None:
    def load(model_dir: Path) -> MagentaDetector:
        raise ModelError("The model folder has no config.json.")

    app = create_app(settings, load)
    app.extensions["detector"].exception()
    response = app.test_client().get("/ping")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert response.json is not None
    assert response.json["error"]["message"] == "The model folder has no config.json."


def test_execution_parameters_stay_within_what_batch_transform_allows(client: FlaskClient) -> None:
    parameters = client.get("/execution-parameters").get_json()
    assert parameters["BatchStrategy"] == "SINGLE_RECORD"
    assert parameters["MaxConcurrentTransforms"] * parameters["MaxPayloadInMB"] <= 100


@pytest.mark.parametrize("path", ["/", "/nothing", "/invocations/", "/static/app.py"])
def test_other_paths_are_a_404_as_json(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert response.json is not None
    assert response.json["error"]["code"] == "not_found"


def test_other_methods_are_a_405_as_json_that_says_which_is_allowed(client: FlaskClient) -> None:
    response = client.get("/invocations")
    assert response.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert "POST" in response.headers["Allow"]
    assert response.json is not None
    assert response.json["error"]["code"] == "method_not_allowed"


def test_a_failure_of_ours_shows_the_client_no_traceback_and_the_log_all(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MagentaDetector):
        def predict(self, *_: object, **__: object) -> Any:
            raise ZeroDivisionError("secret detail")

    app = create_app(settings, lambda _: Broken())
    app.extensions["detector"].result()
    response = app.test_client().post("/invocations", data=coded(road()), content_type="image/png")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert response.json is not None
    assert response.json["error"]["code"] == "internal_error"
    assert b"secret" not in response.data
    assert "secret detail" in caplog.text


def test_requests_above_the_number_of_threads_are_turned_away_and_the_next_is_served(
    settings: Settings,
) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(MagentaDetector):
        def predict(self, *args: Any) -> Any:
            entered.set()
            leave.wait(10)
            return super().predict(*args)

    app = create_app(replace(settings, threads=1), lambda _: Slow())
    app.extensions["detector"].result()

    def post(statuses: list[int]) -> None:
        with app.test_client().post("/invocations", data=coded(road()), content_type="image/png") as response:
            statuses.append(response.status_code)

    first: list[int] = []
    thread = threading.Thread(target=post, args=(first,))
    thread.start()
    entered.wait(10)
    others: list[int] = []
    post(others)
    leave.set()
    thread.join()
    post(others)
    assert (first, others) == ([200], [503, 200])


def test_refused_requests_take_no_thread_from_the_next(settings: Settings) -> None:
    app = create_app(replace(settings, threads=1), lambda _: MagentaDetector())
    app.extensions["detector"].result()
    client = app.test_client()
    for _ in range(3):
        assert client.post("/invocations", json={}).status_code == HTTPStatus.BAD_REQUEST
    with client.post("/invocations", data=coded(road()), content_type="image/png") as response:
        assert response.status_code == HTTPStatus.OK


def test_a_request_id_is_taken_and_answered(
    client: FlaskClient,
) -> None:
    given = client.get("/ping", headers={"X-Request-Id": "lambda-1.2_3"})
    assert given.headers["X-Request-Id"] == "lambda-1.2_3"
    ids = {client.get("/ping").headers["X-Request-Id"] for _ in range(2)}
    assert len(ids) == 2
    forged = client.get("/ping", headers={"X-Request-Id": 'x" injected="1'})
    assert forged.headers["X-Request-Id"] != 'x" injected="1'

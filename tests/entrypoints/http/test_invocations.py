"""Jobs in S3, through the web application, against a real S3 emulator."""

import json
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import av
import boto3
import numpy as np
import pytest
from botocore.stub import Stubber
from flask.testing import FlaskClient

from pothole.entrypoints.http.app import create_app
from pothole.media import Video
from pothole.settings import Settings
from pothole.storage import S3Storage, Storage
from pothole.types import Image
from support.bucket_roads import Road
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.usefixtures("no_temporary_file_is_left")


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


def test_outputs_go_to_other_buckets_only_where_the_settings_allow_it(
    s3_road: Road, settings: Settings
) -> None:
    other = f"{s3_road.bucket}-marked"
    s3_road.s3.create_bucket(Bucket=other)
    before = s3_road.etags()
    response = s3_road.job("good.mp4", output_bucket=other)
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert "OUTPUT_BUCKETS" in response.json["error"]["hint"]
    assert s3_road.etags() == before

    app = create_app(replace(settings, output_buckets=(other,)), lambda _: MagentaDetector())
    app.extensions["worker"].result()
    s3_road.client = app.test_client()
    response = s3_road.job("good.mp4", output_bucket=other)
    assert response.json["output"][0] == f"s3://{other}/good_output.mp4"
    assert s3_road.etags() == before


def test_a_missing_output_bucket_is_a_404_and_publishes_nothing(s3_road: Road, settings: Settings) -> None:
    app = create_app(replace(settings, output_buckets=("no-such-bucket",)), lambda _: MagentaDetector())
    app.extensions["worker"].result()
    s3_road.client = app.test_client()
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
    app.extensions["worker"].result()
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
    app.extensions["worker"].result()
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


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "image/svg+xml", None])
def test_other_content_types_are_a_415_that_lists_what_is_read(
    client: FlaskClient, content_type: str | None
) -> None:
    response = client.post("/invocations", data=b"x", content_type=content_type)
    assert response.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert response.json is not None
    assert "image/jpeg" in response.json["error"]["hint"]

"""Fixtures that more than one test module uses; real processes over real sockets, started once."""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from flask import Flask
from flask.testing import FlaskClient

from bucket_roads import Road
from clips import make_clip
from fakes import MagentaDetector
from pictures import SIZE, road
from pothole.serving.app import create_app
from pothole.settings import Settings
from servers import MINISTACK, NGINX, Server, free_port, wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an AWS emulator, into which every boto3 client of the session talks."""
    assert MINISTACK.exists(), "The AWS emulator is not installed: run `make setup`."
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    folder = tmp_path_factory.mktemp("aws")
    environment = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(folder)}
    with (
        pytest.MonkeyPatch.context() as patch,
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [MINISTACK], env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        try:
            wait_for(f"{address}/_ministack/health", process)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def s3(aws: str) -> "S3Client":
    """A client that is not the product's."""
    return boto3.session.Session().client("s3")


@pytest.fixture
def bucket(s3: "S3Client") -> str:
    """A bucket of the test's own."""
    name = f"road-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    temp_dir = tmp_path / "temporary"
    temp_dir.mkdir()
    return replace(Settings(), temp_dir=temp_dir, model_dir=tmp_path / "model")


@pytest.fixture
def app(settings: Settings) -> Flask:
    app = create_app(settings, lambda model_dir: MagentaDetector())
    app.extensions["worker"].result()
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def no_temporary_file_is_left(settings: Settings) -> Iterator[None]:
    yield
    assert not list(settings.temp_dir.iterdir())


@pytest.fixture
def s3_road(client: FlaskClient, s3: "S3Client", bucket: str, tmp_path: Path) -> Road:
    road_ = Road(client, s3, bucket, tmp_path)
    road_.put("good.mp4", make_clip(tmp_path / "good.mp4", 4, size=SIZE, picture=road).read_bytes())
    return road_


@pytest.fixture(scope="session")
def server(aws: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real `serve` with nginx and gunicorn, and a detector that sees magenta, beside the emulator."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()

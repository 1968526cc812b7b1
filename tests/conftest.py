"""Fixtures that more than one test module uses; real processes over real sockets, started once."""

import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from flask import Flask
from flask.testing import FlaskClient

from local_aws import Cloud
from pothole.entrypoints.http.app import create_app
from pothole.entrypoints.stream.lease_table import LeaseTable
from pothole.settings import Settings
from support.bucket_roads import Road
from support.clips import make_clip
from support.fakes import MagentaDetector
from support.pictures import SIZE, road
from support.servers import NGINX, ROOT, Server, Start
from support.streams import DataStream

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The emulated cloud, into which every boto3 client of the session talks."""
    assert (ROOT / ".venv-aws").is_dir(), "The AWS emulators are not installed: run `make setup`."
    pothole = [sys.executable, str(ROOT / "tests" / "support" / "magenta_pothole.py")]
    with Cloud(tmp_path_factory.mktemp("aws"), pothole) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def aws(cloud: Cloud) -> str:
    """The address of the emulator that has S3."""
    return cloud.url


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


@pytest.fixture
def start(tmp_path: Path, aws: str) -> Iterator[Start]:
    """Starts servers of the test's own, and stops them after it."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    servers: list[Server] = []

    def start(ready: bool = True, **options: Any) -> Server:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder, **options))
        if ready:
            servers[-1].wait_until_ready()
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def lease_table(aws: str) -> Callable[[str], LeaseTable]:
    """Opens one table of leases, the same for each consumer."""
    client: Any = boto3.session.Session().resource("dynamodb").meta.client
    name = f"leases-{uuid.uuid4().hex[:8]}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return lambda me: LeaseTable(client, name, me)


@pytest.fixture
def data_stream(aws: str) -> DataStream:
    """A stream of Kinesis Data in the emulator."""
    return DataStream(boto3.session.Session().client("kinesis"))

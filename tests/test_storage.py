"""S3 against a real emulator, and local folders."""

import tracemalloc
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from pothole.errors import (
    AccessDenied,
    PotholeError,
    RequestError,
    SourceNotFound,
    StorageUnavailable,
    TooLarge,
)
from pothole.storage import LocalStorage, S3Storage, open_s3
from servers import free_port

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 2**20


def test_an_object_comes_down_and_goes_up_whole_with_its_content_type(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    data = bytes(range(256)) * (20 * MIB // 256)  # several parts, both ways
    s3.put_object(Bucket=bucket, Key="a b+ü/clip.mp4", Body=data)
    store = open_s3(bucket)

    path = store.fetch("a b+ü/clip.mp4", tmp_path, max_bytes=len(data))
    assert path.read_bytes() == data
    assert store.publish(path, "a b+ü/clip_output.mp4", "video/mp4") == f"s3://{bucket}/a b+ü/clip_output.mp4"

    there = s3.get_object(Bucket=bucket, Key="a b+ü/clip_output.mp4")
    assert there["Body"].read() == data
    assert there["ContentType"] == "video/mp4"


def test_fault_the_whole_object_was_read_into_memory(s3: "S3Client", bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="long.mp4", Body=bytes(96 * MIB))
    store = open_s3(bucket)
    tracemalloc.start()
    try:
        path = store.fetch("long.mp4", tmp_path, max_bytes=96 * MIB)
        store.publish(path, "long_output.mp4", "video/mp4")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 48 * MIB


@pytest.mark.parametrize("name", ["ü" * 300 + ".mp4", "..", ".", ".mp4", "a\nb\t*?.mp4", "source", "x" * 900])
def test_the_local_name_of_an_object_is_one_that_any_file_system_takes(
    s3: "S3Client", bucket: str, tmp_path: Path, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key=f"dir/{name}", Body=b"video")
    path = open_s3(bucket).fetch(f"dir/{name}", tmp_path, MIB)
    assert path.parent == tmp_path
    assert path.read_bytes() == b"video"


def test_an_object_above_the_limit_is_refused_before_it_is_downloaded(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=bytes(1001))
    with pytest.raises(TooLarge, match=rf"s3://{bucket}/clip\.mp4 has 1001 bytes, above the limit of 1000"):
        open_s3(bucket).fetch("clip.mp4", tmp_path, max_bytes=1000)
    assert not list(tmp_path.iterdir())


def test_a_missing_object_and_a_missing_bucket_are_named(aws: str, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=rf"s3://{bucket}/no\.mp4.*Check the bucket '{bucket}'"):
        open_s3(bucket).fetch("no.mp4", tmp_path, MIB)
    with pytest.raises(SourceNotFound, match=r"s3://no-such-bucket/clip\.mp4"):
        open_s3("no-such-bucket").fetch("clip.mp4", tmp_path, MIB)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(SourceNotFound, match="bucket no-such-bucket"):
        open_s3("no-such-bucket").publish(file, "clip.mp4", "video/mp4")


@pytest.mark.parametrize("name", ["Not A Bucket", "../x", ""])
def test_a_name_that_no_bucket_can_have_is_the_callers_mistake(aws: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="not a valid bucket"):
        open_s3(name).fetch("clip.mp4", tmp_path, MIB)


@pytest.mark.parametrize(
    ("code", "status", "error", "told"),
    [
        ("AccessDenied", 403, AccessDenied, "s3:GetObject"),
        ("403", 403, AccessDenied, "s3:ListBucket"),
        ("InternalError", 500, StorageUnavailable, "InternalError"),
        ("SlowDown", 503, StorageUnavailable, "SlowDown"),
    ],
)
def test_what_s3_answers_becomes_an_error_of_ours(
    tmp_path: Path, code: str, status: int, error: type[PotholeError], told: str
) -> None:
    client = _client()
    with Stubber(client) as stub:
        stub.add_client_error("head_object", code, http_status_code=status)
        with pytest.raises(error, match=r"s3://b/clip\.mp4") as caught:
            S3Storage("b", client).fetch("clip.mp4", tmp_path, MIB)
    assert told in str(caught.value)
    assert isinstance(caught.value.__cause__, ClientError)


def test_a_refused_upload_names_the_permission_that_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    client = _client()
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "AccessDenied", http_status_code=HTTPStatus.FORBIDDEN)
        with pytest.raises(AccessDenied, match=r"s3:PutObject on s3://b/clip_output\.mp4"):
            S3Storage("b", client).publish(file, "clip_output.mp4", "video/mp4")


def test_an_endpoint_that_does_not_answer_ends_in_an_error_of_the_storage(tmp_path: Path) -> None:
    client = _client(endpoint_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageUnavailable, match=r"s3://bucket/clip\.mp4"):
        S3Storage("bucket", client).fetch("clip.mp4", tmp_path, MIB)


def test_missing_credentials_are_said_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.session.Session().client("s3")
    with pytest.raises(AccessDenied, match=r"no AWS credentials.*execution role"):
        S3Storage("bucket", client).fetch("clip.mp4", tmp_path, MIB)


def test_local_files_are_read_where_they_are_and_written_at_once(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"video")
    store = LocalStorage(tmp_path)
    assert store.fetch("clip.mp4", tmp_path / "unused", MIB) == tmp_path / "clip.mp4"

    (tmp_path / "made").write_bytes(b"marked")
    target = tmp_path / "out" / "clip_output.mp4"
    assert store.publish(tmp_path / "made", "out/clip_output.mp4", "video/mp4") == str(target)
    assert target.read_bytes() == b"marked"

    (tmp_path / "made").write_bytes(b"marked anew")
    with target.open("rb") as player:
        store.publish(tmp_path / "made", "out/clip_output.mp4", "video/mp4")
        assert player.read() == b"marked", "whoever plays the old one sees it change"
    assert target.read_bytes() == b"marked anew"
    assert list(target.parent.iterdir()) == [target]


def test_local_errors_are_those_of_s3(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"video")
    with pytest.raises(SourceNotFound, match=r"no\.mp4"):
        store.fetch("no.mp4", tmp_path, MIB)
    with pytest.raises(TooLarge, match="5 bytes"):
        store.fetch("clip.mp4", tmp_path, 4)
    with pytest.raises(RequestError, match="leaves the folder"):
        store.fetch("../clip.mp4", tmp_path, MIB)
    with pytest.raises(StorageUnavailable, match=r"clip\.mp4"):
        store.publish(tmp_path / "clip.mp4", "clip.mp4/below/a/file", "video/mp4")


def _client(**options: str) -> "S3Client":
    return boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
        **options,
    )

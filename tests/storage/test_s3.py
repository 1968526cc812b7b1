"""S3 against a real emulator."""

import tracemalloc
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from pothole.errors import (
    AccessDenied,
    PotholeError,
    RequestError,
    SourceChanged,
    SourceNotFound,
    StorageUnavailable,
    TooLarge,
)
from pothole.files import MIB
from pothole.settings import Settings
from pothole.storage import S3Storage, open_s3
from support.servers import free_port

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def test_an_object_comes_down_and_goes_up_whole_with_its_content_type(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    data = bytes(range(256)) * (20 * MIB // 256)  # several parts, both ways
    s3.put_object(Bucket=bucket, Key="a b+ü/clip.mp4", Body=data)
    store = open_s3(bucket, Settings())

    path = store.fetch("a b+ü/clip.mp4", tmp_path, max_bytes=len(data))
    assert path.read_bytes() == data
    version = store.publish(path, "a b+ü/clip_output.mp4", "video/mp4")
    assert version == store.stat("a b+ü/clip_output.mp4").version
    assert store.address("a b+ü/clip_output.mp4") == f"s3://{bucket}/a b+ü/clip_output.mp4"

    there = s3.get_object(Bucket=bucket, Key="a b+ü/clip_output.mp4")
    assert there["Body"].read() == data
    assert there["ContentType"] == "video/mp4"


def test_fault_the_whole_object_was_read_into_memory(s3: "S3Client", bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="long.mp4", Body=bytes(96 * MIB))
    store = open_s3(bucket, Settings())
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
    path = open_s3(bucket, Settings()).fetch(f"dir/{name}", tmp_path, MIB)
    assert path.parent == tmp_path
    assert path.read_bytes() == b"video"


def test_an_object_above_the_limit_is_refused_before_it_is_downloaded(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=bytes(1001))
    with pytest.raises(TooLarge, match=rf"s3://{bucket}/clip\.mp4 has 1001 bytes, above the limit of 1000"):
        open_s3(bucket, Settings()).fetch("clip.mp4", tmp_path, max_bytes=1000)
    assert not list(tmp_path.iterdir())


def test_a_missing_object_and_a_missing_bucket_are_named(aws: str, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=rf"s3://{bucket}/no\.mp4.*Check the bucket '{bucket}'"):
        open_s3(bucket, Settings()).fetch("no.mp4", tmp_path, MIB)
    with pytest.raises(SourceNotFound, match=r"s3://no-such-bucket/clip\.mp4"):
        open_s3("no-such-bucket", Settings()).fetch("clip.mp4", tmp_path, MIB)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(SourceNotFound, match="bucket no-such-bucket"):
        open_s3("no-such-bucket", Settings()).publish(file, "clip.mp4", "video/mp4")


@pytest.mark.parametrize("name", ["Not A Bucket", "../x", ""])
def test_a_name_that_no_bucket_can_have_is_the_callers_mistake(aws: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="not a valid bucket"):
        open_s3(name, Settings()).fetch("clip.mp4", tmp_path, MIB)


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


def test_an_object_that_is_replaced_is_not_taken_for_the_one_that_was_meant(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=b"first")
    store = open_s3(bucket, Settings())
    version = store.stat("clip.mp4").version
    assert store.fetch("clip.mp4", tmp_path, MIB, version).read_bytes() == b"first"
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=b"other")
    with pytest.raises(SourceChanged, match=r"clip\.mp4 was replaced"):
        store.fetch("clip.mp4", tmp_path, MIB, version)


@pytest.mark.parametrize("size", [5, 20 * MIB])
def test_an_object_that_is_replaced_on_the_way_is_noticed(
    s3: "S3Client", bucket: str, tmp_path: Path, size: int
) -> None:
    s3.put_object(Bucket=bucket, Key="clip.mp4", Body=bytes(size))
    client = boto3.session.Session().client("s3")

    def replace(**_: object) -> None:
        s3.put_object(Bucket=bucket, Key="clip.mp4", Body=b"x" * size)

    client.meta.events.register_first("after-call.s3.HeadObject", replace)
    with pytest.raises(SourceChanged, match="was replaced"):
        S3Storage(bucket, client).fetch("clip.mp4", tmp_path, size)
    assert not list(tmp_path.iterdir())


def test_a_download_that_differs_from_its_checksum_is_refused(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    data = bytes(20 * MIB)  # in several parts, whose own checksums are not asked for
    client = boto3.session.Session().client("s3")
    for options in ({"ChecksumAlgorithm": "CRC32"}, {"ChecksumAlgorithm": "SHA256"}):
        s3.put_object(Bucket=bucket, Key="clip.mp4", Body=data, **options)  # type: ignore[arg-type]
        assert S3Storage(bucket, client).fetch("clip.mp4", tmp_path, len(data)).read_bytes() == data

    def damage(parsed: Any, **_: object) -> None:
        body = parsed["Body"].read()
        parsed["Body"] = StreamingBody(BytesIO(b"x" + body[1:]), len(body))

    client.meta.events.register("after-call.s3.GetObject", damage)
    for options in ({"ChecksumAlgorithm": "CRC32"}, {"ChecksumAlgorithm": "SHA256"}):
        s3.put_object(Bucket=bucket, Key="clip.mp4", Body=data, **options)  # type: ignore[arg-type]
        with pytest.raises(StorageUnavailable, match="arrived damaged"):
            S3Storage(bucket, client).fetch("clip.mp4", tmp_path, len(data))


def test_an_upload_that_fails_leaves_no_parts(s3: "S3Client", bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(20 * MIB))
    client = boto3.session.Session().client("s3", config=Config(retries={"total_max_attempts": 1}))

    def fail(params: Any, **_: object) -> None:
        if params["query_string"]["partNumber"] == 2:
            raise EndpointConnectionError(endpoint_url="nowhere")

    client.meta.events.register("before-call.s3.UploadPart", fail)
    with pytest.raises(StorageUnavailable, match="clip_output"):
        S3Storage(bucket, client).publish(file, "clip_output.mp4", "video/mp4")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_large_upload_that_somebody_aborts_meanwhile_is_no_success(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(9 * MIB))
    client = boto3.session.Session().client("s3")

    def abort(params: Any, **_: object) -> None:
        [upload] = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
        s3.abort_multipart_upload(Bucket=bucket, Key="clip_output.mp4", UploadId=upload["UploadId"])

    client.meta.events.register("before-call.s3.CompleteMultipartUpload", abort)
    with pytest.raises(PotholeError):
        S3Storage(bucket, client).publish(file, "clip_output.mp4", "video/mp4")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_key_and_payer_of_the_settings_reach_s3(tmp_path: Path) -> None:
    client = _client()
    store = S3Storage("b", client, kms_key="key-1", requester_pays=True)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1", "RequestPayer": "requester"}
    with Stubber(client) as stub:
        named = {"Bucket": "b", "Key": "clip.mp4"}
        stub.add_response(
            "put_object",
            {"ETag": "e"},
            named | encrypted | {"ContentType": "video/mp4", "Body": ANY},
        )
        stub.add_client_error("head_object", "404", http_status_code=404)
        store.publish(file, "clip.mp4", "video/mp4")
        with pytest.raises(SourceNotFound):
            store.stat("clip.mp4")


def _client(**options: str) -> "S3Client":
    return boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
        **options,
    )


def test_records_and_segments_are_tagged_for_the_rules_of_a_bucket_where_asked(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    """Else each heartbeat of a job stays for as long as a bucket keeps old versions."""

    def tags(key: str) -> list[tuple[str, str]]:
        return [(tag["Key"], tag["Value"]) for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]]

    in_parts = {}  # the emulator forgets the tags of an upload in parts
    s3.meta.events.register(
        "before-parameter-build.s3.CreateMultipartUpload",
        lambda params, **_: in_parts.update({params["Key"]: params.get("Tagging")}),
    )
    store = S3Storage(bucket, s3, tags_scratch=True)
    store.write("a/.pothole/7/record.json", b"{}", None)
    segment, output = "a/.pothole/7/segments/0000-video.nut", "a/clip_output.mp4"
    for key in (segment, output):
        (tmp_path / "part").write_bytes(b"x")
        store.publish(tmp_path / "part", key, "video/mp4")
        store.publish(tmp_path / "part", key, "video/mp4", confirm=lambda: None)
    assert tags("a/.pothole/7/record.json") == [("pothole", "record")]
    assert (in_parts[segment], in_parts[output]) == ("pothole=segment", None)

    # Some stores refuse tags, so nobody gets them unasked.
    open_s3(bucket, Settings()).write("a/.pothole/8/record.json", b"{}", None)
    assert tags("a/.pothole/8/record.json") == []

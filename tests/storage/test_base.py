"""What records and checkpoints need of a storage: the same of S3 and of folders."""

import io
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from pothole.errors import LeaseLost, SourceNotFound, StorageUnavailable
from pothole.settings import Settings
from pothole.storage import LocalStorage, S3Storage, Storage, local, open_s3, s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(params=["s3", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return open_s3(request.getfixturevalue("bucket"), Settings())
    return LocalStorage(tmp_path / "root")


def test_what_is_written_is_read_with_its_version_and_age(store: Storage) -> None:
    version = store.write("a/record.json", b"{}", replaces=None)
    data, stat = store.read("a/record.json")
    assert data == b"{}"
    assert stat == store.stat("a/record.json") or stat.age_s <= store.stat("a/record.json").age_s
    assert (stat.version, stat.size) == (version, 2)
    assert -1 <= stat.age_s < 30


def test_what_is_far_too_large_for_a_record_is_not_read_into_memory(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (s3, local):
        monkeypatch.setattr(room, "MAX_IN_MEMORY", 3)
    assert store.write("a/record.json", b"1234", replaces=None)
    with pytest.raises(StorageUnavailable, match="no small"):
        store.read("a/record.json")


def test_a_write_replaces_the_version_that_it_names_and_no_other(store: Storage) -> None:
    first = store.write("a/record.json", b"1", replaces=None)
    assert store.write("a/record.json", b"2", replaces=None) is None, "it was there already"
    second = store.write("a/record.json", b"3", replaces=first)
    assert second not in {None, first}
    assert store.write("a/record.json", b"4", replaces=first) is None, "it was replaced meanwhile"
    assert store.write("none.json", b"5", replaces=second) is None, "there is nothing to replace"
    assert store.read("a/record.json")[0] == b"3"
    assert store.list("") == ["a/record.json"] if isinstance(store, LocalStorage) else True


def test_of_writers_at_once_one_wins(store: Storage) -> None:
    version = store.write("record.json", b"start", replaces=None)
    start, won = threading.Barrier(8), []

    def write(number: int) -> None:
        start.wait()
        # All of the same size, within one tick of a file system's clock.
        if store.write("record.json", b"by %d" % number, replaces=version):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = won
    assert store.read("record.json")[0] == b"by %d" % winner


def test_every_write_has_a_version_of_its_own(store: Storage) -> None:
    versions = [store.write("record.json", b"0", replaces=None)]
    for number in range(1, 20):
        versions.append(store.write("record.json", b"%d" % (number % 10), replaces=versions[-1]))
    assert None not in versions
    if isinstance(store, LocalStorage):
        assert len(set(versions)) == 20


def test_a_write_whose_answer_is_lost_counts_as_written(s3: "S3Client", bucket: str) -> None:
    client = boto3.session.Session().client("s3")
    seconds_to_repetition = iter([0])

    client.meta.events.register("needs-retry.s3.PutObject", lambda **_: next(seconds_to_repetition, None))
    store = S3Storage(bucket, client)
    assert store.write("record.json", b"mine", replaces=None)
    assert next(seconds_to_repetition, None) is None, "the call was not repeated"
    assert store.write("record.json", b"other", replaces=None) is None


def test_a_refusal_that_broke_off_is_understood_all_the_same() -> None:
    client = amazon()
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "412", http_status_code=412)
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)
        assert S3Storage("b", client).write("record.json", b"mine", replaces=None) is None


@pytest.mark.parametrize("size", [0, 10, 20 * 2**20])
def test_a_file_replaces_what_is_there_after_a_last_word(store: Storage, tmp_path: Path, size: int) -> None:
    asked: list[int] = []

    def publish(content: bytes) -> str | None:
        path = tmp_path / "whole"
        path.write_bytes(content * size)
        return store.publish(path, "out/clip_output.mp4", "video/mp4", lambda: asked.append(1))

    assert publish(b"1") == store.stat("out/clip_output.mp4").version
    assert publish(b"2") == store.stat("out/clip_output.mp4").version
    assert store.fetch("out/clip_output.mp4", tmp_path / "fetched", 10**9).read_bytes() == b"2" * size
    assert asked


def test_a_file_that_somebody_else_writes_meanwhile_is_not_replaced_and_can_be_published_once_more(
    store: Storage, tmp_path: Path
) -> None:
    path, theirs = tmp_path / "whole", tmp_path / "theirs"
    path.write_bytes(b"ours")

    def meddle() -> None:
        theirs.write_bytes(b"theirs")
        store.publish(theirs, "clip_output.mp4", "video/mp4")

    # In S3 the first call comes before the parts are sent; what is written then is seen, and replaced.
    calls = iter([lambda: None, meddle] if isinstance(store, S3Storage) else [meddle])
    assert store.publish(path, "clip_output.mp4", "video/mp4", lambda: next(calls)()) is None  # noqa: PLW0108  # another one each time
    assert store.fetch("clip_output.mp4", tmp_path / "fetched", 10**9).read_bytes() == b"theirs"
    assert path.read_bytes() == b"ours"


def test_who_may_not_write_any_more_publishes_nothing(store: Storage, tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.write_bytes(b"ours")

    def refuse() -> None:
        raise LeaseLost("Another worker has taken this job over.")

    with pytest.raises(LeaseLost):
        store.publish(path, "clip_output.mp4", "video/mp4", refuse)
    assert store.list("") == []
    assert path.exists()


def test_a_conflict_with_a_call_at_the_same_moment_is_no_failure(tmp_path: Path) -> None:
    client = amazon()
    path = tmp_path / "whole"
    path.write_bytes(b"ours")
    with Stubber(client) as stub:
        stub.add_response("list_multipart_uploads", {})
        stub.add_response("create_multipart_upload", {"UploadId": "1"})
        stub.add_response("upload_part", {"ETag": "1"})
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_client_error("complete_multipart_upload", "ConditionalRequestConflict", http_status_code=409)
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_response("abort_multipart_upload", {})
        assert S3Storage("b", client).publish(path, "clip_output.mp4", "video/mp4", lambda: None) is None
        stub.assert_no_pending_responses()


def test_uploads_of_those_who_came_before_are_aborted_and_those_of_other_keys_go_on(
    s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    begun = {
        key: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        for key in ("clip_output.mp4", "clip_output.mp4.part")
    }
    (tmp_path / "whole").write_bytes(b"ours")
    open_s3(bucket, Settings()).publish(tmp_path / "whole", "clip_output.mp4", "video/mp4", lambda: None)
    [left] = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert left["UploadId"] == begun["clip_output.mp4.part"]


def test_a_file_whose_answer_is_lost_counts_as_published(s3: "S3Client", bucket: str, tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(b"mine")
    for operation, size, confirm in (
        ("PutObject", 4, None),
        ("CompleteMultipartUpload", 20 * 2**20, None),
        ("CompleteMultipartUpload", 4, lambda: None),
    ):
        (tmp_path / "made").write_bytes(b"m" * size)
        client = boto3.session.Session().client("s3")
        waits = iter([0])
        client.meta.events.register(f"needs-retry.s3.{operation}", lambda waits=waits, **_: next(waits, None))
        store = S3Storage(bucket, client)
        version = store.publish(tmp_path / "made", f"{operation}.mp4", "video/mp4", confirm)
        assert version == store.stat(f"{operation}.mp4").version
        assert next(waits, None) is None, "the call was not repeated"
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.parametrize(
    ("there", "written"),
    [
        ({"ETag": '"v1"', "content": b"before"}, True),  # still what we replace: once more
        ({"ETag": '"v2"', "content": b"other"}, False),
        ({"ETag": '"v2"', "content": b"mine"}, True),
    ],
)
def test_a_conflict_alone_takes_nothing_over(there: dict[str, Any], written: bool) -> None:
    client = amazon()
    now = datetime.now(UTC)
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        content: bytes = there["content"]
        stub.add_response(
            "get_object",
            {
                "Body": StreamingBody(io.BytesIO(content), len(content)),
                "ContentLength": len(content),
                "ETag": there["ETag"],
                "LastModified": now,
                "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(now, usegmt=True)}},
            },
        )
        if there["ETag"] == '"v1"':
            stub.add_response("put_object", {"ETag": '"v3"'})
        version = S3Storage("b", client).write("record.json", b"mine", replaces='"v1"')
        assert (version is not None) == written
        stub.assert_no_pending_responses()


def test_a_bucket_that_is_missing_is_said_when_writing(aws: str) -> None:
    with pytest.raises(SourceNotFound, match="no-such-bucket"):
        open_s3("no-such-bucket", Settings()).write("a", b"x", None)


def test_keys_below_a_folder_are_listed_and_deleted_and_no_others(store: Storage, tmp_path: Path) -> None:
    for key in ("jobs/1/a", "jobs/1/b/c", "jobs/10/a", "jobs/1x"):
        store.write(key, b"x", replaces=None)
    assert store.list("jobs/1") == store.list("jobs/1/") == ["jobs/1/a", "jobs/1/b/c"]
    assert store.list("nothing") == []
    store.delete("jobs/1")
    store.delete("nothing")
    assert store.list("jobs") == ["jobs/10/a", "jobs/1x"]


def test_what_is_not_there_is_said(store: Storage) -> None:
    with pytest.raises(SourceNotFound):
        store.stat("nothing")
    with pytest.raises(SourceNotFound):
        store.read("nothing")


@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_store_that_ignores_conditions_is_refused_unless_it_is_wanted(
    s3: "S3Client", bucket: str, operation: str, header: str
) -> None:
    """There are stores that keep some of them, as minio#21526 and others tell."""
    client = boto3.session.Session().client("s3")

    def forget(request: Any, **_: object) -> None:
        del request.headers[header]

    client.meta.events.register(f"before-sign.s3.{operation}", forget)
    with pytest.raises(StorageUnavailable, match=r"ignores the conditions.*S3_REQUIRE_CONDITIONS"):
        S3Storage(bucket, client).write("roads/.pothole/1/record.json", b"1", None)
    assert S3Storage(bucket, client, requires_conditions=False).write("record.json", b"1", None)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["record.json"]
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_store_that_fails_at_uploads_in_parts_is_not_taken_for_one_that_keeps_conditions(
    s3: "S3Client", bucket: str
) -> None:
    client = boto3.session.Session().client("s3")

    def lose(**_: object) -> Any:
        gone = {"Error": {"Code": "NoSuchUpload"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        raise ClientError(gone, "CompleteMultipartUpload")  # type: ignore[arg-type]

    client.meta.events.register("before-call.s3.CompleteMultipartUpload", lose)
    with pytest.raises(SourceNotFound):
        S3Storage(bucket, client).write("roads/.pothole/1/record.json", b"1", None)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_store_whose_two_clocks_differ_tells_the_right_age(bucket: str, hours: int) -> None:
    client = boto3.session.Session().client("s3")

    def shift(parsed: dict[str, Any], **_: object) -> None:
        for told in (parsed, *parsed.get("Contents", [])):
            if "LastModified" in told:
                told["LastModified"] += timedelta(hours=hours)

    client.meta.events.register("after-call.s3", shift)
    store = S3Storage(bucket, client)
    store.write("a/record.json", b"1", None)
    assert abs(store.read("a/record.json")[1].age_s) < 5
    assert abs(store.stat("a/record.json").age_s) < 5
    assert abs(store.stats("a")["a/record.json"].age_s) < 5


def test_an_age_is_told_by_the_clock_of_the_store() -> None:
    client = amazon()
    written = datetime(2020, 1, 1, tzinfo=UTC)
    answer = {
        "ContentLength": 1,
        "ETag": '"v1"',
        "LastModified": written,
        "ResponseMetadata": {
            "HTTPHeaders": {"date": format_datetime(written + timedelta(seconds=7), usegmt=True)}
        },
    }
    with Stubber(client) as stub:
        stub.add_response("head_object", answer)
        assert S3Storage("b", client).stat("record.json").age_s == 7


def amazon() -> "S3Client":
    return boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        endpoint_url="https://s3.us-east-1.amazonaws.com",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )

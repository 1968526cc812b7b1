"""`S3Storage` is a storage in an S3 bucket."""

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.manager import TransferConfig, TransferManager
from s3transfer.subscribers import BaseSubscriber
from s3transfer.utils import S3_RETRYABLE_DOWNLOAD_ERRORS

from pothole.errors import (
    AccessDenied,
    SourceNotFound,
    StorageUnavailable,
)
from pothole.settings import Settings
from pothole.storage.base import MAX_IN_MEMORY, Confirm, Stat, Storage, check_size, version_at
from pothole.storage.checksums import is_whole
from pothole.storage.local import file_errors
from pothole.storage.patience import InContext, Patience
from pothole.storage.probe import Probe, known_skew_s, probe
from pothole.storage.s3_client import s3_client
from pothole.storage.s3_errors import changed, s3_errors
from pothole.storage.scratch import tagging
from pothole.storage.upload import Refused, abort_all, put, sent

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture

ATTEMPTS = 8  # attempts at a call or a download's part, with random waits that grow up to a minute
# Every object is downloaded in parts, since only parts are asked for by version. By default a slow disk would
# let 256 MB wait in memory.
DOWNLOADS = TransferConfig(multipart_threshold=1, num_download_attempts=ATTEMPTS, max_io_queue_size=100)
DELETED_AT_ONCE = 1000  # S3 takes no more in a call


class S3Storage:
    """An S3 storage is one S3 bucket.

    Args:
        bucket: Its name.
        client: Asks S3; brings time limits and retries.
        kms_key: Key that encrypts what is written; the bucket's own encryption when empty.
        requester_pays: Accept to be charged for reading a bucket that asks for it.
        requires_conditions: Refuse a store that ignores the conditions of a write.
        tags_scratch: Tag what is of use to jobs alone, see `tagging`.
        patience: With a store that does not answer; one without an end when None.
    """

    def __init__(
        self,
        bucket: str,
        client: "S3Client",
        kms_key: str = "",
        requester_pays: bool = False,
        requires_conditions: bool = True,
        tags_scratch: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self._bucket = bucket
        self._client = client
        self._patience = patience or Patience(math.inf, 0)
        self._requires_conditions = requires_conditions
        self._tags_scratch = tags_scratch
        self._payer: dict[str, Any] = {"RequestPayer": "requester"} if requester_pays else {}
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        self._writing: dict[str, Any] = self._payer | encryption

    def stat(self, key: str) -> Stat:
        """See `Storage.stat`."""
        return _stat(self._head(key), known_skew_s(self._client, self._bucket))

    def fetch(self, key: str, folder: Path, max_bytes: int, version: str | None = None) -> Path:
        """See `Storage.fetch`; parts come in parallel, each again where it breaks off, and are checked."""
        path = folder / _file_name(key)
        with file_errors(path):
            head = self._head(key)
            check_size(self.address(key), head["ContentLength"], max_bytes)
            if version not in {None, head["ETag"]}:
                raise changed(self.address(key))
            folder.mkdir(exist_ok=True)
            with (
                self._errors(key, "s3:GetObject"),
                TransferManager(self._client, DOWNLOADS, executor_cls=InContext) as transfers,
            ):
                known = _Known(head, self._patience)
                transfers.download(self._bucket, key, str(path), dict(self._payer), [known]).result()
            if not is_whole(path, head):
                raise StorageUnavailable(f"{self.address(key)} arrived damaged: its checksum is another one.")
        return path

    def publish(self, path: Path, key: str, content_type: str, confirm: Confirm | None = None) -> str | None:
        """See `Storage.publish`; S3 compares the checksum of every part before the object appears.

        A version of S3 comes from the content, and so cannot tell a worker's output from the same output
        of another one, later. But each upload has an id of its own, and one that was aborted is never
        completed. So whoever publishes aborts the uploads of those who came before, and those who come later
        abort this one.
        """
        where = {"Bucket": self._bucket, "Key": key}
        options = self._options(key, content_type)
        with file_errors(path), self._errors(key, "s3:PutObject"), suppress(Refused):
            if confirm is None:
                return put(self._client, path, where, options)
            confirm()
            with self._errors(key, "s3:ListBucketMultipartUploads"):
                abort_all(self._client, where, options)
            with sent(self._client, path, where, options) as upload:
                seen = version_at(self, key)
                confirm()
                return upload.complete(_condition(seen))
        return None

    def read(self, key: str) -> tuple[bytes, Stat]:
        """See `Storage.read`."""
        with self._errors(key, "s3:GetObject"):
            for attempt in range(ATTEMPTS):
                found = self._client.get_object(Bucket=self._bucket, Key=key, **self._payer)
                if found["ContentLength"] > MAX_IN_MEMORY:
                    raise StorageUnavailable(f"{self.address(key)} is no small object, as it should be.")
                try:
                    data = found["Body"].read()
                    self._patience.answered()
                    return data, _stat(dict(found), self._skew_s(key))
                except S3_RETRYABLE_DOWNLOAD_ERRORS:
                    if attempt == ATTEMPTS - 1:
                        raise
                    time.sleep(attempt / 10)
        raise AssertionError("unreachable")

    def write(self, key: str, data: bytes, replaces: str | None) -> str | None:
        """See `Storage.write`."""
        options = self._options(key, "application/json") | _condition(replaces)
        with self._errors(key, "s3:PutObject"):
            self._check_conditions(key)
            for attempt in range(ATTEMPTS):
                try:
                    return self._client.put_object(Bucket=self._bucket, Key=key, Body=data, **options)["ETag"]
                except ClientError as exc:
                    # By status: where the answer's body broke off, no code is known.
                    status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
                    gone = status == HTTPStatus.NOT_FOUND and replaces is not None
                    if not gone and status not in {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT}:
                        raise
                there, version = self._there(key)
                if there == data:  # the call was repeated, as its first answer was lost
                    return version
                # A conflict with another call at the same moment says nothing about which of them S3 took.
                if status != HTTPStatus.CONFLICT or version != replaces:
                    return None
                time.sleep(attempt / 10)
        raise StorageUnavailable(f"S3 answers {ATTEMPTS} times that {self.address(key)} is in conflict.")

    def _options(self, key: str, content_type: str) -> dict[str, Any]:
        tags = tagging(key) if self._tags_scratch else {}
        return self._writing | tags | {"ContentType": content_type}

    def _check_conditions(self, key: str) -> None:
        if self._requires_conditions and not self._probe(key).keeps_conditions:
            raise StorageUnavailable(
                f"{self._client.meta.endpoint_url} ignores the conditions of a write, If-None-Match or "
                "If-Match, by which workers keep out of each other's way.",
                hint="Use a store that keeps them, or run one worker alone with S3_REQUIRE_CONDITIONS=false.",
            )

    def _skew_s(self, key: str) -> float:
        try:
            return self._probe(key).skew_s
        except (ClientError, BotoCoreError):  # who may only read may not ask
            return 0.0

    def _probe(self, key: str) -> Probe:
        return probe(self._client, self._bucket, key, self._writing, _age_s)

    def _there(self, key: str) -> tuple[bytes | None, str | None]:
        """Return the content and the version of a small object; None when it is not there."""
        try:
            data, found = self.read(key)
        except SourceNotFound:
            return None, None
        return data, found.version

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        return list(self.stats(folder))

    def stats(self, folder: str) -> dict[str, Stat]:
        """See `Storage.stats`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=folder.rstrip("/") + "/", **self._payer
        )
        found, skew_s = {}, known_skew_s(self._client, self._bucket)
        with self._errors(folder, "s3:ListBucket"):
            for page in pages:
                now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
                for item in page.get("Contents", []):
                    age_s = (now - item["LastModified"]).total_seconds() - skew_s
                    found[item["Key"]] = Stat(item["Size"], item["ETag"], age_s)
        return found

    def delete(self, folder: str) -> None:
        """See `Storage.delete`."""
        keys = self.list(folder)
        for i in range(0, len(keys), DELETED_AT_ONCE):
            named: Any = [{"Key": key} for key in keys[i : i + DELETED_AT_ONCE]]
            with self._errors(folder, "s3:DeleteObject"):
                done = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": named, "Quiet": True}, **self._payer
                )
            for failed in done.get("Errors", []):
                raise AccessDenied(f"S3 does not delete {self.address(failed['Key'])}: {failed['Code']}.")

    def address(self, key: str) -> str:
        """See `Storage.address`."""
        return f"s3://{self._bucket}/{key}"

    def _head(self, key: str) -> dict[str, Any]:
        with self._errors(key, "s3:GetObject"):
            return dict(
                self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED", **self._payer)
            )

    @contextmanager
    def _errors(self, key: str, permission: str) -> Iterator[None]:
        with self._patience.call(), s3_errors(self._bucket, key, permission):
            yield


class _Known(BaseSubscriber):
    """This subscriber tells a download size and version, so that all its parts are of that version."""

    def __init__(self, head: dict[str, Any], patience: Patience) -> None:
        self._head = head
        self._patience = patience

    def on_queued(self, future: "TransferFuture", **_: object) -> None:
        """Set size and version when the download is about to start."""
        future.meta.provide_transfer_size(self._head["ContentLength"])
        future.meta.provide_object_etag(self._head["ETag"])

    def on_progress(self, future: "TransferFuture", bytes_transferred: int, **_: object) -> None:
        """Note that bytes come in."""
        self._patience.answered()


def open_s3(bucket: str, settings: Settings) -> Storage:
    """Open a bucket with the credentials, region and endpoint that boto3 finds."""
    return S3Storage(
        bucket,
        s3_client(settings.s3_timeout_s, ATTEMPTS, settings.s3_region),
        settings.s3_kms_key,
        settings.s3_requester_pays,
        settings.s3_require_conditions,
        settings.s3_tag_scratch,
        Patience(settings.s3_retry_s, settings.s3_timeout_s),
    )


def _condition(replaces: str | None) -> dict[str, Any]:
    """Return what S3 is to compare before it writes."""
    return {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}


def _stat(answer: dict[str, Any], skew_s: float = 0.0) -> Stat:
    return Stat(answer["ContentLength"], answer["ETag"], _age_s(answer) - skew_s)


def _age_s(answer: dict[str, Any]) -> float:
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - answer["LastModified"]).total_seconds())


def _file_name(key: str) -> str:
    """Return a name that errors can show to the caller and that any file system takes, 255 bytes at most."""
    name = re.sub(r"[^\w.-]+", "_", key.rpartition("/")[2])[-60:]
    return name.lstrip(".") or "source"

"""Where videos come from and go to: S3 and local folders behind one small seam."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from s3transfer.manager import TransferManager

from pothole.errors import (
    AccessDenied,
    PotholeError,
    RequestError,
    SourceNotFound,
    StorageUnavailable,
    TooLarge,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Storage(Protocol):
    """A bucket, or a folder that stands for one; the seam that tests replace."""

    def fetch(self, key: str, folder: Path, max_bytes: int) -> Path:
        """Make an object readable as a local file.

        Args:
            key: The object's key.
            folder: Where a copy is written if one is needed; is made then.
            max_bytes: Largest size that is accepted.

        Raises:
            SourceNotFound: There is no such bucket, folder, object or file.
            AccessDenied: It may not be read.
            TooLarge: It is above `max_bytes`; nothing was copied.
            StorageUnavailable: The storage failed, retries included.
        """
        ...

    def publish(self, path: Path, key: str, content_type: str) -> str:
        """Move a finished file to its place, all at once: whoever looks sees the old one or the new one.

        Args:
            path: The file; it may be gone afterwards.
            key: Its key.
            content_type: Its media type.

        Returns:
            Where it is now: `s3://bucket/key`, or a path.

        Raises:
            AccessDenied: It may not be written.
            SourceNotFound: There is no such bucket.
            StorageUnavailable: The storage failed, retries included.
        """
        ...

    def address(self, key: str) -> str:
        """Return the name of an object for people: `s3://bucket/key`, or a path."""
        ...


class S3Storage:
    """One S3 bucket."""

    def __init__(self, bucket: str, client: "S3Client") -> None:
        self._bucket = bucket
        self._client = client

    def fetch(self, key: str, folder: Path, max_bytes: int) -> Path:
        """See `Storage.fetch`."""
        folder.mkdir(exist_ok=True)
        path = folder / _file_name(key)
        with self._errors(key, permission="s3:GetObject"):
            size = self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
            _check_size(self.address(key), size, max_bytes)
            self._client.download_file(self._bucket, key, str(path))
        return path

    def publish(self, path: Path, key: str, content_type: str) -> str:
        """See `Storage.publish`."""
        # The client's upload_file hides why it failed; its upload_fileobj takes 80 MB of memory.
        with self._errors(key, permission="s3:PutObject"), TransferManager(self._client) as transfers:
            transfers.upload(str(path), self._bucket, key, {"ContentType": content_type}).result()
        return self.address(key)

    def address(self, key: str) -> str:
        """See `Storage.address`."""
        return f"s3://{self._bucket}/{key}"

    @contextmanager
    def _errors(self, key: str, permission: str) -> Iterator[None]:
        try:
            yield
        except ClientError as exc:
            raise self._translated(exc, key, permission) from exc
        except ParamValidationError as exc:
            raise RequestError(f"{self.address(key)} is not a valid bucket and key.") from exc
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as exc:
            raise AccessDenied(
                f"There are no AWS credentials to open {self.address(key)} with.",
                hint="Give the endpoint an execution role; elsewhere set AWS_PROFILE or AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY.",
            ) from exc
        except (BotoCoreError, Boto3Error) as exc:
            raise StorageUnavailable(f"S3 did not answer for {self.address(key)}: {exc}") from exc

    def _translated(self, exc: ClientError, key: str, permission: str) -> PotholeError:
        code = exc.response["Error"]["Code"]
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == HTTPStatus.NOT_FOUND:
            missing = f"bucket {self._bucket}" if code == "NoSuchBucket" else f"object {self.address(key)}"
            return SourceNotFound(
                f"There is no {missing}.",
                hint=f"Check the bucket {self._bucket!r} and the key {key!r}, upper and lower case included.",
            )
        if status == HTTPStatus.FORBIDDEN:
            return AccessDenied(
                f"S3 refuses {permission} on {self.address(key)}.",
                hint=f"Allow {permission} on it to the execution role. Without s3:ListBucket on the bucket, "
                "S3 refuses an object that does not exist, too.",
            )
        if code in {"InvalidBucketName", "KeyTooLongError"}:
            return RequestError(f"{self.address(key)} is not a valid bucket and key.")
        return StorageUnavailable(f"S3 failed for {self.address(key)}: {code} ({status}).")


class LocalStorage:
    """A folder in place of a bucket; keys are paths below it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def fetch(self, key: str, folder: Path, max_bytes: int) -> Path:
        """See `Storage.fetch`; the file is read where it is."""
        path = self._path(key)
        with file_errors(path):
            if not path.is_file():
                raise SourceNotFound(f"There is no file {path}.")
            with path.open("rb"):
                _check_size(str(path), path.stat().st_size, max_bytes)
        return path

    def publish(self, path: Path, key: str, content_type: str) -> str:
        """See `Storage.publish`."""
        target = self._path(key)
        with file_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            # Beside the target, since a rename is at once only within one file system.
            with tempfile.TemporaryDirectory(prefix=".pothole-", dir=target.parent) as folder:
                Path(shutil.move(path, Path(folder, "whole"))).replace(target)
        return str(target)

    def address(self, key: str) -> str:
        """See `Storage.address`."""
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        path = self._root / key
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise RequestError(f"{key!r} leaves the folder {self._root}.")
        return path


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raise what the file system reports about `path` as `AccessDenied` or `StorageUnavailable`."""
    try:
        yield
    except PotholeError:
        raise
    except PermissionError as exc:
        raise AccessDenied(f"{path} may not be opened: {exc.strerror}.") from exc
    except OSError as exc:
        raise StorageUnavailable(f"{path} failed: {exc.strerror}.") from exc


def open_s3(bucket: str) -> Storage:
    """Open a bucket with the credentials, region and endpoint that boto3 finds."""
    return S3Storage(bucket, _s3_client())


def _file_name(key: str) -> str:
    """Return a name that errors can show to the caller and that any file system takes, 255 bytes at most."""
    name = re.sub(r"[^\w.-]+", "_", key.rpartition("/")[2])[-60:]
    return name.lstrip(".") or "source"


def _check_size(address: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLarge(
            f"{address} has {size} bytes, above the limit of {max_bytes}.",
            hint="Cut the video, or raise MAX_VIDEO_BYTES.",
        )


@cache
def _s3_client() -> "S3Client":
    # A session of its own: boto3's default session may not be used from two threads.
    return boto3.session.Session().client(
        "s3",
        config=Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 5},
        ),
    )

"""A file goes up to S3 at once or in parts, and appears whole, on a condition, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pothole.storage.patience import InContext

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 8 * 2**20
MAX_PARTS = 9_000  # S3 takes 10,000
PARTS_AT_ONCE = 4
MARK = "pothole-upload"  # metadata by which an upload knows its own object again
# What S3 answers where a condition does not hold, where another call is at the object at the same moment, and
# where the upload was aborted.
REFUSALS = {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}


class Refused(Exception):
    """This exception says that somebody else has written the object, or has aborted the upload."""


@dataclass(frozen=True)
class Upload:
    """An upload has all its parts in S3, and is no object yet.

    Attributes:
        client: Asks S3.
        where: `Bucket` and `Key`.
        payer: Who pays for calls.
        upload_id: What S3 calls it.
        parts: Number, ETag and checksum of each part.
        mark: The object's own mark in its metadata.
    """

    client: S3Client
    where: dict[str, Any]
    payer: dict[str, Any]
    upload_id: str
    parts: list[dict[str, Any]]
    mark: str

    def complete(self, condition: dict[str, Any]) -> str:
        """Make it the object, and return the object's ETag.

        Args:
            condition: `IfMatch`, `IfNoneMatch`, or nothing.

        Raises:
            Refused: The condition does not hold, or somebody has aborted the upload.
            ClientError: S3 refused otherwise.
            BotoCoreError: S3 did not answer.
        """
        try:
            return self.client.complete_multipart_upload(
                **self.where,
                **self.payer,
                **condition,
                UploadId=self.upload_id,
                MultipartUpload={"Parts": self.parts},  # type: ignore[typeddict-item]
            )["ETag"]
        except ClientError as exc:
            # By status: where the answer's body broke off, no code is known.
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] not in REFUSALS:
                raise
            # A call that is repeated, as its first answer was lost, finds no upload, and its object there.
            with suppress(ClientError):
                there = self.client.head_object(**self.where, **self.payer)
                if there["Metadata"].get(MARK) == self.mark:
                    return there["ETag"]
            raise Refused from exc


def put(client: S3Client, path: Path, where: dict[str, Any], options: dict[str, Any]) -> str:
    """Upload a file in place of whatever is there, and return the object's ETag.

    Args:
        client: Asks S3.
        path: The file.
        where: `Bucket` and `Key`.
        options: Of the object: its type, its encryption, who pays.

    Raises:
        ClientError: S3 refused; no part is left.
        BotoCoreError: S3 did not answer.
    """
    if path.stat().st_size <= PART_BYTES:
        with path.open("rb") as file:
            return client.put_object(**where, **options, Body=file)["ETag"]
    try:
        with sent(client, path, where, options) as upload:
            return upload.complete({})
    except Refused as exc:
        raise exc.__cause__ or exc from None


@contextmanager
def sent(client: S3Client, path: Path, where: dict[str, Any], options: dict[str, Any]) -> Iterator[Upload]:
    """Send the parts of a file and yield the upload, to be completed.

    One that is not completed is aborted, as far as S3 can be asked to. Arguments as of `put`.

    Raises:
        Refused: Somebody has aborted it meanwhile.
        ClientError: S3 refused otherwise.
        BotoCoreError: S3 did not answer.
    """
    mark, payer = uuid.uuid4().hex, _payer(options)
    begun = client.create_multipart_upload(
        **where, **options, Metadata={MARK: mark}, ChecksumAlgorithm="CRC32"
    )
    upload_id = begun["UploadId"]
    try:
        yield Upload(client, where, payer, upload_id, _send(client, path, where, payer, upload_id), mark)
    except BaseException:
        with suppress(ClientError, BotoCoreError):
            client.abort_multipart_upload(**where, **payer, UploadId=upload_id)
        raise


def abort_all(client: S3Client, where: dict[str, Any], options: dict[str, Any]) -> None:
    """Abort all uploads in parts to an object, so that none of them can be completed ever after.

    Raises:
        ClientError: S3 refused.
        BotoCoreError: S3 did not answer.
    """
    bucket, key, payer = where["Bucket"], where["Key"], _payer(options)
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key, **payer)
    begun = [each for page in pages for each in page.get("Uploads", []) if each["Key"] == key]
    for each in begun:
        with suppress(client.exceptions.NoSuchUpload):  # completed, or aborted by its own worker
            client.abort_multipart_upload(**where, **payer, UploadId=each["UploadId"])


def _send(
    client: S3Client, path: Path, where: dict[str, Any], payer: dict[str, Any], upload_id: str
) -> list[dict[str, Any]]:
    """Send all parts, several at a time; an empty file is one empty part."""
    size = path.stat().st_size
    length = max(PART_BYTES, -(-size // MAX_PARTS))

    def send(number: int) -> dict[str, Any]:
        with path.open("rb") as file:
            file.seek((number - 1) * length)
            data = file.read(length)
        try:
            part = client.upload_part(
                **where, **payer, UploadId=upload_id, PartNumber=number, Body=data, ChecksumAlgorithm="CRC32"
            )
        except client.exceptions.NoSuchUpload as exc:
            raise Refused from exc
        told = {"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part.get("ChecksumCRC32")}
        return {name: value for name, value in told.items() if value}

    with InContext(PARTS_AT_ONCE) as pool:
        pending = pool.map(send, range(1, max(1, -(-size // length)) + 1))
        try:
            return list(pending)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _payer(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name == "RequestPayer"}

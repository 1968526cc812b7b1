"""A file goes up to S3 at once or in parts, and appears whole, on a condition, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 8 * 2**20
MAX_PARTS = 9_000  # S3 takes 10,000
PARTS_AT_ONCE = 4
MARK = "pothole-upload"  # metadata by which an upload knows its own object again


class Refused(Exception):
    """This exception says that the object is not the one to replace, or is being written by somebody else."""


def upload(
    client: S3Client, path: Path, where: dict[str, Any], options: dict[str, Any], condition: dict[str, Any]
) -> str:
    """Upload a file.

    Args:
        client: Asks S3.
        path: The file.
        where: `Bucket` and `Key`.
        options: Of the object: its type, its encryption, who pays.
        condition: `IfMatch`, `IfNoneMatch`, or nothing.

    Returns:
        The object's ETag.

    Raises:
        Refused: The condition does not hold.
        ClientError: S3 refused otherwise; no part is left.
        BotoCoreError: S3 did not answer.
    """
    mark = uuid.uuid4().hex
    options = options | {"Metadata": {MARK: mark}}
    try:
        if path.stat().st_size <= PART_BYTES:
            with path.open("rb") as file:
                return client.put_object(**where, **options, **condition, Body=file)["ETag"]
        return _in_parts(client, path, where, options, condition)
    except ClientError as exc:
        # By status: where the answer's body broke off, no code is known. A call that is repeated, as its
        # first answer was lost, finds its object there, or its parts gone.
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        refusals = {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}
        if status not in refusals:
            raise
        with suppress(ClientError):
            there = client.head_object(**where, **_payer(options))
            if there["Metadata"].get(MARK) == mark:
                return there["ETag"]
        if status == HTTPStatus.NOT_FOUND and "IfMatch" not in condition:
            raise
        raise Refused from exc


def _in_parts(
    client: S3Client, path: Path, where: dict[str, Any], options: dict[str, Any], condition: dict[str, Any]
) -> str:
    size = path.stat().st_size
    length = max(PART_BYTES, -(-size // MAX_PARTS))
    payer = _payer(options)
    with _parts_of(client, where, options) as upload_id:

        def send(number: int) -> Any:
            with path.open("rb") as file:
                file.seek((number - 1) * length)
                data = file.read(length)
            sent = client.upload_part(
                **where, **payer, UploadId=upload_id, PartNumber=number, Body=data, ChecksumAlgorithm="CRC32"
            )
            part = {"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32": sent.get("ChecksumCRC32")}
            return {name: value for name, value in part.items() if value}

        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            pending = pool.map(send, range(1, -(-size // length) + 1))
            try:
                parts = list(pending)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        done = client.complete_multipart_upload(
            **where, **payer, **condition, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )
    return done["ETag"]


@contextmanager
def _parts_of(client: S3Client, where: dict[str, Any], options: dict[str, Any]) -> Iterator[str]:
    """Begin an upload in parts; what a failure leaves of it is thrown away, as far as S3 can be asked to."""
    begun = client.create_multipart_upload(**where, **options, ChecksumAlgorithm="CRC32")
    upload_id = begun["UploadId"]
    try:
        yield upload_id
    except BaseException:
        with suppress(ClientError, BotoCoreError):
            client.abort_multipart_upload(**where, **_payer(options), UploadId=upload_id)
        raise


def _payer(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name == "RequestPayer"}

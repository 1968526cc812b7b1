"""A probe asks a store that speaks like S3, once, whether it keeps conditions and what time it is.

Leases rest on both: of two workers that write a record one has to be refused, and a record's age has to tell
whether its worker lives. Amazon's S3 does both; others may ignore a condition without a word, or give times
of another clock than the one that they answer by.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from pothole.storage.upload import Refused, sent

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Conditions of a write that do not hold for an object that is there.
NEITHER_HOLDS: tuple[dict[str, Any], ...] = (
    {"IfNoneMatch": "*"},
    {"IfMatch": '"00000000000000000000000000000000"'},
)
_known: dict[tuple[str, str], Probe] = {}
_asking = threading.Lock()


@dataclass(frozen=True)
class Probe:
    """A probe's answer is what a store was found to do.

    Attributes:
        keeps_conditions: Whether a write on a condition that does not hold is refused.
        skew_s: Age in seconds that an object has at once when it is written.
    """

    keeps_conditions: bool = True
    skew_s: float = 0.0


def probe(
    client: S3Client, bucket: str, key: str, options: dict[str, Any], age: Callable[[dict[str, Any]], float]
) -> Probe:
    """Ask a store once for each process and bucket; Amazon's own is taken at its word.

    Args:
        client: Asks it.
        bucket: Where a small object is written for it, and deleted.
        key: Key of an object beside which that is allowed.
        options: Of the object.
        age: Reads the age in seconds from the answer of a look at an object.

    Raises:
        ClientError: The store refuses to be asked.
        BotoCoreError: It does not answer.
    """
    endpoint = client.meta.endpoint_url
    host = urlsplit(endpoint).hostname or ""
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return Probe()
    with _asking:
        if (endpoint, bucket) not in _known:
            _known[endpoint, bucket] = _ask(client, bucket, key, options, age)
        return _known[endpoint, bucket]


def known_skew_s(client: S3Client, bucket: str) -> float:
    """Return `Probe.skew_s` of a store that was asked already; 0 of any other."""
    return _known.get((client.meta.endpoint_url, bucket), Probe()).skew_s


def _ask(
    client: S3Client, bucket: str, key: str, options: dict[str, Any], age: Callable[[dict[str, Any]], float]
) -> Probe:
    where: dict[str, Any] = {"Bucket": bucket, "Key": f"{key.rpartition('/')[0]}/probe-{uuid.uuid4().hex}"}
    payer = {name: value for name, value in options.items() if name == "RequestPayer"}
    client.put_object(**where, **options, Body=b"1")
    skew_s = age(dict(client.head_object(**where, **payer)))
    keeps_conditions = all(
        _is_refused(write)
        for condition in NEITHER_HOLDS
        for write in (
            partial(client.put_object, **where, **options, **condition, Body=b"2"),
            partial(_put_in_parts, client, where, options, condition),
        )
    )
    with suppress(ClientError):  # who may write need not be allowed to delete
        client.delete_object(**where, **payer)
    return Probe(keeps_conditions, skew_s)


def _put_in_parts(
    client: S3Client, where: dict[str, Any], options: dict[str, Any], condition: dict[str, Any]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "probe")
        path.write_bytes(b"2")
        with sent(client, path, where, options) as upload:
            upload.complete(condition)


def _is_refused(write: Callable[[], object]) -> bool:
    try:
        write()
    except (Refused, ClientError) as exc:
        refusal = exc.__cause__ if isinstance(exc, Refused) else exc
        assert isinstance(refusal, ClientError)
        # Any other answer, as of a store that knows no uploads in parts, says nothing about conditions.
        if refusal.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.PRECONDITION_FAILED:
            raise refusal from None
        return True
    return False

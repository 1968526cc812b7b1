"""The client of S3 has time limits and retries of its own, and finds its region."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from pothole.storage.patience import watch

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 5


@cache
def s3_client(timeout_s: int, attempts: int, region: str = "") -> "S3Client":
    """Return the client of this process.

    Args:
        timeout_s: Seconds for which S3 may be silent.
        attempts: At a call, with random waits between them.
        region: Where S3 is asked if boto3, which does not read SageMaker's variables, finds none.
    """
    # A session of its own: boto3's default session may not be used from two threads.
    session = boto3.session.Session()
    client = session.client(
        "s3",
        region_name=session.region_name or region or None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=timeout_s,
            # The newer modes stop trying again when many calls fail, for all jobs at once: with 30 % failing,
            # 16 % of the calls were given up.
            retries={"mode": "legacy", "total_max_attempts": attempts},
        ),
    )
    watch(client)
    return client

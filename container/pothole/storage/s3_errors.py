"""What S3 and its client raise becomes an error of ours, with the way out."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

from pothole.errors import (
    AccessDenied,
    PotholeError,
    RequestError,
    SourceChanged,
    SourceNotFound,
    StorageUnavailable,
    reason,
)


def changed(address: str) -> SourceChanged:
    """Return the error that says that an object is another one now."""
    return SourceChanged(f"{address} was replaced.", hint="Start the job again.")


@contextmanager
def s3_errors(bucket: str, key: str, permission: str) -> Iterator[None]:
    """Raise what S3 and its client say as errors of ours.

    Args:
        bucket: The bucket.
        key: The object, or the folder, that a call is about.
        permission: What the call needs, such as `s3:GetObject`.
    """
    address = f"s3://{bucket}/{key}"
    try:
        yield
    except ClientError as exc:
        raise _translated(exc, bucket, key, permission) from exc
    except ParamValidationError as exc:
        raise RequestError(f"{address} is not a valid bucket and key.") from exc
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as exc:
        raise AccessDenied(
            f"There are no AWS credentials to open {address} with.",
            hint="Give the endpoint an execution role; elsewhere set AWS_PROFILE or AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY.",
        ) from exc
    except S3DownloadFailedError as exc:
        raise changed(address) from exc
    except (BotoCoreError, Boto3Error, RetriesExceededError) as exc:
        raise StorageUnavailable(f"S3 did not answer for {address}: {reason(exc)}.") from exc


def _translated(exc: ClientError, bucket: str, key: str, permission: str) -> PotholeError:
    address, code = f"s3://{bucket}/{key}", exc.response["Error"]["Code"]
    status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == HTTPStatus.NOT_FOUND:
        missing = f"bucket {bucket}" if code == "NoSuchBucket" else f"object {address}"
        return SourceNotFound(
            f"There is no {missing}.",
            hint=f"Check the bucket {bucket!r} and the key {key!r}, upper and lower case included.",
        )
    if code == "RequestTimeTooSkewed":
        return StorageUnavailable(
            "S3 refuses the time of this machine.", hint="Set its clock right: it may be 15 minutes off."
        )
    if status == HTTPStatus.FORBIDDEN:
        return AccessDenied(
            f"S3 refuses {permission} on {address}.",
            hint=f"Allow {permission} on it to the role or user that asks. Without s3:ListBucket on the "
            "bucket, S3 refuses an object that does not exist, too.",
        )
    if code in {"InvalidBucketName", "KeyTooLongError"}:
        return RequestError(f"{address} is not a valid bucket and key.")
    return StorageUnavailable(f"S3 failed for {address}: {code} ({status}).")

"""This function takes the pictures that Kinesis Video extracts from a stream and writes to a bucket of S3.

Each is looked at by a SageMaker endpoint, and what that says goes as a record into the stream of Kinesis Data
into which `pothole stream` writes, in the same form (`docs/how-to/stream.md`). This is the cheaper way: there
is no consumer that runs all the time, and a picture is seen as often as the stream's image generation says.

Put `lambda_handler.py` beside this file. It is started as that function is: by EventBridge or by S3's own
notifications, also within messages of SNS or SQS. Other objects of the bucket are passed over.

Environment: ENDPOINT_NAME; RECORDS_STREAM, the name of the stream of Kinesis Data; RECORD_FORMAT, `original`
or `json`, which it is without one.

A picture that the model refuses, or that says nothing of its fragment, is logged and left out. Whatever may
pass is raised at the end, so that Lambda tries again; a picture may then have two records.

Source of the names of objects and of their metadata: Kinesis Video Streams Developer Guide, "Getting started
with Amazon S3 delivery".
"""

import base64
import json
import os
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import lambda_handler as trigger

# The account, the name of the stream, the time in milliseconds since 1970, and what makes the key unique.
KEY = (
    r"(?:.*[/_])?{account}_(?P<stream>[a-zA-Z0-9_.-]{{1,256}})_(?P<time_ms>\d{{10,16}})_[0-9A-Za-z-]+"
    r"\.(?P<suffix>jpe?g|png)"
)
ACCOUNT = r"\d{12}"
MEDIA_TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png"}
METADATA = "aws_kinesisvideo_"
FORMS = ("original", "json")
MAX_MS = 10**14  # the year 5138; more are no milliseconds since 1970
MAX_PICTURE_BYTES = 6 * 2**20  # of a request to a real-time endpoint
MAX_RECORD_BYTES = 2**20  # of a record and its key
CALLS = Config(connect_timeout=5.0, read_timeout=60.0, retries={"total_max_attempts": 1})

Result = dict[str, Any]


class Refused(Exception):
    """A picture can never be taken; the text says why."""


class Extracted(NamedTuple):
    """An extracted picture, as its key and its metadata tell of it; times in milliseconds since 1970."""

    stream: str
    time_ms: int
    fragment: str
    server_ms: int
    producer_ms: int
    tags: dict[str, str]


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, list[Result]]:
    """Look at the event's pictures.

    Args:
        event: What S3 says of new objects, see `lambda_handler.py`.
        context: Lambda's; names the account.

    Returns:
        `results`: for each object its `bucket`, `key` and `status`: recorded, refused or skipped.

    Raises:
        ValueError: The event is of another kind, or RECORD_FORMAT is not known.
        RuntimeError: One or more could not be looked at, or their records not written.
    """
    form = os.environ.get("RECORD_FORMAT") or "json"
    if form not in FORMS:
        raise ValueError(f"RECORD_FORMAT is {form!r}, expected one of {', '.join(FORMS)}.")
    # A prefix and a stream's name may have twelve digits, too; the function's own account tells them apart.
    arn = str(getattr(context, "invoked_function_arn", "")).split(":")
    pattern = re.compile(KEY.format(account=arn[4] if len(arn) > 4 else ACCOUNT), re.IGNORECASE)
    created = trigger.created_objects(event)
    results = [_handle(bucket, key, pattern.fullmatch(key), form) for bucket, key in created]
    failed = [f"{r['bucket']}/{r['key']}: {r['reason']}" for r in results if r["status"] == "failed"]
    if failed:
        raise RuntimeError("; ".join(failed))
    return {"results": results}


def _handle(bucket: str, key: str, name: re.Match[str] | None, form: str) -> Result:
    result = {"status": "skipped", "reason": "no extracted picture"}
    if name is not None:
        result = _look(bucket, key, name, form)
    line = {"bucket": bucket, "key": key, **result}
    level = "ERROR" if result["status"] in ("refused", "failed") else "INFO"
    # Not a logger: Lambda's puts words before the JSON.
    print(json.dumps({"level": level, "message": f"picture {result['status']}", **line}))  # noqa: T201
    return line


def _look(bucket: str, key: str, name: re.Match[str], form: str) -> Result:
    try:
        found = boto3.client("s3", config=CALLS).get_object(Bucket=bucket, Key=key)
        about = _about(name, found["Metadata"])
        if found["ContentLength"] > MAX_PICTURE_BYTES:
            raise Refused(f"it has {found['ContentLength']} bytes, and an endpoint takes {MAX_PICTURE_BYTES}")
        answer = _ask(found["Body"].read(), MEDIA_TYPES[name["suffix"].lower()])
        record = original_record(about, answer) if form == "original" else json_record(about, answer)
        if len(record) + len(about.stream) > MAX_RECORD_BYTES:
            raise Refused(f"its record has {len(record)} bytes, and {MAX_RECORD_BYTES} are taken")
        boto3.client("kinesis", config=CALLS).put_record(
            StreamName=os.environ["RECORDS_STREAM"], PartitionKey=about.stream, Data=record
        )
    except Refused as exc:
        return {"status": "refused", "reason": str(exc)}
    except (ClientError, BotoCoreError) as exc:
        if isinstance(exc, ClientError) and exc.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return {"status": "skipped", "reason": "it is gone"}
        return {"status": "failed", "reason": str(exc)}
    return {"status": "recorded", "stream": about.stream, "time_ms": about.time_ms}


def _about(name: re.Match[str], metadata: dict[str, str]) -> Extracted:
    """Return what is known of a picture.

    Raises:
        Refused: Its metadata says nothing of its fragment.
    """
    lower = {key.lower(): value for key, value in metadata.items()}
    own = {key.removeprefix(METADATA): lower[key] for key in lower if key.startswith(METADATA)}
    try:
        server_ms, producer_ms = int(own["server_timestamp"]), int(own["producer_timestamp"])
        if not (own["fragment_number"] and 0 <= server_ms < MAX_MS and 0 <= producer_ms < MAX_MS):
            raise ValueError("a number that cannot be")
        return Extracted(
            name["stream"],
            int(name["time_ms"]),
            own["fragment_number"],
            server_ms,
            producer_ms,
            {key: value for key, value in metadata.items() if not key.lower().startswith(METADATA)},
        )
    except (KeyError, ValueError) as exc:
        raise Refused(f"its metadata has no right {METADATA}* of a fragment: {exc}") from exc


def _ask(picture: bytes, media_type: str) -> bytes:
    """Return what the endpoint says of a picture.

    Raises:
        Refused: The model does not take it.
        ClientError: The endpoint could not be asked.
    """
    runtime = boto3.client("sagemaker-runtime", config=CALLS)
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=os.environ["ENDPOINT_NAME"], ContentType=media_type, Body=picture
        )
    except runtime.exceptions.ModelError as exc:
        code = int(str(exc.response.get("OriginalStatusCode", 0)))
        if 400 <= code < 500 and code != trigger.BUSY:
            raise Refused(f"the model answered {code}: {exc.response.get('OriginalMessage', '')}") from exc
        raise
    return bytes(answer["Body"].read())


def original_record(about: Extracted, output: bytes) -> bytes:
    """Return a record as AWS's application writes it; the picture is the first of its fragment's track."""
    fragment = (
        f"FragmentMetadata(fragmentNumberString={about.fragment}, "
        f"serverSideTimestampMillis={about.server_ms}, producerSideTimestampMillis={about.producer_ms}, "
        f"fragmentNumber={about.fragment}, success=true, errorId=0, errorCode=null, "
        "millisBehindNow=OptionalLong.empty, continuationToken=Optional.empty)"
    )
    picture = (
        f"Frame(trackNumber=1, timeCode={_timecode(about)}, keyFrame=true, invisible=false, "
        "discardable=false, lacing=NO)"
    )
    record = {
        "streamName": about.stream,
        "fragmentMetaData": fragment,
        "frameMetaData": picture,
        "sageMakerOutput": base64.b64encode(output).decode(),
    }
    return json.dumps(record).encode()


def json_record(about: Extracted, output: bytes) -> bytes:
    """Return a record in plain JSON; it has the tags of the stream besides what `pothole stream` writes."""
    record: dict[str, Any] = {
        "stream": about.stream,
        "fragment": about.fragment,
        "time": _moment(about.producer_ms),
        "ingested": _moment(about.server_ms),
        "track_number": 1,
        "timecode_ms": _timecode(about),
    }
    try:
        record["answer"] = json.loads(output, parse_constant=_no_number)
    except ValueError:  # an endpoint may answer with anything
        record["answer_base64"] = base64.b64encode(output).decode()
    if about.tags:
        record["tags"] = about.tags
    return json.dumps(record, ensure_ascii=False).encode()


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is none in JSON")


def _timecode(about: Extracted) -> int:
    """Return the picture's time since its fragment's, in milliseconds."""
    return max(0, about.time_ms - about.producer_ms)


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")

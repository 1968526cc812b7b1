"""A message of the queue asks for videos to be marked, or for the worker to end."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from pothole.errors import RequestError
from pothole.files import VIDEO_SUFFIXES, is_output
from pothole.jobs.request import JobRequest
from pothole.storage.scratch import FOLDER
from pothole.types import Json

EXAMPLE = '{"VideoId": 17, "s3": {"bucket": "my-bucket", "key": "road/clip.mp4"}}'
HINT = (
    f"Send for example {EXAMPLE}, an event of S3 as S3, SNS or EventBridge send it, a job as "
    '/invocations takes it, or {"command": "stop"}.'
)
MAX_WRAPPED = 4  # messages within messages, as of SNS in SQS


@dataclass(frozen=True)
class Work:
    """Work is one video that a message asks for.

    Attributes:
        fields: What is asked, by the fields of `pothole.jobs.request.Input`.
        video_id: Number of the video's document; None where the message names none.
    """

    fields: Json
    video_id: int | None = None

    def request(self, defaults: Json) -> JobRequest:
        """Return the checked request; what the message leaves open is as in `defaults`.

        Raises:
            RequestError: A field is wrong; names it.
        """
        return JobRequest.from_json({"input": defaults | self.fields})


@dataclass(frozen=True)
class Stop:
    """This ends the worker that receives it."""


def parse_message(body: str) -> list[Work] | Stop:
    """Read a message.

    Args:
        body: Its text.

    Returns:
        The videos it asks for: none of S3's test event, and several of an event with several records.

    Raises:
        RequestError: It is none of those that are known here.
    """
    message = _unwrapped(body)
    match message:
        case {"command": "stop"}:
            return Stop()
        case {"command": command}:
            raise RequestError(f"The command {command!r} is not known.", hint=HINT)
        case {"Event": "s3:TestEvent"}:
            return []
        case {"Records": [*records]}:
            return [Work(fields) for record in records for fields in _created(record)]
        case {
            "detail-type": "Object Created",
            "detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}},
        }:
            return [Work(fields) for fields in _video(bucket, key)]
        case {"s3": {"bucket": bucket, "key": key}}:
            return [Work(_source(bucket, key), _video_id(message))]
        case {"input": dict(fields)}:
            return [Work(fields, _video_id(message))]
    raise RequestError("The message asks for no video.", hint=HINT)


def _unwrapped(text: str) -> Json:
    """Return the message that others carry as text, as SNS does."""
    for _ in range(MAX_WRAPPED):
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise RequestError("The message is not JSON.", hint=HINT) from exc
        match message:
            case {"Type": "Notification", "Message": str(inner)} | {
                "Records": [{"Sns": {"Message": str(inner)}}]
            }:
                text = inner
            case dict():
                return message
            case _:
                break
    raise RequestError("The message is no JSON object.", hint=HINT)


def _created(record: Any) -> Iterator[Json]:
    """Yield the video of a record of S3's event."""
    match record:
        case {"eventName": str(event), "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}}}:
            if "ObjectCreated" in event:
                # S3 writes keys as a form does; EventBridge does not.
                yield from _video(bucket, unquote_plus(key, errors="surrogateescape"))
        case _:
            raise RequestError("A record of the event names no object.", hint=HINT)


def _video(bucket: str, key: str) -> Iterator[Json]:
    """Yield what asks for a new object, if it is a video and no output of ours."""
    if key.lower().endswith(tuple(VIDEO_SUFFIXES)) and not is_output(key) and FOLDER not in key.split("/"):
        yield _source(bucket, key)


def _source(bucket: str, key: str) -> Json:
    return {"s3_bucket": bucket, "s3_source_filename": key}


def _video_id(message: Json) -> int | None:
    """Return the number of the video's document; DynamoDB's streams write numbers as text."""
    given = message.get("VideoId")
    if given is None:
        return None
    is_whole = isinstance(given, int | str) and re.fullmatch(r"-?\d{1,38}", str(given), re.ASCII)
    if not is_whole:  # `True` is written as a word
        raise RequestError(
            f"VideoId is {given!r:.60}, expected a whole number of 38 digits at most.", hint=HINT
        )
    return int(given)

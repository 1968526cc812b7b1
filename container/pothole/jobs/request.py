"""A request's JSON is checked field for field; a mistake becomes one sentence that names the field."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from pothole.errors import RequestError
from pothole.geo.plane import Camera
from pothole.job_order import DEFAULT_STEP, Job
from pothole.media.smart.plan import Render
from pothole.outputs.registry import DEFAULT_OUTPUTS

# Keys of S3 are no longer than this.
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
# It is a folder's name.
StepName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Input(BaseModel):
    """These fields stand under `input`; see `pothole.job.Job` for their meaning."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    s3_bucket: ShortText
    s3_source_filename: ShortText
    is_live: bool = False
    frame_interval: Annotated[int, Field(ge=1)] | None = None
    min_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    output_bucket: ShortText | None = None
    output_prefix: ShortText | None = None
    outputs: list[ShortText] | None = None
    video_stream: Annotated[int, Field(ge=0)] | None = None
    deinterlace: bool = True
    short_labels: bool = False
    render: Render = "full"
    step: StepName = DEFAULT_STEP
    track: ShortText | None = None
    track_offset_s: Annotated[float, Field(ge=-86400, le=86400)] | None = None
    camera: dict[ShortText, float] | None = None
    wait: bool = True
    retry: bool = False


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    input: Input


EXPECTED = {
    "dict_type": "a JSON object",
    "bool_type": "a JSON boolean (true or false)",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a JSON object",
    "string_type": "a string",
    "string_unicode": "Unicode text",
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "1 to 64 letters, digits, - or _",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}
EXAMPLE = '{"input": {"s3_bucket": "my-bucket", "s3_source_filename": "road/clip.mp4", "is_live": true}}'


@dataclass(frozen=True)
class JobRequest:
    """A request asks for a job.

    Attributes:
        job: The job.
        wait: Whether the answer waits for its end.
        retry: Whether the job is tried again if it failed for a reason of its own.
    """

    job: Job
    wait: bool = True
    retry: bool = False

    @classmethod
    def from_json(cls, body: object) -> "JobRequest":
        """Check the request's decoded JSON.

        Raises:
            RequestError: A field is missing, unknown or wrong; names the field.
            SourceIsOutput: The source is one of our outputs.
        """
        given = parse_input(body)
        job = Job(
            source_bucket=given.s3_bucket,
            source_key=given.s3_source_filename,
            is_live=given.is_live,
            frame_interval=given.frame_interval,
            min_confidence=given.min_confidence,
            output_bucket=given.output_bucket,
            output_prefix=given.output_prefix,
            outputs=DEFAULT_OUTPUTS if given.outputs is None else tuple(given.outputs),
            video_stream=given.video_stream,
            deinterlace=given.deinterlace,
            short_labels=given.short_labels,
            render=given.render,
            step=given.step,
            track=given.track,
            track_offset_s=given.track_offset_s,
            camera=None if given.camera is None else Camera.of(given.camera),
        )
        return cls(job, given.wait, given.retry)


def parse_input(body: object) -> Input:
    """Check a request's decoded JSON.

    Raises:
        RequestError: A field is missing, unknown or wrong; the message names the first one.
    """
    try:
        return _Body.model_validate(body).input
    except ValidationError as exc:
        raise request_error(exc, Input.model_fields, EXAMPLE) from exc


def request_error(exc: ValidationError, known: Iterable[str], example: str) -> RequestError:
    """Return the first mistake of a request as a sentence that names the field.

    Args:
        exc: What the check found.
        known: Names of the fields that may be there.
        example: Of a right request.
    """
    error: ErrorDetails = exc.errors(include_url=False)[0]
    field = _short(".".join(str(part) for part in error["loc"])) or "The body"
    if error["type"] == "missing":
        return RequestError(f"{field} is missing.", hint=f"Send at least {example}.")
    if error["type"] == "extra_forbidden":
        return RequestError(f"{field} is not a known field.", hint=f"Known are {', '.join(known)}.")
    expected = EXPECTED[error["type"]].format(**error.get("ctx", {}))
    hint = f"Send for example {example}."
    if error["type"] == "bool_type":
        hint = "Write it without quotes."
    return RequestError(f"{field} is {_shown(error['input'])}, expected {expected}.", hint=hint)


def _shown(value: Any) -> str:
    return _short(json.dumps(value, ensure_ascii=False, default=repr))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"

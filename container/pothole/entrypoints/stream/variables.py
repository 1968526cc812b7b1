"""The configuration of the stream's consumer: one JSON with the names and defaults of AWS's own application.

It is the one that Amazon's "Kinesis Video Streams with SageMaker" keeps in a parameter of Systems Manager, so
such a parameter can be named as it is. What it does not know has defaults.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from pothole.errors import ConfigError, reason

LOCAL = "local"
"""Names no endpoint: the model in this process looks at the pictures."""
PARAMETER = "ssm:"  # in front of the name of a parameter of Systems Manager

ContentType = Literal["image/jpeg", "image/png", "image/bmp", "image/gif", "application/x-image"]
RecordFormat = Literal["original", "json"]
Milliseconds = Annotated[int, Field(ge=100, le=3_600_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class TagFilter(_Part):
    """This chooses the streams that bear a tag.

    Attributes:
        key: The tag's key.
        values: One of these is the tag's value.
    """

    key: Annotated[str, Field(min_length=1)]
    values: Annotated[tuple[str, ...], Field(min_length=1)]


class Variables(_Part):
    """These variables say which streams are read, what looks at their pictures, and where the answers go.

    Attributes:
        stream_names: Streams of Kinesis Video by name.
        tag_filters: Further streams, those that one of these filters chooses.
        sage_maker_endpoint: Name of the endpoint that looks, or `local`.
        end_point_accept_content_type: What the endpoint takes.
        kds_stream_name: Stream of Kinesis Data that gets a record for each picture.
        inference_interval: Of so many I-frames of a stream one is looked at.
        sage_maker_task_queue_size: Pictures that wait for the endpoint or for their records, at most.
        sage_maker_task_thread_pool_size: Pictures that the endpoint gets at a time.
        sage_maker_task_timeout_in_milli: Longest time for a picture at the endpoint, retries included; then
            it waits for another turn.
        sage_maker_task_thread_pool_name: Name of these threads, with `%d` for a number.
        record_format: `original` as AWS's application writes, or `json`.
        record_picture: Whether a record in `json` holds the picture, too.
        lease_table: Table of DynamoDB by which several consumers share the streams.
        lease_duration_in_milli: Time without a sign of life after which others take a consumer's streams.
        sync_interval_in_milli: Time from one look at the list of streams to the next.
    """

    stream_names: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    tag_filters: tuple[TagFilter, ...] = ()
    sage_maker_endpoint: Annotated[str, Field(min_length=1)] = LOCAL
    end_point_accept_content_type: ContentType = "image/jpeg"
    kds_stream_name: Annotated[str, Field(min_length=1)]
    inference_interval: Annotated[int, Field(ge=1, le=10_000)] = 6
    sage_maker_task_queue_size: Annotated[int, Field(ge=1, le=100_000)] = 5000
    sage_maker_task_thread_pool_size: Annotated[int, Field(ge=1, le=200)] = 20
    sage_maker_task_timeout_in_milli: Milliseconds = 20_000
    sage_maker_task_thread_pool_name: str = "SageMakerThreadPool-%d"
    record_format: RecordFormat = "original"
    record_picture: bool = False
    lease_table: Annotated[str, Field(min_length=1)] = "pothole-stream"
    lease_duration_in_milli: Milliseconds = 10_000
    sync_interval_in_milli: Milliseconds = 60_000

    @field_validator("sage_maker_task_thread_pool_name")
    @classmethod
    def _has_one_number(cls, name: str) -> str:
        if name.count("%") != name.count("%d") or name.count("%d") > 1:
            raise ValueError("may have %d for a number once, and no other %")
        return name

    @model_validator(mode="after")
    def _is_of_use(self) -> Self:
        if not (self.stream_names or self.tag_filters):
            raise ValueError("streamNames or tagFilters has to name a stream")
        if self.record_picture and self.record_format != "json":
            raise ValueError('recordPicture needs recordFormat "json"')
        return self

    @classmethod
    def read(cls, given: str, ssm: Any) -> Self:
        """Read the configuration.

        Args:
            given: Path of a file, JSON, which begins with a brace, or `ssm:` and the name of a parameter.
            ssm: Asks Systems Manager, for such a parameter.

        Raises:
            ConfigError: It cannot be read, or a variable is unknown or wrong; names it.
        """
        text, source = _text(given, ssm)
        try:
            return cls.model_validate(json.loads(text))
        except (json.JSONDecodeError, UnicodeDecodeError) as exc:
            raise ConfigError(f"{source}: {reason(exc)}.") from exc
        except ValidationError as exc:
            # An unknown name first: that of a missing one may be the same, misspelt.
            error = min(exc.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
            place = ".".join(str(part) for part in error["loc"]) or "it"
            if error["type"] != "extra_forbidden":
                wrong = error["msg"].removeprefix("Value error, ")
                raise ConfigError(f"{source}: {place}: {wrong}.") from exc
            part: type[_Part] = TagFilter if "tagFilters" in error["loc"] else cls
            known = ", ".join(field.alias or name for name, field in part.model_fields.items())
            raise ConfigError(f"{source}: {place} is not known.", hint=f"Known are {known}.") from exc

    def thread_name(self, number: int) -> str:
        """Return the name of a thread that asks the endpoint."""
        return self.sage_maker_task_thread_pool_name.replace("%d", str(number))


def _text(given: str, ssm: Any) -> tuple[str | bytes, str]:
    """Return the text of the configuration, and what to call it."""
    if given.lstrip().startswith("{"):
        return given, "The configuration"
    if not given.startswith(PARAMETER):
        try:
            return Path(given).read_bytes(), given
        except OSError as exc:
            raise ConfigError(f"{given} cannot be read: {exc.strerror}.") from exc
    name = given.removeprefix(PARAMETER)
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"]), f"The parameter {name}"
    except ClientError as exc:
        code = exc.response["Error"]["Code"]
        raise ConfigError(
            f"Systems Manager answers {code} for the parameter {name!r}.",
            hint="See its name and region, and the role.",
        ) from exc
    except BotoCoreError as exc:
        raise ConfigError(f"Systems Manager cannot be reached for {name!r}: {reason(exc)}.") from exc

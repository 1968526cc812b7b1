"""What a body of `/invocations` may ask about jobs: which there are, how one does, and that one ends."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pothole.errors import RequestError
from pothole.jobs.cancel import cancel
from pothole.jobs.listing import job_key, list_jobs, read_job
from pothole.jobs.record import State
from pothole.jobs.request import ShortText, request_error
from pothole.storage import Storage
from pothole.types import Json

QUESTIONS = ("jobs", "job", "cancel")
STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
EXAMPLE = '{"jobs": {"s3_bucket": "my-bucket", "prefix": "road/"}}'


class _Folder(BaseModel):
    model_config = STRICT

    s3_bucket: ShortText
    prefix: Annotated[str, StringConstraints(max_length=1024)] = ""


class _Which(_Folder):
    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class _One(_Folder):
    id: ShortText


class _Question(BaseModel):
    model_config = STRICT

    jobs: _Which | None = None
    job: _One | None = None
    cancel: _One | None = None


def is_question(body: object) -> bool:
    """Say whether the decoded JSON of a request asks about jobs."""
    return isinstance(body, dict) and not body.keys().isdisjoint(QUESTIONS)


def answer_question(body: object, open_store: Callable[[str], Storage]) -> Json:
    """Answer what a request asks about jobs: `jobs` as a list, or the `job` as it is then.

    Raises:
        RequestError: A field is missing, unknown or wrong, or there is no such job.
        PotholeError: The storage failed.
    """
    try:
        asked = _Question.model_validate(body)
    except ValidationError as exc:
        *within, _ = exc.errors()[0]["loc"]
        kinds: dict[Any, type[BaseModel]] = {"jobs": _Which, "job": _One, "cancel": _One}
        known = kinds[within[0]] if within else _Question
        raise request_error(exc, known.model_fields, EXAMPLE) from exc
    given = [each for each in (asked.jobs, asked.job, asked.cancel) if each is not None]
    if len(given) != 1:
        raise RequestError(f"Expected one of {', '.join(QUESTIONS)}.", hint=f"Send for example {EXAMPLE}.")
    [about] = given
    store = open_store(about.s3_bucket)
    if isinstance(about, _Which):
        return {
            "jobs": [
                job.model_dump(mode="json")
                for job in list_jobs(store, about.prefix, about.state, about.limit)
            ]
        }
    assert isinstance(about, _One)
    key = job_key(about.prefix, about.id)
    record = cancel(store, key) if asked.cancel else read_job(store, key)[0]
    return {"job": record.model_dump(mode="json")}

"""The configuration of the queue's worker: a file of variables, as the users of such pipelines write it."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pothole.errors import ConfigError, reason
from pothole.outputs.registry import DEFAULT_OUTPUTS

MAIN_DETECTOR = "PotholeDetector"  # the model of the server; others are model folders
STEPS = ("pothole_detection", "human_detection", "human_detector")
"""Names under which pipelines know the step of this worker, the first being the default."""

Score = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectorOptions(_Part):
    """These are the options of a detector.

    Attributes:
        min_detection_score: Lowest score that counts; the model's own when None.
        max_batch_size: Key frames that it sees in one call, at most; as the settings say when None.
    """

    min_detection_score: Score | None = None
    max_batch_size: Annotated[int, Field(ge=1, le=64)] | None = None


class Detection(_Part):
    """This says what looks at the videos, and how often.

    Attributes:
        detectors: Names with their options.
        frame_ratio: Share of the frames that are looked at, in even steps; as the road moves when None.
    """

    detectors: Annotated[tuple[tuple[str, DetectorOptions], ...], Field(min_length=1)] = (
        (MAIN_DETECTOR, DetectorOptions()),
    )
    frame_ratio: Annotated[float, Field(gt=0, le=1)] | None = None

    @property
    def frame_interval(self) -> int | None:
        """Return every how many frames one is looked at."""
        return None if self.frame_ratio is None else max(1, round(1 / self.frame_ratio))

    @property
    def batch_size(self) -> int | None:
        """Return how many key frames all detectors take in one call; None where none of them says."""
        sizes = [options.max_batch_size for _, options in self.detectors if options.max_batch_size]
        return min(sizes, default=None)

    @property
    def min_score(self) -> float | None:
        """Return the lowest score that counts; None for several detectors, which have one each."""
        return self.detectors[0][1].min_detection_score if len(self.detectors) == 1 else None


class Table(_Part):
    """This names the table of the videos' documents.

    Attributes:
        region: Its AWS region; the queue's when None.
        table_id: Its name.
    """

    region: str | None = None
    table_id: str


class OtherPart(_Part):
    """This belongs to the upload of videos or to the step that splits them: one file serves all steps."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Variables(_Part):
    """These are the variables of a pipeline that this worker is a step of.

    Attributes:
        aws_region: Region of the queue; boto3's own when None.
        aws_queues: Names or addresses of queues, by the name of the step that they feed.
        process_steps: The pipeline's steps in order, for what starts the next one.
        dynamodb: The table of documents; no document is written when None.
        video_upload: See `OtherPart`.
        video_split: See `OtherPart`.
        human_detection: What looks at the videos.
        step: Name of the worker's step, in `aws_queues` and in the documents; the one of `STEPS` that has a
            queue when None.
        outputs: What is made of each video, see `pothole.outputs.registry`.
    """

    aws_region: str | None = None
    aws_queues: dict[str, str] = {}
    process_steps: tuple[str, ...] = ()
    dynamodb: Table | None = None
    video_upload: OtherPart = OtherPart()
    video_split: OtherPart = OtherPart()
    human_detection: Detection = Detection()
    step: str | None = None
    outputs: tuple[str, ...] = (*DEFAULT_OUTPUTS, "result_file")

    @model_validator(mode="before")
    @classmethod
    def _without_other_steps(cls, given: Any) -> Any:
        """Leave out the parts of the pipeline's other steps, which bear these steps' names."""
        if not isinstance(given, dict):
            return given
        named = [given.get("process_steps"), given.get("aws_queues")]
        steps = [step for names in named if isinstance(names, list | dict) for step in names]
        kept = {*STEPS, *cls.model_fields}
        return {name: part for name, part in given.items() if name in kept or name not in steps}

    @classmethod
    def read(cls, given: str) -> Self:
        """Read a file, or text that is its content.

        Args:
            given: Path of the file, or JSON, which begins with a brace.

        Raises:
            ConfigError: It cannot be read, or a variable is unknown or wrong; names it.
        """
        is_text = given.lstrip().startswith("{")
        path = "The variables" if is_text else given
        try:
            return cls.model_validate_json(given if is_text else Path(given).read_bytes())
        except OSError as exc:
            raise ConfigError(f"{path} cannot be read: {reason(exc)}.") from exc
        except ValidationError as exc:
            error = exc.errors(include_url=False)[0]
            place = ".".join(str(part) for part in error["loc"]) or "it"
            if error["type"] != "extra_forbidden":
                raise ConfigError(f"{path}: {place}: {error['msg'].removeprefix('Value error, ')}.") from exc
            parts: dict[str, type[_Part]] = {"dynamodb": Table, "human_detection": Detection}
            part = DetectorOptions if "detectors" in error["loc"] else parts.get(str(error["loc"][0]), cls)
            known = ", ".join(part.model_fields)
            raise ConfigError(f"{path}: {place} is not known.", hint=f"Known are {known}.") from exc

    @property
    def step_name(self) -> str:
        """Return the name of the worker's step."""
        return self.step or next((name for name in STEPS if name in self.aws_queues), STEPS[0])

    @property
    def queue(self) -> str:
        """Return the name or address of the worker's queue.

        Raises:
            ConfigError: No queue feeds the step.
        """
        if self.step_name not in self.aws_queues:
            raise ConfigError(
                f"No queue feeds the step {self.step_name!r}.",
                hint="Name it by --queue, or in aws_queues of the variables.",
            )
        return self.aws_queues[self.step_name]

"""Each setting is declared once: its variable in the environment, default, group and help.

The page of settings, `serve --help` and the checks are made from these declarations. The environment is
read by the entry points alone, into one frozen value.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from pothole.errors import ConfigError

Runtime = Literal["auto", "openvino", "tensorflow"]

MAX_JSON_BYTES = 2**20  # of a request's body
SHIPPED_MODEL = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Kind:
    """A kind says how a value is read from text.

    Attributes:
        expected: What it has to be, for people.
        read: Reads it; raises ValueError for what it cannot be.
    """

    expected: str
    read: Callable[[str], Any]


@dataclass(frozen=True)
class Declaration:
    """A declaration is all that is said of a setting.

    Attributes:
        variable: Its name in the environment.
        group: What it belongs to.
        help: What it is, in some words.
        kind: How it is read.
        shown: Its default as people read it; None for the value itself.
    """

    variable: str
    group: str
    help: str
    kind: Kind
    shown: str | None = None

    def read(self, text: str) -> Any:
        """Read a value.

        Raises:
            ConfigError: It is not what it has to be; names the variable.
        """
        try:
            return self.kind.read(text)
        except ValueError as exc:
            raise ConfigError(f"{self.variable} is {text!r}, expected {self.kind.expected}.") from exc


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError
    return int(text)


def _switch(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError
    return text.lower() == "true"


def _runtime(text: str) -> str:
    if text not in get_args(Runtime):
        raise ValueError
    return text


def _level(text: str) -> str:
    if text.upper() not in logging.getLevelNamesMapping():
        raise ValueError
    return text.upper()


NUMBER = Kind("a positive whole number", _positive)
SWITCH = Kind("true or false", _switch)
TEXT = Kind("text", str)
FOLDER = Kind("a folder", Path)
NAMES = Kind("names with commas between them", lambda text: tuple(text.replace(",", " ").split()))
RUNTIME = Kind(", ".join(get_args(Runtime)), _runtime)
LEVEL = Kind("DEBUG, INFO, WARNING or ERROR", _level)


def _setting(
    default: Any, variable: str, group: str, help: str, kind: Kind = NUMBER, shown: str | None = None
) -> Any:
    declaration = Declaration(variable, group, help, kind, shown)
    return field(default=default, metadata={"declaration": declaration})


@dataclass(frozen=True)
class Settings:
    """The settings say how the server and the commands run; `declarations` tells of each.

    Raises:
        ConfigError: Nothing can be written to `temp_dir`.
    """

    host: str = _setting(
        "127.0.0.1",
        "MODEL_SERVER_HOST",
        "server",
        "address at which the server listens",
        TEXT,
        "`127.0.0.1`; in the image `0.0.0.0`",
    )
    port: int = _setting(8080, "SAGEMAKER_BIND_TO_PORT", "server", "port at which the server listens")
    model_dir: Path = _setting(
        SHIPPED_MODEL,
        "SM_MODEL_DIR",
        "model",
        "model folder; if it has no `config.json` or `detector.json`, the shipped weights are used",
        FOLDER,
        "`/opt/ml/model`",
    )
    runtime: Runtime = _setting(
        "auto",
        "POTHOLE_RUNTIME",
        "model",
        "what runs the network: `openvino`, `tensorflow`, or `auto`, which is OpenVINO if the model folder "
        "has an export and the machine has no NVIDIA GPU, else TensorFlow",
        RUNTIME,
    )
    threads: int = _setting(
        8,
        "MODEL_SERVER_THREADS",
        "server",
        "pictures in work at a time, in the one process that holds the model",
    )
    request_timeout_s: int = _setting(
        3600, "MODEL_SERVER_TIMEOUT", "server", "seconds that one invocation may take"
    )
    stop_timeout_s: int = _setting(
        25,
        "MODEL_SERVER_STOP_TIMEOUT",
        "server",
        "seconds from SIGTERM to the end of the server; SageMaker kills it after 30",
    )
    max_jobs: int = _setting(1, "MAX_JOBS", "jobs", "videos worked on at a time")
    max_queued_jobs: int = _setting(8, "MAX_QUEUED_JOBS", "jobs", "videos that wait for their turn")
    lease_s: int = _setting(
        60,
        "LEASE_SECONDS",
        "jobs",
        "seconds without a heartbeat after which a worker has lost its job to the next one",
    )
    segment_s: int = _setting(
        20,
        "SEGMENT_SECONDS",
        "jobs",
        "seconds of video after which the work is stored; a job that was interrupted goes on from there",
    )
    max_crashes: int = _setting(
        5,
        "MAX_CRASHES",
        "jobs",
        "workers that may die of a video in a row, each before its next segment, until the video is given up",
    )
    output_buckets: tuple[str, ...] = _setting(
        (),
        "OUTPUT_BUCKETS",
        "storage",
        "buckets that `output_bucket` may name beside the source's own, with commas between them",
        NAMES,
    )
    max_image_bytes: int = _setting(
        32 * 2**20, "MAX_IMAGE_BYTES", "limits", "most bytes of a picture that is sent as a body"
    )
    max_video_bytes: int = _setting(8 * 2**30, "MAX_VIDEO_BYTES", "limits", "most bytes of a video")
    max_image_pixels: int = _setting(
        7680 * 4320, "MAX_IMAGE_PIXELS", "limits", "most pixels of a picture or a frame, width × height"
    )
    max_video_seconds: int = _setting(6 * 3600, "MAX_VIDEO_SECONDS", "limits", "most seconds of a video")
    max_video_pixels: int = _setting(
        6 * 10**12,
        "MAX_VIDEO_PIXELS",
        "limits",
        "most pixels of a video, width × height × frames; the default is 6 h of 4K at 30 frames/s",
    )
    max_decoded_pixels: int = _setting(
        2 * 7680 * 4320,
        "MAX_DECODED_PIXELS",
        "limits",
        "most pixels of all pictures in work at a time; others wait, and a larger one is worked on alone",
    )
    max_video_frames: int = _setting(2_000_000, "MAX_VIDEO_FRAMES", "limits", "most frames of a video")
    min_free_bytes: int = _setting(
        256 * 2**20, "MIN_FREE_BYTES", "limits", "bytes on the disk that a job leaves free"
    )
    s3_timeout_s: int = _setting(
        20,
        "S3_TIMEOUT_SECONDS",
        "storage",
        "seconds for which S3 may be silent in the middle of a call, which is then tried again",
    )
    s3_kms_key: str = _setting(
        "",
        "S3_KMS_KEY",
        "storage",
        "id of the KMS key that encrypts what is written; without it the bucket's own encryption is used",
        TEXT,
    )
    s3_requester_pays: bool = _setting(
        False, "S3_REQUESTER_PAYS", "storage", "whether to pay for reading a bucket that asks for it", SWITCH
    )
    s3_require_conditions: bool = _setting(
        True,
        "S3_REQUIRE_CONDITIONS",
        "storage",
        "whether to refuse a store that ignores If-None-Match; with such a store only one worker may run",
        SWITCH,
    )
    temp_dir: Path = _setting(
        Path("/tmp"),  # noqa: S108  # the default of tempfile itself; folders inside are private
        "TMPDIR",
        "storage",
        "where jobs keep their temporary files: the source and the marked video",
        FOLDER,
    )
    log_level: str = _setting(
        "INFO",
        "LOG_LEVEL",
        "server",
        "lowest level of what is logged, one JSON object a line on stdout",
        LEVEL,
    )

    def __post_init__(self) -> None:
        for name in "model_dir", "temp_dir":  # Python programs give text as well
            object.__setattr__(self, name, Path(getattr(self, name)))
        if not os.access(self.temp_dir, os.W_OK | os.X_OK):
            raise ConfigError(
                f"Nothing can be written to TMPDIR, {self.temp_dir}.", hint="Mount a disk or tmpfs there."
            )

    @property
    def max_invocations(self) -> int:
        """Return how many invocations of all kinds there may be: pictures, and videos in work and in wait."""
        return self.threads + self.max_jobs + self.max_queued_jobs

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings from variables; one that is not set, or empty, keeps its default.

        Args:
            env: The environment.

        Raises:
            ConfigError: A value is not what it has to be, or a folder is not there; names the variable.
        """
        values: dict[str, Any] = {}
        for name, declaration in declarations().items():
            if text := env.get(declaration.variable):
                values[name] = declaration.read(text)
        given = values.get("model_dir", Path("/opt/ml/model"))
        has_model = any((given / file).is_file() for file in ("config.json", "detector.json"))
        if "model_dir" in values and not given.is_dir():
            raise ConfigError(f"There is no folder {given}.", hint="Let SM_MODEL_DIR name a model folder.")
        values["model_dir"] = given if has_model else SHIPPED_MODEL
        return cls(**values)


def declarations() -> dict[str, Declaration]:
    """Return what is said of each setting, by the name of its field, in the order of declaration."""
    return {f.name: _declaration(f) for f in fields(Settings)}


def shown_default(name: str) -> str:
    """Return the default of a field as people read it, in Markdown."""
    declaration, value = declarations()[name], Settings.__dataclass_fields__[name].default
    return declaration.shown or (f"`{value}`" if value not in ("", ()) else "none")


def _declaration(setting: "Field[Any]") -> Declaration:
    declaration: Declaration = setting.metadata["declaration"]
    return declaration

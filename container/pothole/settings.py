"""Each setting is declared once: its variable in the environment, default, group and help.

The page of settings, `serve --help` and the checks are made from these declarations. The environment is
read by the entry points alone, into one frozen value.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pothole.declaration import FOLDER, LEVEL, NAMES, SWITCH, TEXT, declarations, one_of, setting
from pothole.errors import ConfigError

Runtime = Literal["auto", "openvino", "tensorflow"]

MAX_JSON_BYTES = 2**20  # of a request's body
SHIPPED_MODEL = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Settings:
    """The settings say how the server and the commands run; `declarations` tells of each.

    Raises:
        ConfigError: Nothing can be written to `temp_dir`.
    """

    host: str = setting(
        "127.0.0.1",
        "MODEL_SERVER_HOST",
        "server",
        "address at which the server listens",
        TEXT,
        "`127.0.0.1`; in the image `0.0.0.0`",
    )
    port: int = setting(8080, "SAGEMAKER_BIND_TO_PORT", "server", "port at which the server listens")
    model_dir: Path = setting(
        SHIPPED_MODEL,
        "SM_MODEL_DIR",
        "model",
        "model folder; if it has no `config.json` or `detector.json`, the shipped weights are used",
        FOLDER,
        "`/opt/ml/model`",
    )
    runtime: Runtime = setting(
        "auto",
        "POTHOLE_RUNTIME",
        "model",
        "what runs the network: `openvino`, `tensorflow`, or `auto`, which is OpenVINO if the model folder "
        "has an export and TensorFlow for NVIDIA GPUs is not installed, else TensorFlow; where that is made "
        "for GPUs and sees none, `auto` is refused",
        one_of(get_args(Runtime)),
    )
    threads: int = setting(
        8,
        "MODEL_SERVER_THREADS",
        "server",
        "pictures in work at a time, in the one process that holds the model",
    )
    request_timeout_s: int = setting(
        3600, "MODEL_SERVER_TIMEOUT", "server", "seconds that one invocation may take"
    )
    stop_timeout_s: int = setting(
        25,
        "MODEL_SERVER_STOP_TIMEOUT",
        "server",
        "seconds from SIGTERM to the end of the server; SageMaker kills it after 30",
    )
    max_jobs: int = setting(1, "MAX_JOBS", "jobs", "videos worked on at a time")
    max_queued_jobs: int = setting(8, "MAX_QUEUED_JOBS", "jobs", "videos that wait for their turn")
    lease_s: int = setting(
        60,
        "LEASE_SECONDS",
        "jobs",
        "seconds without a heartbeat after which a worker has lost its job to the next one",
    )
    segment_s: int = setting(
        20,
        "SEGMENT_SECONDS",
        "jobs",
        "seconds of video after which the work is stored; a job that was interrupted goes on from there",
    )
    max_crashes: int = setting(
        5,
        "MAX_CRASHES",
        "jobs",
        "workers that may die of a video in a row, each before its next segment, until the video is given up",
    )
    batch_size: int = setting(
        1,
        "DETECTOR_BATCH_SIZE",
        "jobs",
        "key frames that the detector sees in one call; more may be faster on a GPU, and take memory",
    )
    queue_hidden_s: int = setting(
        60,
        "QUEUE_HIDDEN_SECONDS",
        "queue",
        "seconds for which a message is hidden from other workers; a worker that lives asks for more in time",
    )
    detectors_dir: Path = setting(
        Path("/opt/pothole/detectors"),
        "DETECTORS_DIR",
        "queue",
        "folder of further model folders, which the variables of `pothole work` name",
        FOLDER,
    )
    stream_configuration: str = setting("", "STREAM_CONFIGURATION", "stream", "see how-to/stream.md", TEXT)
    output_buckets: tuple[str, ...] = setting(
        (),
        "OUTPUT_BUCKETS",
        "storage",
        "buckets that `output_bucket` may name beside the source's own, with commas between them",
        NAMES,
    )
    samples_topic: str = setting(
        "", "SAMPLES_TOPIC_ARN", "samples", "SNS topic for samples of pictures", TEXT
    )
    samples_per_thousand: int = setting(
        10, "SAMPLES_PER_THOUSAND", "samples", "pictures in a thousand that are samples, sure or not"
    )
    live_bucket: str = setting(
        "", "LIVE_BUCKET", "live API", "bucket of the pictures that `GET /liveinference?key=` names", TEXT
    )
    live_hosts: tuple[str, ...] = setting(
        (),
        "LIVE_HOSTS",
        "live API",
        "public hosts that `GET /image?image=` may fetch from, with commas; `*.example.org` is all below it, "
        "and `*` any",
        NAMES,
    )
    max_image_bytes: int = setting(
        32 * 2**20, "MAX_IMAGE_BYTES", "limits", "most bytes of a picture that is sent as a body"
    )
    max_video_bytes: int = setting(8 * 2**30, "MAX_VIDEO_BYTES", "limits", "most bytes of a video")
    max_image_pixels: int = setting(
        7680 * 4320, "MAX_IMAGE_PIXELS", "limits", "most pixels of a picture or a frame, width × height"
    )
    max_video_seconds: int = setting(6 * 3600, "MAX_VIDEO_SECONDS", "limits", "most seconds of a video")
    max_video_pixels: int = setting(
        6 * 10**12,
        "MAX_VIDEO_PIXELS",
        "limits",
        "most pixels of a video, width × height × frames; the default is 6 h of 4K at 30 frames/s",
    )
    max_job_seconds: int = setting(
        24 * 3600,
        "MAX_JOB_SECONDS",
        "limits",
        "most seconds of work on a video at a stretch, however few frames it has",
    )
    max_jpeg_scans: int = setting(
        100, "MAX_JPEG_SCANS", "limits", "most scans of a progressive JPEG; encoders write about 10"
    )
    max_held_frames: int = setting(
        1024,
        "MAX_HELD_FRAMES",
        "limits",
        "most frames of a video held in memory at a time, however small; 128 MiB of them is the other limit",
    )
    max_decoded_pixels: int = setting(
        2 * 7680 * 4320,
        "MAX_DECODED_PIXELS",
        "limits",
        "most pixels of all pictures in work at a time; others wait, and a larger one is worked on alone",
    )
    max_video_frames: int = setting(2_000_000, "MAX_VIDEO_FRAMES", "limits", "most frames of a video")
    min_free_bytes: int = setting(
        256 * 2**20, "MIN_FREE_BYTES", "limits", "bytes on the disk that a job leaves free"
    )
    s3_region: str = setting(
        "",
        "AWS_REGION",
        "storage",
        "region of S3 where neither `AWS_DEFAULT_REGION` nor AWS's configuration names one; without it "
        "`SAGEMAKER_REGION`",
        TEXT,
    )
    s3_timeout_s: int = setting(
        20,
        "S3_TIMEOUT_SECONDS",
        "storage",
        "seconds for which S3 may be silent in the middle of a call, which is then tried again",
    )
    s3_retry_s: int = setting(
        60,
        "S3_RETRY_SECONDS",
        "storage",
        "seconds for which the calls of a job to a bucket may go without an answer, all tries together; "
        "then the job ends, to be taken up again",
    )
    s3_kms_key: str = setting(
        "",
        "S3_KMS_KEY",
        "storage",
        "id of the KMS key that encrypts what is written; without it the bucket's own encryption is used",
        TEXT,
    )
    s3_requester_pays: bool = setting(
        False, "S3_REQUESTER_PAYS", "storage", "whether to pay for reading a bucket that asks for it", SWITCH
    )
    s3_require_conditions: bool = setting(
        True,
        "S3_REQUIRE_CONDITIONS",
        "storage",
        "whether to refuse a store that ignores If-None-Match; with such a store only one worker may run",
        SWITCH,
    )
    s3_tag_scratch: bool = setting(
        False,
        "S3_TAG_SCRATCH",
        "storage",
        "whether to tag records and segments of jobs, pothole=record and pothole=segment, so that lifecycle "
        "rules can expire them; needs s3:PutObjectTagging",
        SWITCH,
    )
    temp_dir: Path = setting(
        Path("/tmp"),  # noqa: S108  # the default of tempfile itself; folders inside are private
        "TMPDIR",
        "storage",
        "where jobs keep their temporary files: the source and the marked video",
        FOLDER,
    )
    log_level: str = setting(
        "INFO",
        "LOG_LEVEL",
        "server",
        "lowest level of what is logged, one JSON object a line on stdout",
        LEVEL,
    )
    exit_message_file: str = setting(
        "",
        "EXIT_MESSAGE_FILE",
        "server",
        "file in which a command that fails writes why; in a processing job `/opt/ml/output/message`",
        TEXT,
    )
    metrics_namespace: str = setting(
        "",
        "METRICS_NAMESPACE",
        "server",
        "namespace under which CloudWatch finds jobs, frames, potholes and seconds in the log, by outcome; "
        "without it the log names no metrics",
        TEXT,
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
        env = {"AWS_REGION": env.get("SAGEMAKER_REGION", "")} | dict(env)
        values: dict[str, Any] = {}
        for name, declaration in declarations(cls).items():
            if text := env.get(declaration.variable):
                values[name] = declaration.read(text)
        given = values.get("model_dir", Path("/opt/ml/model"))
        has_model = any((given / file).is_file() for file in ("config.json", "detector.json"))
        if "model_dir" in values and not given.is_dir():
            raise ConfigError(f"There is no folder {given}.", hint="Let SM_MODEL_DIR name a model folder.")
        values["model_dir"] = given if has_model else SHIPPED_MODEL
        return cls(**values)

"""Every name that is read from the environment, once, into one frozen value."""

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from pothole.errors import ConfigError

Runtime = Literal["auto", "openvino", "tensorflow"]

SHIPPED_MODEL = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Settings:
    """How the server and the commands run. Names of the environment beside each value.

    Attributes:
        host: `MODEL_SERVER_HOST`, the address to listen at; the container needs 0.0.0.0.
        port: `SAGEMAKER_BIND_TO_PORT`, where nginx (or gunicorn alone) listens.
        model_dir: `SM_MODEL_DIR`; without a `config.json` in it, the shipped weights.
        threads: `MODEL_SERVER_THREADS`, pictures at a time in the one process that holds the model.
        request_timeout_s: `MODEL_SERVER_TIMEOUT`, seconds that one invocation may take.
        stop_timeout_s: `MODEL_SERVER_STOP_TIMEOUT`, seconds from SIGTERM to the end; SageMaker kills at 30.
        runtime: `POTHOLE_RUNTIME`, what runs the network: auto, openvino or tensorflow; see `load_detector`.
        max_jobs: `MAX_JOBS`, videos worked on at a time.
        max_queued_jobs: `MAX_QUEUED_JOBS`, videos that wait for their turn.
        lease_s: `LEASE_SECONDS`, after which a worker that shows no sign of life has lost its job.
        segment_s: `SEGMENT_SECONDS`, of video, after which what is done is stored, to go on from there.
        max_crashes: `MAX_CRASHES`, workers that may die of a video before it is given up.
        output_buckets: `OUTPUT_BUCKETS`, buckets beside the source's own that a request may name for outputs,
            with commas between them.
        max_image_bytes: `MAX_IMAGE_BYTES`, largest image body.
        max_video_bytes: `MAX_VIDEO_BYTES`, largest video, as a body or as an object.
        max_image_pixels: `MAX_IMAGE_PIXELS`, largest picture or frame, against decompression bombs.
        max_video_seconds: `MAX_VIDEO_SECONDS`, longest video.
        max_video_frames: `MAX_VIDEO_FRAMES`, most frames of a video.
        min_free_bytes: `MIN_FREE_BYTES`, room on the disk that a job leaves to others.
        s3_timeout_s: `S3_TIMEOUT_SECONDS`, that S3 may be silent in the middle of a call.
        s3_kms_key: `S3_KMS_KEY`, id of the KMS key of outputs; without, the bucket's own encryption.
        s3_requester_pays: `S3_REQUESTER_PAYS`, whether we pay for reading a bucket that asks for it.
        temp_dir: `TMPDIR`, where each job makes a folder of its own.
        log_level: `LOG_LEVEL`.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    model_dir: Path = SHIPPED_MODEL
    threads: int = 8
    request_timeout_s: int = 3600
    stop_timeout_s: int = 25
    runtime: Runtime = "auto"
    max_jobs: int = 1
    max_queued_jobs: int = 8
    lease_s: int = 60
    segment_s: int = 20
    max_crashes: int = 5
    output_buckets: tuple[str, ...] = ()
    max_image_bytes: int = 32 * 2**20
    max_video_bytes: int = 8 * 2**30
    max_image_pixels: int = 7680 * 4320
    max_video_seconds: int = 6 * 3600
    max_video_frames: int = 2_000_000
    min_free_bytes: int = 256 * 2**20
    s3_timeout_s: int = 20
    s3_kms_key: str = ""
    s3_requester_pays: bool = False
    temp_dir: Path = Path("/tmp")  # noqa: S108  # the default of tempfile itself; folders inside are private
    log_level: str = "INFO"

    @property
    def max_invocations(self) -> int:
        """Invocations of all kinds at a time: pictures, and videos in work and in wait."""
        return self.threads + self.max_jobs + self.max_queued_jobs

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings.

        Raises:
            ConfigError: A value is not what it has to be; names the variable.
        """

        def number(name: str, default: int) -> int:
            text = env.get(name) or str(default)
            if not text.isdecimal() or int(text) == 0:
                raise ConfigError(f"{name} is {text!r}, expected a positive whole number.")
            return int(text)

        def switch(name: str, default: bool) -> bool:
            text = env.get(name) or str(default)
            if text.lower() not in {"true", "false"}:
                raise ConfigError(f"{name} is {text!r}, expected true or false.")
            return text.lower() == "true"

        try:
            temp_dir = Path(tempfile.gettempdir())
        except FileNotFoundError as exc:
            raise ConfigError(
                "Nothing can be written to TMPDIR.", hint="Mount a disk or tmpfs there."
            ) from exc
        log_level = env.get("LOG_LEVEL", cls.log_level).upper()
        if log_level not in logging.getLevelNamesMapping():
            raise ConfigError(f"LOG_LEVEL is {log_level!r}, expected DEBUG, INFO, WARNING or ERROR.")
        runtime = env.get("POTHOLE_RUNTIME", cls.runtime)
        if runtime not in get_args(Runtime):
            raise ConfigError(f"POTHOLE_RUNTIME is {runtime!r}, expected {', '.join(get_args(Runtime))}.")
        given = Path(env.get("SM_MODEL_DIR", "/opt/ml/model"))
        return cls(
            host=env.get("MODEL_SERVER_HOST", cls.host),
            port=number("SAGEMAKER_BIND_TO_PORT", cls.port),
            model_dir=given if (given / "config.json").is_file() else SHIPPED_MODEL,
            threads=number("MODEL_SERVER_THREADS", cls.threads),
            request_timeout_s=number("MODEL_SERVER_TIMEOUT", cls.request_timeout_s),
            stop_timeout_s=number("MODEL_SERVER_STOP_TIMEOUT", cls.stop_timeout_s),
            runtime=cast(Runtime, runtime),
            max_jobs=number("MAX_JOBS", cls.max_jobs),
            max_queued_jobs=number("MAX_QUEUED_JOBS", cls.max_queued_jobs),
            lease_s=number("LEASE_SECONDS", cls.lease_s),
            segment_s=number("SEGMENT_SECONDS", cls.segment_s),
            max_crashes=number("MAX_CRASHES", cls.max_crashes),
            output_buckets=tuple(env.get("OUTPUT_BUCKETS", "").replace(",", " ").split()),
            max_image_bytes=number("MAX_IMAGE_BYTES", cls.max_image_bytes),
            max_video_bytes=number("MAX_VIDEO_BYTES", cls.max_video_bytes),
            max_image_pixels=number("MAX_IMAGE_PIXELS", cls.max_image_pixels),
            max_video_seconds=number("MAX_VIDEO_SECONDS", cls.max_video_seconds),
            max_video_frames=number("MAX_VIDEO_FRAMES", cls.max_video_frames),
            min_free_bytes=number("MIN_FREE_BYTES", cls.min_free_bytes),
            s3_timeout_s=number("S3_TIMEOUT_SECONDS", cls.s3_timeout_s),
            s3_kms_key=env.get("S3_KMS_KEY", cls.s3_kms_key),
            s3_requester_pays=switch("S3_REQUESTER_PAYS", cls.s3_requester_pays),
            temp_dir=temp_dir,
            log_level=log_level,
        )

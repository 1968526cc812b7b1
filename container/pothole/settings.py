"""Every name that is read from the environment, once, into one frozen value."""

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pothole.errors import RequestError

SHIPPED_MODEL = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Settings:
    """How the server and the commands run. Names of the environment beside each value.

    Attributes:
        host: `MODEL_SERVER_HOST`, the address to listen at; the container needs 0.0.0.0.
        port: `SAGEMAKER_BIND_TO_PORT`, where nginx (or gunicorn alone) listens.
        model_dir: `SM_MODEL_DIR`; without a `config.json` in it, the shipped weights.
        threads: `MODEL_SERVER_THREADS`, invocations at a time in the one process that holds the model.
        request_timeout_s: `MODEL_SERVER_TIMEOUT`, seconds that one invocation may take.
        stop_timeout_s: `MODEL_SERVER_STOP_TIMEOUT`, seconds from SIGTERM to the end; SageMaker kills at 30.
        max_image_bytes: `MAX_IMAGE_BYTES`, largest image body.
        max_video_bytes: `MAX_VIDEO_BYTES`, largest video, as a body or as an object.
        max_image_pixels: `MAX_IMAGE_PIXELS`, largest picture or frame, against decompression bombs.
        temp_dir: `TMPDIR`, where each job makes a folder of its own.
        log_level: `LOG_LEVEL`.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    model_dir: Path = SHIPPED_MODEL
    threads: int = 8
    request_timeout_s: int = 3600
    stop_timeout_s: int = 25
    max_image_bytes: int = 32 * 2**20
    max_video_bytes: int = 8 * 2**30
    max_image_pixels: int = 7680 * 4320
    temp_dir: Path = Path("/tmp")  # noqa: S108  # the default of tempfile itself; folders inside are private
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings.

        Raises:
            RequestError: A value is not a positive whole number, or no log level; names the variable.
        """

        def number(name: str, default: int) -> int:
            text = env.get(name) or str(default)
            if not text.isdecimal() or int(text) == 0:
                raise RequestError(f"{name} is {text!r}, expected a positive whole number.")
            return int(text)

        log_level = env.get("LOG_LEVEL", cls.log_level).upper()
        if log_level not in logging.getLevelNamesMapping():
            raise RequestError(f"LOG_LEVEL is {log_level!r}, expected DEBUG, INFO, WARNING or ERROR.")
        given = Path(env.get("SM_MODEL_DIR", "/opt/ml/model"))
        return cls(
            host=env.get("MODEL_SERVER_HOST", cls.host),
            port=number("SAGEMAKER_BIND_TO_PORT", cls.port),
            model_dir=given if (given / "config.json").is_file() else SHIPPED_MODEL,
            threads=number("MODEL_SERVER_THREADS", cls.threads),
            request_timeout_s=number("MODEL_SERVER_TIMEOUT", cls.request_timeout_s),
            stop_timeout_s=number("MODEL_SERVER_STOP_TIMEOUT", cls.stop_timeout_s),
            max_image_bytes=number("MAX_IMAGE_BYTES", cls.max_image_bytes),
            max_video_bytes=number("MAX_VIDEO_BYTES", cls.max_video_bytes),
            max_image_pixels=number("MAX_IMAGE_PIXELS", cls.max_image_pixels),
            temp_dir=Path(tempfile.gettempdir()),
            log_level=log_level,
        )

"""AWS on this machine: an emulator's process, and in it a bucket whose uploads start our Lambda function."""

import io
import os
import signal
import socket
import subprocess
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import boto3
import requests

ROOT = Path(__file__).parents[1]
MINISTACK = ROOT / ".venv-aws" / "bin" / "ministack"
FUNCTION = ROOT / "lambda" / "lambda_handler.py"


class Failed(Exception):
    """A part could not be started, or ended by itself. The message is for the user."""


class Process:
    """A command that runs until the end of the `with` block, its output in a file.

    Args:
        name: For messages.
        command: Program and arguments.
        settings: Environment variables beside our own.
        log: Where stdout and stderr go.
        stop_s: Seconds that it gets to end after SIGTERM.
    """

    def __init__(
        self, name: str, command: list[str], settings: dict[str, str], log: Path, stop_s: float = 5
    ) -> None:
        self.name, self.log = name, log
        self._command, self._settings, self._stop_s = command, settings, stop_s

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            # A session of its own, or Ctrl-C in a terminal would end it before the parts that need it.
            self._process = subprocess.Popen(
                self._command, env=os.environ | self._settings, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self._stop_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # what is left of its children, too
            self._process.wait()

    def check(self) -> None:
        """Raise `Failed` when it has ended."""
        if (code := self._process.poll()) is not None:
            raise Failed(f"{self.name} ended by itself with status {code}.")

    def wait_for(self, url: str, timeout_s: float) -> None:
        """Wait until `url` answers 200.

        Raises:
            Failed: It did not within the time, or the process ended.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.check()
            try:
                if requests.get(url, timeout=5).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.5)
        raise Failed(f"{self.name} was not ready in {timeout_s:.0f} s.")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def use_emulator(port: int) -> None:
    """Point every AWS client of this process and its children at the emulator, none at the user's account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def emulator(port: int, folder: Path) -> Process:
    """Return the emulator, to listen at a port of 127.0.0.1 and write into a folder."""
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(folder)}
    return Process("the AWS emulator", [str(MINISTACK)], settings, folder / "aws.log")


def deploy(bucket: str, runtime: str, suffix: str, is_live: bool) -> None:
    """Make a bucket in which each new key that ends in `suffix` starts our Lambda function.

    Args:
        bucket: The bucket's name, and the function's.
        runtime: Address of what plays SageMaker's runtime.
        suffix: Such as `.mp4`.
        is_live: Whether the function asks for whole videos.
    """
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(FUNCTION, FUNCTION.name)
    settings = {"IS_LIVE": str(is_live).lower(), "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime}
    function = boto3.client("lambda").create_function(
        FunctionName=bucket,
        Runtime="python3.11",
        Handler="lambda_handler.lambda_handler",
        Role="arn:aws:iam::000000000000:role/pothole",
        Code={"ZipFile": code.getvalue()},
        Timeout=120,
        Environment={"Variables": settings},
    )
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=bucket)
    trigger = {
        "LambdaFunctionArn": function["FunctionArn"],
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": suffix}]}},
    }
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [trigger]}
    )

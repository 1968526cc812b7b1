"""AWS on this machine: emulators' processes, and what is missing between them."""

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from processing_jobs import ACCOUNT
from sagemaker_front import SageMakerFront

ROOT = Path(__file__).parents[1]
READY_S = 120


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


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens at."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class Cloud:
    """AWS on this machine: two emulators, and a front for what neither of them has. A context manager.

    While it is there, every AWS client of this process and its children talks to it, and none to the user's
    account.

    Args:
        folder: Where logs and temporary files go.
        pothole: The command that stands for `pothole` in a processing job's container.

    Attributes:
        ministack: The emulator of all but SageMaker.
        moto: The emulator of SageMaker's control plane.
        front: What plays SageMaker's runtime.
        url: Ministack's address.
        moto_url: Moto's address.
        addresses: The variables with which AWS clients of other processes reach it.
    """

    def __init__(self, folder: Path, pothole: list[str]) -> None:
        ports = free_ports(3)
        self.url, moto, front = (f"http://127.0.0.1:{port}" for port in ports)
        self.addresses = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": front,
            "AWS_ENDPOINT_URL_SAGEMAKER": front,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": front,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._environment = {
            **self.addresses,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        bin_folder = ROOT / ".venv-aws" / "bin"
        # What it runs as Lambda functions inherits its environment, and with it the front's address.
        settings = {"GATEWAY_PORT": str(ports[0]), "BIND_HOST": "127.0.0.1", "TMPDIR": str(folder)}
        self.ministack = Process(
            "the AWS emulator", [str(bin_folder / "ministack")], settings, folder / "ministack.log"
        )
        command = [str(bin_folder / "moto_server"), "--host", "127.0.0.1", "--port", str(ports[1])]
        self.moto = Process(
            "the SageMaker emulator", command, {"MOTO_ACCOUNT_ID": ACCOUNT}, folder / "moto.log"
        )
        self.front = SageMakerFront(ports[2], self.url, moto, pothole)
        self.moto_url = moto

    def __enter__(self) -> Self:
        self._before = {name: text for name, text in os.environ.items() if name in self._environment}
        self._before |= {name: text for name, text in os.environ.items() if name.startswith("AWS_")}
        for name in self._before:
            del os.environ[name]
        os.environ.update(self._environment)
        with ExitStack() as stack:
            stack.callback(self._restore)
            stack.enter_context(self.ministack)
            stack.enter_context(self.moto)
            stack.enter_context(self.front)
            self.ministack.wait_for(f"{self.url}/_ministack/health", READY_S)
            self.moto.wait_for(f"{self.moto_url}/moto-api/", READY_S)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _restore(self) -> None:
        for name in self._environment:
            del os.environ[name]
        os.environ.update(self._before)

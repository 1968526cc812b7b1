"""Containers for tests: an engine, and a server that it runs."""

import os
import subprocess
import time
from dataclasses import dataclass, field

import requests

from support.servers import free_port

READY_S = 240


@dataclass(frozen=True)
class Engine:
    """docker or podman, with what it needs from the environment on this machine.

    Attributes:
        name: The command.
        environment: Variables beside the caller's own.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, with_stderr: bool = False) -> str:
        """Run a command of the engine and return what it says."""
        done = self._run(arguments, subprocess.STDOUT if with_stderr else subprocess.PIPE)
        assert done.returncode == 0, f"{self.name} {' '.join(arguments)}: {done.stdout}{done.stderr or ''}"
        return done.stdout.strip()

    def succeeds(self, *arguments: str) -> bool:
        """Say whether a command of the engine succeeds."""
        return self._run(arguments, subprocess.PIPE).returncode == 0

    def _run(self, arguments: tuple[str, ...], stderr: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.name, *arguments],
            check=False,
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )


class Server:
    """A container that runs `serve` with a read-only root file system.

    Attributes:
        url: Where it listens.
        container: Its id.
    """

    def __init__(self, engine: Engine, image: str, *options: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._engine = engine
        self.container = engine(
            "run",
            *("--detach", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--memory", "4g"),
            *("--env", f"SAGEMAKER_BIND_TO_PORT={port}"),
            *(f"--env={name}" for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"),
            *options,
            image,
            "serve",
        )

    def log(self) -> str:
        return self._engine("logs", self.container, with_stderr=True)

    def wait_until_ready(self, every_s: float = 0.5) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            running = self._engine("inspect", "--format", "{{.State.Running}}", self.container)
            assert running == "true", f"serve ended: {self.log()}"
            try:
                if requests.get(f"{self.url}/ping", timeout=2).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(every_s)
        raise TimeoutError(f"/ping did not answer 200 in {READY_S} s: {self.log()}")

    def stop(self) -> int:
        """Send SIGTERM, as SageMaker does, and return the exit code; after 30 s the container is killed."""
        self._engine("stop", "--time", "30", self.container)
        return int(self._engine("inspect", "--format", "{{.State.ExitCode}}", self.container))

    def remove(self) -> None:
        self._engine("rm", "--force", self.container)

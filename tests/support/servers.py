"""Real server processes for tests."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

ROOT = Path(__file__).parents[2]
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], status: int = 200, timeout_s: float = 60) -> None:
    """Wait until a server that was just started answers with a status."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        try:
            if requests.get(url, timeout=5).status_code == status:
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer {status} in {timeout_s} s")


Start = Callable[..., "Server"]


class Server:
    """A running `serve`.

    Args:
        folder: An empty one for its files.
        application: The WSGI application, as `module:name`.
        nginx: Whether it finds nginx.
        environment: More settings.

    Attributes:
        process: `serve` itself.
        port: Where it listens.
        url: The same.
        temp_dir: Where it writes.
        log: What it and its children say.
    """

    def __init__(
        self,
        folder: Path,
        application: str = "support.magenta_wsgi:app",
        nginx: bool = True,
        **environment: str,
    ) -> None:
        self.temp_dir = folder / "temporary"
        self.temp_dir.mkdir()
        self.log = folder / "log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
            "TMPDIR": str(self.temp_dir),
            "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}",
        } | environment
        hide_nginx = "" if nginx else "import shutil; shutil.which = lambda *_, **__: None; "
        serve = (
            "import os; from pothole.entrypoints.http.launch import serve;"
            f"raise SystemExit(serve(os.environ, {application!r}))"
        )
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", hide_nginx + serve],
                env=os.environ | environment,
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        wait_for(f"{self.url}/ping", self.process)

    def stop(self) -> int:
        """Ask it to end, as a container is asked, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def children(self, of: int | None = None) -> dict[str, int]:
        """Return the process ids of nginx and gunicorn, or of a child's children."""
        parent = of or self.process.pid
        pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in pids}
        return {"gunicorn" if "gunicorn" in text else "nginx": int(pid) for pid, text in commands.items()}

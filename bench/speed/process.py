"""This module runs a row as a process of its own and watches its memory."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE_S = 0.1
TIMEOUT_S = 3600
LOG_LINES = 5


class Failed(Exception):
    """Something that is measured failed. The message is for the user."""


@dataclass(frozen=True)
class Run:
    """What one run of a row gave.

    Attributes:
        said: What the process wrote into its file: `frames`, `seconds`, `cpu_seconds` and more.
        wall_s: From the start of the process to its end.
        peak_mb: Most memory, summed over the process and its children, in 2^20 bytes.
    """

    said: dict[str, Any]
    wall_s: float
    peak_mb: float


def run(command: Sequence[str], environment: dict[str, str]) -> Run:
    """Run a command to its end; it is given a file to write JSON to as its last argument.

    Raises:
        Failed: It ended with an error, wrote nothing, or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        answer, log = Path(folder, "answer.json"), Path(folder, "log")
        started = time.monotonic()
        peak = 0.0
        with started_process([*command, str(answer)], environment, log) as process:
            while process.poll() is None and time.monotonic() - started < TIMEOUT_S:
                peak = max(peak, memory_mb(process.pid))
                time.sleep(SAMPLE_S)
            wall = time.monotonic() - started
        if process.returncode or not answer.is_file():
            raise Failed(f"{' '.join(command)} ended with status {process.returncode}.\n{end_of(log)}")
        return Run(json.loads(answer.read_text()), wall, peak)


@contextmanager
def started_process(
    command: Sequence[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command, its output in a file; what still runs at the end, its children too, is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end_of(log: Path) -> str:
    """Return the last lines that were written."""
    return "\n".join(log.read_text(errors="replace").strip().splitlines()[-LOG_LINES:])


def memory_mb(pid: int) -> float:
    """Return the most memory so far, in 2^20 bytes, of a process and its children that live now.

    Each process knows its own peak, so that none is missed between two looks.
    """
    total = 0.0
    with suppress(OSError):  # it may end at any time
        status = Path(f"/proc/{pid}/status").read_text()
        if "VmHWM:" in status:
            total += int(status.split("VmHWM:")[1].split()[0]) / 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(memory_mb(int(child)) for child in (task / "children").read_text().split())
    return total

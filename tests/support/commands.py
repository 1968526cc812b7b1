"""`pothole` as a process of its own, with a detector that takes its time, and how it is stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.servers import ROOT


def start_pothole(
    *arguments: Path | str, temporary: Path, look_s: float = 0.02, **environment: str
) -> subprocess.Popen[str]:
    """Start the command; each look of its detector takes `look_s`."""
    variables = {
        "LOOK_SECONDS": str(look_s),
        "TMPDIR": str(temporary),
        "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}",
    }
    command = [sys.executable, ROOT / "tests" / "support" / "slow_pothole.py", *arguments]
    return subprocess.Popen(
        command,
        env=os.environ | variables | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stop(
    process: subprocess.Popen[str],
    number: signal.Signals,
    folder: Path,
    pattern: str,
    within_s: float | None = None,
) -> str:
    """Send a signal once the folder has a file, and return what the process had said when it ended."""
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    return process.communicate(timeout=within_s)[0]

"""The real server: how soon it is healthy, and how many pictures it answers."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import requests

from speed.clips import pictures
from speed.process import Failed, end_of, memory_mb, started_process

START_S = 120
STOP_S = 30
POLL_S = 0.02
ASKED_S = 5.0
SERVE = [str(Path(sys.executable).with_name("pothole")), "serve"]


def measure_server(clip: Path, clients: int) -> dict[str, float]:
    """Start the server, ask it about pictures for a while, and stop it.

    Args:
        clip: Its first frame is the picture, as a JPEG.
        clients: How many ask at a time, each as soon as it has its last answer.

    Returns:
        `clients`; `start_s` to the first 200 of `/ping`; `per_second`; `p50_ms` and `p99_ms` of an answer's
        time; `requests`; `peak_mb`.

    Raises:
        Failed: It does not get healthy, or refuses the picture.
    """
    picture = _picture(clip)
    with _server() as (pid, url, start_s):

        def ask(_: int) -> list[float]:
            times = []
            with requests.Session() as session:
                while time.monotonic() < end:
                    asked = time.monotonic()
                    answer = session.post(
                        f"{url}/invocations", picture, headers={"Content-Type": "image/jpeg"}, timeout=60
                    )
                    if answer.status_code != 200:
                        raise Failed(f"The server answered {answer.status_code}: {answer.text[:200]}")
                    times.append(time.monotonic() - asked)
            return times

        started = time.monotonic()
        end = started + ASKED_S
        with ThreadPoolExecutor(clients) as pool:
            times = np.array([t for each in pool.map(ask, range(clients)) for t in each])
        took = time.monotonic() - started
        peak_mb = memory_mb(pid)
    p50, p99 = 1000 * np.percentile(times, [50, 99])
    return {
        "clients": clients,
        "start_s": start_s,
        "per_second": len(times) / took,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "requests": len(times),
        "peak_mb": peak_mb,
    }


@contextmanager
def _server() -> Iterator[tuple[int, str, float]]:
    """Yield the process id of a running `serve`, its address, and the seconds until it was healthy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder, "log")
        settings = {"SAGEMAKER_BIND_TO_PORT": str(port), "TMPDIR": folder, "LOG_LEVEL": "WARNING"}
        started = time.monotonic()
        with started_process(SERVE, settings, log) as process:
            while not _healthy(url):
                if process.poll() is not None or time.monotonic() - started > START_S:
                    raise Failed(f"The server did not get healthy.\n{end_of(log)}")
                time.sleep(POLL_S)
            yield process.pid, url, time.monotonic() - started
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)


def _healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/ping", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def _picture(clip: Path) -> bytes:
    [image] = pictures(clip, 1)
    _, coded = cv2.imencode(".jpg", image[..., ::-1])
    return coded.tobytes()

"""This module starts, watches and stops nginx and gunicorn, which stands behind it, as one server."""

import ctypes
import logging
import logging.config
import os
import shutil
import signal
import string
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pothole.entrypoints.logs import logging_config
from pothole.files import private_folder
from pothole.settings import MAX_JSON_BYTES, Settings

APPLICATION = "pothole.entrypoints.http.wsgi:app"
SOCKET = "unix:gunicorn.sock"
PING_SOCKET = "ping.sock"  # without a folder, since the path of a socket may not be longer than 107 bytes
POLL_S = 0.1
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
RESERVE_S = 5  # seconds of the time to stop that are left for all but the requests in work
_logger = logging.getLogger("pothole.serve")


class NginxTemplate(string.Template):
    """This template has variables named `%{name}`, since `$name` is a variable of nginx."""

    delimiter = "%"


def serve(env: Mapping[str, str], application: str = APPLICATION) -> int:
    """Run the web server until SIGTERM or SIGINT, or until a part of it ends by itself.

    All that is written lies in a private temporary folder and goes with it, so that even a worker that had
    to be killed leaves nothing behind.

    Args:
        env: The environment, of which settings are read and which both inherit.
        application: The WSGI application, as `module:name`.

    Returns:
        0 after a signal; something else when nginx or gunicorn ended by itself.

    Raises:
        ConfigError: A setting in the environment is wrong.
    """
    settings = Settings.from_env(env)
    logging.config.dictConfig(logging_config(settings.log_level))
    stop = _stop_signal()
    with private_folder(settings.temp_dir, "pothole-serve-") as folder:
        # Started by root, nginx works as nobody and must reach gunicorn's socket in here.
        folder.chmod(0o711)
        with _running(settings, env, application, folder, stop) as processes:
            while not stop.wait(POLL_S):
                for name, process in processes.items():
                    if (code := process.poll()) is not None:
                        _logger.error("%s ended by itself", name, extra={"returncode": code})
                        return code if code > 0 else 1
            _logger.info("stopping")
    return 0


def _stop_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def _running(
    settings: Settings, env: Mapping[str, str], application: str, folder: Path, stop: threading.Event
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start both and yield them by name; then stop gunicorn first, while nginx passes on its answers."""
    # Debian keeps nginx where only root's PATH looks.
    nginx = shutil.which("nginx", path=f"{env.get('PATH', os.defpath)}:/usr/sbin")
    grace_s = max(1, settings.stop_timeout_s - RESERVE_S)
    processes = {}
    try:
        address = SOCKET if nginx else f"{settings.host}:{settings.port}"
        processes["gunicorn"] = _start_gunicorn(settings, env, application, folder, address, grace_s)
        if nginx:
            # Asked before a worker listens, nginx would say so in the log, in lines that are no JSON.
            while not (
                (folder / PING_SOCKET).exists()
                or processes["gunicorn"].poll() is not None
                or stop.wait(POLL_S)
            ):
                pass
            processes["nginx"] = _start_nginx(settings, env, folder, nginx)
        else:
            _logger.warning(
                "nginx is not installed: gunicorn serves alone, slow clients may hold its threads"
            )
        yield processes
    finally:
        for name, number, timeout_s in (
            ("gunicorn", signal.SIGTERM, grace_s + 2),
            ("nginx", signal.SIGQUIT, 1),
        ):
            if name in processes:
                _end(processes[name], number, timeout_s)


def _start_gunicorn(
    settings: Settings, env: Mapping[str, str], application: str, folder: Path, address: str, grace_s: int
) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "gunicorn", "--config", "python:pothole.entrypoints.http.gunicorn_config"),
        *("--bind", address, "--graceful-timeout", str(grace_s), application),
    ]
    # gunicorn works in another folder, so what was said relative to ours has to be absolute.
    environment = {"TMPDIR": str(folder), "SM_MODEL_DIR": str(settings.model_dir.absolute())}
    # glibc keeps memory apart for many threads, and so would keep ever more of it: two pools are enough.
    return _start(command, folder, {"MALLOC_ARENA_MAX": "2", **env, **environment})


def _start_nginx(
    settings: Settings, env: Mapping[str, str], folder: Path, nginx: str
) -> subprocess.Popen[bytes]:
    template = NginxTemplate(Path(__file__).with_name("nginx.conf").read_text())
    configuration = template.substitute(
        host=settings.host,
        port=settings.port,
        timeout_s=settings.request_timeout_s,
        max_invocations=settings.max_invocations,
        max_video_bytes=settings.max_video_bytes,
        max_image_bytes=settings.max_image_bytes,
        max_json_bytes=MAX_JSON_BYTES,
    )
    Path(folder, "nginx.conf").write_text(configuration)
    # nginx's workers could not get to a whole path through folders that are root's alone.
    return _start([nginx, "-p", ".", "-c", "nginx.conf", "-e", "stderr"], folder, env)


def _start(command: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # Each has a session of its own, or Ctrl-C in a terminal would end all of them at once, in no order.
    # The folder is the working one because the path of a socket may not be longer than 107 bytes.
    return subprocess.Popen(  # noqa: S603
        command,
        cwd=folder,
        env=environment,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509  # no other thread runs that could hold a lock
    )


def _end_with_parent() -> None:
    """Have the system send SIGTERM to this process when `serve` ends, be it by SIGKILL (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes], number: signal.Signals, timeout_s: int) -> None:
    process.send_signal(number)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _logger.warning("%s did not end in time and is killed", process.args)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # workers of it may be left
    process.wait()

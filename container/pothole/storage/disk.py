"""The disk of the temporary folder has to have room for a job."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from pothole.errors import DiskFull, PotholeError
from pothole.settings import Settings
from pothole.storage.local import NO_ROOM

WAY_OUT = "Set TMPDIR to a folder on a larger disk, or wait for other jobs to end."


@contextmanager
def disk_space(settings: Settings, needed: int) -> Iterator[None]:
    """Look for room in the temporary folder, and raise `DiskFull` when it turns out to be too little."""
    check_disk(settings, needed)
    try:
        yield
    except PotholeError:
        raise
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise DiskFull("The disk of TMPDIR is full.", hint=WAY_OUT) from exc
        raise


def check_disk(settings: Settings, needed: int = 0) -> None:
    """Raise `DiskFull` when the temporary folder has no room for `needed` bytes and what is to stay free."""
    free = shutil.disk_usage(settings.temp_dir).free
    if free < needed + settings.min_free_bytes:
        raise DiskFull(
            f"The disk of TMPDIR has {free} bytes left, and needs {needed} beside {settings.min_free_bytes}.",
            hint=WAY_OUT,
        )

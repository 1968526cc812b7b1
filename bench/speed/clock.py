"""The clock of all rows. Needs nothing but Python, so that peers in other environments use it, too."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def clocked() -> Iterator[dict[str, float]]:
    """Yield a dict that gets the `seconds` and the `cpu_seconds`, of all threads, that the body took."""
    answer: dict[str, float] = {}
    wall, cpu = time.monotonic(), time.process_time()
    yield answer
    answer["seconds"], answer["cpu_seconds"] = time.monotonic() - wall, time.process_time() - cpu

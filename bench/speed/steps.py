"""Long measurements say at which step they are, and for how long they will go on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Steps are counted, each shown while it lasts: on a terminal in place, elsewhere as a line.

    Args:
        total: How many there are.
        console: Where they are shown.
    """

    def __init__(self, total: int, console: Console) -> None:
        self._total, self._console = total, console
        self._done, self._began = 0, time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step while the body runs."""
        line = f"{self._done + 1} of {self._total}: {title}{self._left()}"
        if self._console.is_terminal:
            with self._console.status(line):
                yield
        else:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
            yield
        self._done += 1

    def _left(self) -> str:
        """Return how long it will take as long as steps take what they took so far; nothing at the begin."""
        if not self._done:
            return ""
        seconds = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        return f"; about {seconds / 60:.0f} min left" if seconds >= 90 else f"; about {seconds:.0f} s left"

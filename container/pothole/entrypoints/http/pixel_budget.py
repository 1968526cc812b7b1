"""Pictures in work share a budget of pixels, since a small file may become large in memory."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class PixelBudget:
    """The budget holds pictures back until there is room for them.

    Args:
        total: Pixels of all pictures in work at a time; a larger one is in work alone.
    """

    def __init__(self, total: int) -> None:
        self._total, self._used = total, 0
        self._changed = threading.Condition()
        self._next = threading.Lock()  # who waits for room keeps others behind, or small ones would starve it

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that waits for pixels and takes them; when the body ends, they are given back."""
        taken = 0

        def take(pixels: int) -> None:
            nonlocal taken
            with self._next, self._changed:
                self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._total)
                self._used += pixels
                taken += pixels

        try:
            yield take
        finally:
            with self._changed:
                self._used -= taken
                self._changed.notify_all()

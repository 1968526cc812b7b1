"""Stages that work side by side: each is an iterator, and `ahead` runs one in a thread of its own."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2

T = TypeVar("T")

POLL_S = 0.1

# The stages share the cores among themselves: OpenCV's own threads would mostly wait for one another.
cv2.setNumThreads(1)


class _End:
    """Stands after the last item."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def ahead(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Let an iterator run ahead in a thread.

    What it raises comes out where the item would have, and leaving the context ends it, wherever it is: a
    failure on either side ends both. Decoding, detection and encoding let go of Python's lock, so they
    overlap.

    Args:
        items: A stage; a generator among them is closed in its thread.
        depth: Items that may wait between the two sides.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(depth)
    left = threading.Event()

    def put(item: T | _End) -> bool:
        while not left.is_set():
            try:
                waiting.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as exc:  # goes on on the other side
            error = exc
        finally:
            try:
                if close := getattr(items, "close", None):
                    close()
            except BaseException as exc:
                error = error or exc
            put(_End(error))

    def taken() -> Iterator[T]:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error:
                    raise item.error
                return
            yield item

    thread = threading.Thread(target=work, name="stage", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        left.set()
        thread.join()

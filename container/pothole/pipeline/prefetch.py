"""Stages work side by side: each is an iterator, and runs ahead of the next in a thread of its own."""

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import cv2

T = TypeVar("T")

POLL_S = 0.1


class _End:
    """An end stands in the queue after the last item."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Left(BaseException):
    """This exception ends a stage in the middle of its work, when nobody takes its items any more."""


class Stages:
    """`Stages` holds a pipeline's threads. A context manager: leaving it ends each at its next item."""

    def __init__(self) -> None:
        # The stages share the cores among themselves: OpenCV's own threads would mostly wait for one another.
        cv2.setNumThreads(1)
        self._left = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        for thread in self._threads:
            thread.join()

    def prefetch(self, items: Iterable[T], depth: int) -> Iterator[T]:
        """Let an iterator run ahead in a thread.

        What it raises comes out where the item would have: a failure on either side ends both. Decoding,
        detection and encoding let go of Python's lock, so they overlap.

        Args:
            items: A stage; a generator among them is closed in its thread.
            depth: Items that may wait between the two sides.
        """
        waiting: queue.Queue[T | _End] = queue.Queue(depth)
        thread = threading.Thread(target=self._work, args=(items, waiting), name="stage", daemon=True)
        self._threads.append(thread)
        thread.start()
        return self._taken(waiting)

    def _work(self, items: Iterable[T], waiting: "queue.Queue[T | _End]") -> None:
        error: BaseException | None = None
        try:
            for item in items:
                self._put(waiting, item)
        except BaseException as exc:  # it is raised on the other side
            error = exc
        try:
            if close := getattr(items, "close", None):
                close()
        except BaseException as exc:
            error = error or exc
        try:
            self._put(waiting, _End(error))
        except _Left:
            return

    def _put(self, waiting: "queue.Queue[T | _End]", item: T | _End) -> None:
        while not self._left.is_set():
            try:
                return waiting.put(item, timeout=POLL_S)
            except queue.Full:
                continue
        raise _Left

    def _taken(self, waiting: "queue.Queue[T | _End]") -> Iterator[T]:
        while not self._left.is_set():
            try:
                item = waiting.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                if item.error:
                    raise item.error
                return
            yield item
        raise _Left

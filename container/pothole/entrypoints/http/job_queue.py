"""The queue decides which video is worked on when: some at a time, some waiting, no more."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self, TypeVar

from pothole.errors import Busy, NotReady
from pothole.jobs.shutdown import ShutdownSignal
from pothole.metrics import Metrics
from pothole.settings import Settings

Result = TypeVar("Result")


class JobQueue:
    """The queue holds the videos in work and those that wait.

    Args:
        settings: How many of each.
        metrics: Shows how many there are.
        shutdown: Set when those in work have to end; see `stop`.
    """

    def __init__(self, settings: Settings, metrics: Metrics, shutdown: ShutdownSignal) -> None:
        self._places = threading.BoundedSemaphore(settings.max_jobs + settings.max_queued_jobs)
        self._workers = ThreadPoolExecutor(settings.max_jobs, "job")
        self._metrics, self._shutdown = metrics, shutdown

    def place(self) -> "Place":
        """Take a place, from which work is started, or which is given back.

        Raises:
            Busy: All are taken.
            NotReady: The server is stopping.
        """
        if self._shutdown.soon.is_set():
            raise NotReady("The server is stopping.", hint="Send the request again.")
        if not self._places.acquire(blocking=False):
            raise Busy(
                "As many videos are in work and waiting as this server takes.",
                hint="Send the request again later, start more servers, or raise MAX_QUEUED_JOBS.",
            )
        return Place(self)

    def start(self, work: Callable[..., Result], *args: Any) -> "Future[Result]":
        """Start work when its turn comes, and give the place back when it is done."""
        self._metrics.queued.inc()
        future = self._workers.submit(copy_context().run, self._work, work, *args)
        future.add_done_callback(lambda _: self.give_back())
        return future

    def _work(self, work: Callable[..., Result], *args: Any) -> Result:
        self._metrics.queued.dec()
        with self._metrics.running.track_inprogress():
            return work(*args)

    def give_back(self) -> None:
        """Give a place back."""
        self._places.release()

    def stop(self, patience_s: float) -> None:
        """Accept and begin nothing more; interrupt videos in work at a checkpoint, or after some seconds."""
        self._shutdown.soon.set()
        timer = threading.Timer(patience_s, self._shutdown.now.set)
        timer.daemon = True
        timer.start()

    def wait(self) -> None:
        """Wait until nothing is in work any more; see `stop`."""
        self._workers.shutdown()


class Place:
    """A place in the queue is given back at the end of the `with` block unless work was started from it."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._used = False

    def start(self, work: Callable[..., Result], *args: Any) -> "Future[Result]":
        """See `JobQueue.start`."""
        self._used = True
        return self._queue.start(work, *args)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._used:
            self._queue.give_back()

"""Pictures wait in a bounded queue for what looks at them, and none is lost by an endpoint that fails.

An endpoint may refuse a picture for what it is: then it gets no record. Whatever else fails is tried again,
for as long as it takes; meanwhile the queue is full and the reader waits, so that nothing is lost and no
memory grows.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.errors import Interrupted, PotholeError, StorageUnavailable
from pothole.types import Image

FIRST_WAIT_S, MAX_WAIT_S = 0.1, 5.0  # between two tries of a picture, each with a random part
MAX_BYTES = 256 * 2**20  # of all that waits, however small the pictures
Body = TypeVar("Body")
Seen = TypeVar("Seen")
_logger = logging.getLogger("pothole.stream")


class Passing(StorageUnavailable):
    """What looks at pictures fails for a reason that passes."""


@dataclass(frozen=True)
class Answer:
    """An answer is what a record says of a picture.

    Attributes:
        output: What looked at it says, mostly JSON.
        potholes: How many of its potholes no earlier picture showed, as far as that is known.
    """

    output: bytes
    potholes: int = 0


class Predictor(Protocol[Body, Seen]):
    """A predictor looks at pictures: an endpoint, or the model in this process."""

    def prepare(self, picture: Image) -> Body:
        """Return what is kept of a picture `(height, width, 3)` RGB until it is looked at."""
        ...

    def size(self, body: Body) -> int:
        """Return how many bytes of memory that takes."""
        ...

    def coded(self, body: Body) -> bytes:
        """Return it as a file, for records that hold their pictures."""
        ...

    def predict(self, body: Body, deadline: float) -> Seen:
        """Look at a picture.

        Args:
            body: As it was prepared.
            deadline: By `time.monotonic`, when it should have come to an end.

        Raises:
            Passing: It is worth another try.
            PotholeError: The picture is refused.
        """
        ...

    def follow(self, seen: Iterable[Seen]) -> Iterator[Answer]:
        """Yield the answer to each picture of one stream, in order; some may wait for the next picture."""
        ...


class Places:
    """These are the places of the queue, a limited number of pictures and of bytes.

    Args:
        most: Pictures.
        most_bytes: Bytes of them, but one picture is let in always.
    """

    def __init__(self, most: int, most_bytes: int = MAX_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._changed = threading.Condition()
        self.taken = self._bytes = 0

    def take(self, size: int, stopped: threading.Event) -> bool:
        """Wait for a place; say whether there is one, or the wait was stopped."""
        with self._changed:
            while self.taken and (self.taken >= self._most or self._bytes + size > self._most_bytes):
                if stopped.is_set():
                    return False
                self._changed.wait(0.5)
            self.taken += 1
            self._bytes += size
            return True

    def leave(self, size: int) -> None:
        """Give a place back."""
        with self._changed:
            self.taken -= 1
            self._bytes -= size
            self._changed.notify_all()


@dataclass(frozen=True)
class _Task(Generic[Body, Seen]):
    body: Body
    done: "Future[Seen]" = field(default_factory=Future)


class Inference(Generic[Body, Seen]):
    """An inference has pictures looked at, several at a time. A context manager.

    Args:
        predictor: Looks at them.
        threads: How many at a time.
        timeout_s: Seconds for a picture, all tries together; then others have their turn first.
        thread_name: Gives each thread its name.
        metrics: Are told of tries.
    """

    def __init__(
        self,
        predictor: Predictor[Body, Seen],
        threads: int,
        timeout_s: float,
        thread_name: Callable[[int], str],
        metrics: StreamMetrics,
    ) -> None:
        self._predictor, self._timeout_s, self._metrics = predictor, timeout_s, metrics
        self._ended = threading.Event()
        numbers = count(1)

        def name() -> None:
            threading.current_thread().name = thread_name(next(numbers))

        self._pool = ThreadPoolExecutor(threads, initializer=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._pool.shutdown()

    def submit(self, body: Body) -> "Future[Seen]":
        """Have a picture looked at; what comes is in the future, or `Interrupted` if the consumer ends."""
        task = _Task[Body, Seen](body)
        self._start(task)
        return task.done

    def _start(self, task: _Task[Body, Seen]) -> None:
        try:
            self._pool.submit(self._work, task)
        except RuntimeError:  # the pool takes nothing more since the consumer ends
            task.done.set_exception(Interrupted("The consumer ends before a picture is looked at."))

    def _work(self, task: _Task[Body, Seen]) -> None:
        """Try until the picture is looked at, or refused, or its turn is over."""
        deadline, wait_s = time.monotonic() + self._timeout_s, FIRST_WAIT_S
        while not self._ended.is_set():
            try:
                task.done.set_result(self._predictor.predict(task.body, deadline))
                return
            except Passing as exc:
                self._metrics.count("InferenceRetries")
                reason = str(exc)
            except PotholeError as exc:
                task.done.set_exception(exc)
                return
            except Exception as exc:
                _logger.exception("the look at a picture failed")
                task.done.set_exception(PotholeError(f"Nobody thought of this: {exc!r}."))
                return
            pause_s = random.uniform(wait_s / 2, wait_s)  # noqa: S311  # so that threads do not keep step
            if time.monotonic() + pause_s >= deadline:
                self._metrics.count("InferenceTimeouts")
                _logger.warning("a picture waits for another turn", extra={"reason": reason})
                break
            self._ended.wait(pause_s)
            wait_s = min(MAX_WAIT_S, 2 * wait_s)
        self._start(task)

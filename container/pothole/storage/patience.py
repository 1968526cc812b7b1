"""All calls of a job to a bucket share one patience with a store that does not answer.

Each call is tried several times, each time as long as S3 may be silent, and a job makes many calls. With a
limit for each alone, a silent store would hold a thread for minutes.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ReadTimeoutError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Result = TypeVar("Result")
READING = "GetObject"  # whose first bytes are no answer yet: it may fall silent in the middle


class OutOfPatience(BotoCoreError):
    """A call failed, and it is too late to try again."""

    fmt = "{reason}; another try could take longer than the {limit_s} s of S3_RETRY_SECONDS."


class Patience:
    """A patience ends when no call has been answered for so long that another try would pass the limit.

    Args:
        limit_s: Seconds for which calls may go without an answer.
        try_s: Seconds that a try may be silent.
    """

    def __init__(self, limit_s: float, try_s: float) -> None:
        self.limit_s = limit_s
        self._try_s = try_s
        self._lock = threading.Lock()
        self._since: float | None = None

    @contextmanager
    def call(self) -> Iterator[None]:
        """Let what is asked within, in threads of `InContext` too, be one call, whose first try is made."""
        token = _call.set(_Call(self))
        try:
            yield
        finally:
            _call.reset(token)

    def answered(self) -> None:
        """Note that the store answers."""
        with self._lock:
            self._since = None

    def missed(self, ago_s: float = 0.0) -> None:
        """Note that no answer has come since so many seconds ago."""
        with self._lock:
            self._since = self._since or time.monotonic() - ago_s

    def failed(self, error: Exception | None) -> None:
        """Note that a try failed."""
        self.missed(self._try_s if isinstance(error, ReadTimeoutError) else 0.0)

    def is_over(self) -> bool:
        """Say whether another try could end too late."""
        since = self._since
        return since is not None and time.monotonic() - since + self._try_s > self.limit_s


class _Call:
    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.tried = False


_call: ContextVar[_Call | None] = ContextVar("call", default=None)


class InContext(ThreadPoolExecutor):
    """This pool's threads work on the call of whoever submits."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """See `ThreadPoolExecutor.submit`."""
        return super().submit(copy_context().run, fn, *args, **kwargs)


def watch(client: "S3Client") -> None:
    """Let the client's tries heed the patience of the call that they are for."""
    client.meta.events.register("before-send.s3", _before_try)
    client.meta.events.register("response-received.s3", _after_try)


def _before_try(event_name: str, **_: object) -> None:
    if not (call := _call.get()):
        return
    if call.tried and call.patience.is_over():
        raise OutOfPatience(reason="it fell silent", limit_s=call.patience.limit_s)
    call.tried = True
    if event_name.endswith(READING):
        call.patience.missed()


def _after_try(
    event_name: str, response_dict: dict[str, Any] | None, exception: Exception | None, **_: object
) -> None:
    if not (call := _call.get()):
        return
    status = response_dict["status_code"] if response_dict else HTTPStatus.INTERNAL_SERVER_ERROR
    if exception or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        call.patience.failed(exception)
        if call.patience.is_over():  # before botocore waits, to try again
            reason = exception or f"status {status}"
            raise OutOfPatience(reason=reason, limit_s=call.patience.limit_s) from exception
    elif not event_name.endswith(READING) or status >= HTTPStatus.BAD_REQUEST:
        call.patience.answered()

"""What becomes of the slots of a worker that fails in a way that nobody thought of."""

from typing import Any

import pytest

from pothole.entrypoints.queue.consumer import Consumer
from pothole.entrypoints.queue.protection import Protection
from pothole.jobs.worker import Worker
from pothole.settings import Settings
from support.fakes import MagentaDetector


def test_a_slot_that_fails_ends_the_worker_with_its_error() -> None:
    class Broken:
        def __init__(self) -> None:
            self.asked = 0

        def receive(self) -> None:
            self.asked += 1
            if self.asked == 2:
                raise RuntimeError("nobody thought of this")

    def no_store(bucket: str) -> Any:
        raise AssertionError(bucket)

    worker = Worker(MagentaDetector(), "", no_store, Settings())
    consumer = Consumer(Broken(), worker, None, {}, 2, Protection({}))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        consumer.run()

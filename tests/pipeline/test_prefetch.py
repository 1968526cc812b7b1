import threading
import time
from collections.abc import Iterator

import pytest

from pothole.pipeline.prefetch import Stages


class Numbers:
    """A stage that counts up, and knows how far it is, and in which thread and whether it was closed."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.given = 0
        self.thread: threading.Thread | None = None
        self.closed_in: threading.Thread | None = None
        self._fails_at = fails_at

    def stage(self, end: int) -> Iterator[int]:
        self.thread = threading.current_thread()
        try:
            for i in range(end):
                if i == self._fails_at:
                    raise OSError(f"{i} cannot be read")
                self.given += 1
                yield i
        finally:
            self.closed_in = threading.current_thread()


def doubled(numbers: Iterator[int], fails_at: int | None = None) -> Iterator[int]:
    for number in numbers:
        if number == fails_at:
            raise ValueError(f"{number} cannot be doubled")
        yield 2 * number


@pytest.fixture(autouse=True)
def no_thread_outlives_its_stage() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_items_come_in_order_from_a_thread_of_their_own():
    numbers = Numbers()
    with Stages() as stages:
        items = stages.prefetch(doubled(stages.prefetch(numbers.stage(500), 4)), 4)
        assert list(items) == list(range(0, 1000, 2))
    assert numbers.thread is numbers.closed_in is not threading.current_thread()


def test_stage_without_items_ends_at_once():
    with Stages() as stages:
        assert list(stages.prefetch(iter(()), 1)) == []


def test_stage_runs_ahead_but_only_so_far():
    numbers, depth = Numbers(), 3
    with Stages() as stages:
        lead = [numbers.given - item - 1 for item in stages.prefetch(numbers.stage(3000), depth)]
    # One more is in the hand of the stage, one in that of who takes it.
    assert max(lead) <= depth + 1
    assert max(lead) >= depth


def test_failure_of_a_stage_comes_out_after_the_items_before_it():
    numbers, seen = Numbers(fails_at=7), []
    with pytest.raises(OSError, match="7 cannot be read"), Stages() as stages:
        seen.extend(stages.prefetch(doubled(stages.prefetch(numbers.stage(100), 2)), 2))
    assert seen == [0, 2, 4, 6, 8, 10, 12]
    assert numbers.closed_in is numbers.thread


def test_failure_in_the_middle_ends_the_stages_before_it():
    numbers, seen = Numbers(), []
    with pytest.raises(ValueError, match="7 cannot be doubled"), Stages() as stages:
        seen.extend(stages.prefetch(doubled(stages.prefetch(numbers.stage(10**9), 2), fails_at=7), 2))
    assert len(seen) == 7
    assert numbers.closed_in is numbers.thread


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_at_the_end_ends_the_stages(error):
    numbers = Numbers()
    with pytest.raises(error, match="enough"), Stages() as stages:
        for item in stages.prefetch(doubled(stages.prefetch(numbers.stage(10**9), 2)), 2):
            if item == 10:
                raise error("enough")
    assert numbers.closed_in is numbers.thread


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_leaving_early_ends_the_stages(taken):
    numbers = Numbers()
    with Stages() as stages:
        items = stages.prefetch(doubled(stages.prefetch(numbers.stage(10**9), 2)), 2)
        assert [next(items) for _ in range(taken)] == list(range(0, 2 * taken, 2))
    assert numbers.closed_in is numbers.thread


def test_failure_while_a_stage_is_closed_comes_out():
    def stage() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError("cannot be closed")

    with pytest.raises(OSError, match="cannot be closed"), Stages() as stages:
        list(stages.prefetch(stage(), 2))


@pytest.mark.parametrize(("fails", "said"), [(False, "cannot be closed"), (True, "cannot be read")])
def test_the_first_failure_of_a_source_that_is_no_generator_comes_out(fails, said):
    class Source:
        def __init__(self) -> None:
            self._left = 3

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            self._left -= 1
            if self._left:
                return self._left
            raise OSError("cannot be read") if fails else StopIteration

        def close(self) -> None:
            raise OSError("cannot be closed")

    with pytest.raises(OSError, match=said), Stages() as stages:
        list(stages.prefetch(Source(), 2))


def test_leaving_ends_a_stage_in_the_middle_of_a_long_item():
    """As when publishing fails while the next twenty seconds of video are encoded."""
    numbers = Numbers()

    def sums(items: Iterator[int]) -> Iterator[int]:
        while True:
            yield sum(next(items) for _ in range(10**9))

    with pytest.raises(ValueError, match="no more"), Stages() as stages:
        stages.prefetch(sums(stages.prefetch(numbers.stage(10**12), 2)), 1)
        while numbers.given < 100:
            time.sleep(0.01)
        raise ValueError("no more")
    assert numbers.given < 10**8

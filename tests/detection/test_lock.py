"""Whose turn it is at the model."""

import threading
import time
from itertools import pairwise

import pytest

from pothole.detection.lock import FairLock


def test_nobody_is_served_again_before_those_who_came_earlier() -> None:
    lock, together, served = FairLock(), threading.Barrier(4), list[int]()

    inside = threading.Lock()

    def ask(name: int) -> None:
        together.wait()
        for _ in range(50):
            with lock:
                assert inside.acquire(blocking=False), "two are served at once"
                served.append(name)
                time.sleep(0.001)
                inside.release()

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(served) == 200, "a thread failed"
    middle = served[8:-8]  # at the ends not all of them ask
    assert len(middle) == 184
    assert not any(before == after for before, after in pairwise(middle))


def test_a_turn_that_fails_is_handed_on() -> None:
    lock = FairLock()
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    with lock:
        pass

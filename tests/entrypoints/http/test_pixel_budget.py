"""What is small as a file may be large in memory."""

import threading
import time

from pothole.entrypoints.http.pixel_budget import PixelBudget


def working(
    budget: PixelBudget, pixels: int, began: threading.Event, end: threading.Event
) -> threading.Thread:
    def work() -> None:
        with budget.share() as take:
            take(pixels)
            began.set()
            assert end.wait(30)

    thread = threading.Thread(
        target=work, daemon=True
    )  # or one that waits for ever would hold up Python's end
    thread.start()
    return thread


def test_pictures_wait_for_room_and_a_large_one_is_in_work_alone() -> None:
    budget, end = PixelBudget(100), threading.Event()
    first, second, third = threading.Event(), threading.Event(), threading.Event()
    threads = [working(budget, 60, first, end)]
    assert first.wait(30)
    threads.append(working(budget, 40, second, end))
    assert second.wait(30), "there was room for it"
    large_end = threading.Event()
    threads.append(working(budget, 1000, third, large_end))
    time.sleep(0.2)
    assert not third.is_set()
    end.set()
    assert third.wait(30), "it waits for ever"
    large_end.set()
    for thread in threads:
        thread.join()


def test_small_pictures_do_not_starve_a_large_one() -> None:
    budget, ends = PixelBudget(100), [threading.Event() for _ in range(3)]
    small, large, late = threading.Event(), threading.Event(), threading.Event()
    threads = [working(budget, 10, small, ends[0])]
    assert small.wait(30)
    threads.append(working(budget, 1000, large, ends[1]))
    time.sleep(0.2)
    threads.append(working(budget, 10, late, ends[2]))
    time.sleep(0.2)
    assert not late.is_set(), "it overtook the large one"
    for end, began in zip(ends, (large, late, late), strict=True):
        end.set()
        assert began.wait(30)
    for thread in threads:
        thread.join()


def test_what_a_failure_took_is_given_back() -> None:
    budget = PixelBudget(100)
    for _ in range(3):
        try:
            with budget.share() as take:
                take(100)
                raise ValueError
        except ValueError:
            pass
    with budget.share() as take:
        take(1)

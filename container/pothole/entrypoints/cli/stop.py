"""Ctrl-C and SIGTERM end a command's job soon, and leave no temporary file."""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pothole.jobs.shutdown import ShutdownSignal

PATIENCE_S = 1.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals(
    shutdown: ShutdownSignal, folder: Path, last_words: Callable[[], str]
) -> Iterator[Callable[[], int]]:
    """Yield the exit status that a shell expects: 0, or that of the signal that came.

    A job ends at its next frame. Where that takes long, as with a large model, the process ends by itself, so
    that nobody waits.

    Args:
        shutdown: Set by a signal.
        folder: With temporary files, which are removed when the process ends by itself.
        last_words: What is printed then.
    """
    status = 0

    def end() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"\npothole: {last_words()}", file=sys.stderr, flush=True)
        os._exit(status)

    def on_signal(number: int, frame: Any) -> None:
        nonlocal status
        status = 128 + number
        shutdown.soon.set()
        shutdown.now.set()
        if not timer.ident:
            timer.start()

    timer = threading.Timer(PATIENCE_S, end)
    timer.daemon = True
    with _handling(on_signal, SIGNALS):
        try:
            yield lambda: status
        finally:
            timer.cancel()


@contextmanager
def event_on_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set; a second one ends the process at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    with _handling(on_signal, (signal.SIGTERM, signal.SIGINT)):
        yield stop


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process, so that temporary files go.

    Where that takes long, as in the middle of loading a model, the process ends by itself; what is left then
    goes at the next start, see `private_folder`.
    """

    def on_signal(number: int, frame: Any) -> None:
        timer = threading.Timer(PATIENCE_S, os._exit, [128 + number])
        timer.daemon = True
        timer.start()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    with _handling(on_signal, SIGNALS):
        yield


@contextmanager
def _handling(handler: Callable[[int, Any], None], signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Handle signals but those that the caller ignores, as nohup does."""
    heeded = [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)

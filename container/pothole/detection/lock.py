"""Turns at the model: whoever came first is served first, so that a picture never starves behind a video."""

import threading
from typing import Any

from pothole.detection.detector import Detector
from pothole.metrics import Metrics
from pothole.types import Size


class Turns:
    """A lock handed on in the order of asking; Python's own may go to the same thread again and again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next_number = self._now_serving = 0

    def __enter__(self) -> None:
        with self._changed:
            number = self._next_number
            self._next_number += 1
            self._changed.wait_for(lambda: self._now_serving == number)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._now_serving += 1
            self._changed.notify_all()


class DetectorInTurns:
    """A `Detector` that takes its callers in turns and tells how long the model took for each.

    Args:
        detector: Does the work.
        metrics: Gets the times.
    """

    def __init__(self, detector: Detector, metrics: Metrics) -> None:
        self.name, self.min_confidence = detector.name, detector.min_confidence
        self._detector, self._metrics = detector, metrics
        self._turns = Turns()

    def input_size(self, size: Size) -> Size:
        """See `Detector.input_size`."""
        return self._detector.input_size(size)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """See `Detector.predict`."""
        with self._turns, self._metrics.model_seconds.time():
            return self._detector.predict(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

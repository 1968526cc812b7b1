"""Many callers share one detector, first come, first served, so that no picture starves behind a video."""

import threading
from collections.abc import Sequence

from pothole.detection.detector import Detector
from pothole.detections import Detections
from pothole.metrics import Metrics
from pothole.types import Image, Size


class FairLock:
    """A fair lock is given in the order of asking; Python's own may go to the same thread again and again."""

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


class SharedDetector:
    """A shared detector serves its callers one after the other, and measures the model's time for each.

    Args:
        detector: Does the work.
        metrics: Gets the times.
    """

    def __init__(self, detector: Detector, metrics: Metrics) -> None:
        self.name, self.min_confidence = detector.name, detector.min_confidence
        self.class_names = detector.class_names
        self._detector, self._metrics = detector, metrics
        self._lock = FairLock()

    def input_size(self, size: Size) -> Size:
        """See `Detector.input_size`."""
        return self._detector.input_size(size)

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """See `Detector.predict`."""
        with self._lock, self._metrics.model_seconds.time():
            return self._detector.predict(images, min_confidence, sizes)

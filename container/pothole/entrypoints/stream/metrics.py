"""What the consumer counts and times is told in lines of the log, from which CloudWatch takes metrics."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from pothole.metrics import EMBEDDED, about_metrics

COUNTS = (
    "FramesRead",
    "FramesChosen",
    "FramesAnswered",
    "FramesRefused",
    "InferenceRetries",
    "InferenceTimeouts",
    "Potholes",
    "RecordsWritten",
    "RecordsRetried",
    "RecordsRefused",
    "LeaseSyncs",
)
TIMES = ("IngestToProcessLatency", "IngestToRecordLatency", "LeaseSyncTime")
GAUGES = {
    "FramesWaiting": "Count",
    "Lag": "Milliseconds",
    "CurrentLeaseTotal": "Count",
    "NumberOfWorkers": "Count",
}
OF_WORKER = {"LeaseCount": "Count"}
UNITS = {
    (): dict.fromkeys(COUNTS, "Count") | dict.fromkeys(TIMES, "Milliseconds") | GAUGES,
    ("Worker",): OF_WORKER,
}
"""The unit of each metric, by its dimensions."""
MAX_VALUES = 100  # of one metric in one line of CloudWatch's format
_logger = logging.getLogger("pothole.stream")


class StreamMetrics:
    """These metrics are one consumer's; each call may come from any thread.

    Args:
        namespace: CloudWatch's; empty to make the line one for people alone.
        worker: The consumer's name.
        now: The clock, in seconds since 1970.
    """

    def __init__(self, namespace: str = "", worker: str = "", now: Callable[[], float] = time.time) -> None:
        self._namespace, self._worker, self.now = namespace, worker, now
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._times: dict[str, list[int]] = {name: [] for name in TIMES}
        self._waiting: dict[object, int] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Count something, one of `COUNTS`."""
        with self._lock:
            self._counts[name] += by

    def took(self, name: str, milliseconds: float) -> None:
        """Note how long something took, one of `TIMES`; beyond `MAX_VALUES` the newest are kept."""
        with self._lock:
            self._times[name] = [*self._times[name][1 - MAX_VALUES :], round(milliseconds)]

    def since(self, name: str, ingested_ms: int) -> None:
        """Note how long ago a picture came in."""
        self.took(name, self.now() * 1000 - ingested_ms)

    def begin(self, frame: object, ingested_ms: int) -> None:
        """Note that a picture waits for its record."""
        with self._lock:
            self._waiting[frame] = ingested_ms

    def end(self, frame: object) -> None:
        """Note that a picture waits no longer."""
        with self._lock:
            self._waiting.pop(frame, None)

    def tell(self, leases: int, total: int, workers: int) -> None:
        """Log what was counted since the last time, and how things stand.

        Args:
            leases: That this consumer has.
            total: That all consumers have.
            workers: How many consumers there are.
        """
        with self._lock:
            counts = {name: self._counts[name] for name in COUNTS}
            times = {name: values for name, values in self._times.items() if values}
            oldest = min(self._waiting.values(), default=None)
            waiting = len(self._waiting)
            self._counts.clear()
            self._times = {name: [] for name in TIMES}
        told: dict[str, Any] = {
            **counts,
            **times,
            "FramesWaiting": waiting,
            "Lag": 0 if oldest is None else max(0, round(self.now() * 1000 - oldest)),
            "CurrentLeaseTotal": total,
            "NumberOfWorkers": workers,
            "LeaseCount": leases,
            "Worker": self._worker,
        }
        if self._namespace:
            units = {
                dimensions: {name: unit for name, unit in of_metrics.items() if name in told}
                for dimensions, of_metrics in UNITS.items()
            }
            told[EMBEDDED] = about_metrics(self._namespace, units)
        _logger.info("streaming", extra=told)

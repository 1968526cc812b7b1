"""The consumer reads the streams whose leases it has, and keeps the leases; read `run` first."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from pothole.entrypoints.stream.lease_table import Checkpoint, LeaseTable
from pothole.entrypoints.stream.leases import SYNC_KEY, Leases
from pothole.entrypoints.stream.live_stream import LiveStream
from pothole.entrypoints.stream.metrics import StreamMetrics
from pothole.entrypoints.stream.streams import Streams
from pothole.errors import PotholeError

BEATS = 4  # looks at the leases in the time for which one lasts, so that one that fails is not the end
AGAIN_S = 5.0  # until a stream that ended by itself is read again
TOLD_S = 10.0  # between two lines of the log about how things stand
DRAIN_S = 20.0  # for what is on its way when the consumer ends; ECS waits longer
_logger = logging.getLogger("pothole.stream")


@dataclass
class Consumer:
    """A consumer reads streams until it is told to end.

    Attributes:
        table: The leases of all.
        leases: Those of this consumer.
        streams: Which streams there are.
        open_stream: Begins to read a stream.
        metrics: Are told how things stand.
        beat_s: Seconds from one look at the leases to the next.
        sync_s: Seconds from one look at the list of streams to the next, by whoever has its lease.
        shutdown: Is set when it is to end.
    """

    table: LeaseTable
    leases: Leases
    streams: Streams
    open_stream: Callable[[str, Checkpoint | None], LiveStream]
    metrics: StreamMetrics
    beat_s: float
    sync_s: float
    shutdown: threading.Event
    _running: dict[str, LiveStream] = field(default_factory=dict)
    _rests: dict[str, float] = field(default_factory=dict)  # streams that ended by themselves, until when
    _sync: "Future[None] | None" = None
    _synced: float = -1e9
    _told: float = -1e9

    def run(self) -> None:
        """Read streams until the shutdown is set; then finish what is on its way, and give back the leases.

        Raises:
            ConfigError: There is no table of leases.
        """
        with ThreadPoolExecutor(1, "sync") as pool:
            try:
                while not self.shutdown.is_set():
                    self.leases.keep()
                    self._follow_leases()
                    self._sync_if_due(pool)
                    self._tell()
                    self.shutdown.wait(self.beat_s)
            finally:
                self._drain()

    def give_back(self) -> None:
        """Let others have all streams; after nothing can be written any more."""
        for key in list(self.leases.held):
            self.leases.give_up(key)

    def _follow_leases(self) -> None:
        """Begin to read what was taken, stop what was lost, and give up what was asked for."""
        for key, stream in list(self._running.items()):
            lease = self.leases.held.get(key)
            if lease is None:
                stream.lose()
            elif lease.heir:
                stream.stop()
            if not stream.is_done:
                continue
            del self._running[key]
            if lease and lease.heir:
                self.leases.give_up(key)
            elif lease:
                self._rests[key] = time.monotonic() + AGAIN_S
        for key, lease in list(self.leases.held.items()):
            if key in self._running or time.monotonic() < self._rests.get(key, 0):
                continue
            if lease.heir:
                self.leases.give_up(key)
            elif key != SYNC_KEY:
                self._running[key] = self.open_stream(key, lease.checkpoint)

    def _sync_if_due(self, pool: ThreadPoolExecutor) -> None:
        """Look at the list of streams in another thread, since it may take longer than a lease lasts."""
        if self._sync and self._sync.done():
            with suppress(PotholeError):  # told by `_synchronise`
                self._sync.result()
            self._sync = None
        due = time.monotonic() - self._synced >= self.sync_s
        if SYNC_KEY in self.leases.held and self._sync is None and due:
            self._synced = time.monotonic()
            self._sync = pool.submit(self._synchronise)

    def _synchronise(self) -> None:
        """Make a lease for each stream that is new, and delete that of each that is gone."""
        started = time.monotonic()
        try:
            wanted = self.streams.wanted()
            there = {lease.key for lease in self.table.all()} - {SYNC_KEY}
            for key in sorted(wanted - there):
                if self.table.create(key):
                    _logger.info("stream found", extra={"stream": key})
            for key in sorted(there - wanted):
                self.table.delete(key)
                _logger.info("stream gone", extra={"stream": key})
        except PotholeError as exc:
            _logger.warning("the streams cannot be listed", extra={"reason": str(exc)})
            raise
        self.metrics.count("LeaseSyncs")
        self.metrics.took("LeaseSyncTime", 1000 * (time.monotonic() - started))

    def _tell(self) -> None:
        if time.monotonic() - self._told < TOLD_S:
            return
        self._told = time.monotonic()
        owned = sum(lease.owner is not None for lease in self.leases.known)
        self.metrics.tell(len(self.leases.held), owned, self.leases.workers)

    def _drain(self) -> None:
        """Finish what is on its way, for a while, and give each stream back as soon as it is done."""
        deadline = time.monotonic() + DRAIN_S
        for stream in self._running.values():
            stream.stop()
        self.leases.give_up(SYNC_KEY)
        renewed = time.monotonic()
        while self._running and time.monotonic() < deadline:
            for key in [key for key, stream in self._running.items() if stream.is_done]:
                del self._running[key]
                self.leases.give_up(key)
            if time.monotonic() - renewed >= self.beat_s:
                self.leases.renew()
                renewed = time.monotonic()
            time.sleep(0.05)
        for stream in self._running.values():
            stream.lose()

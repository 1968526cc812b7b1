"""Consumers share the streams by leases: each takes its share, and that of one that is gone goes to others.

The rules are those of Amazon's Kinesis Client Library. A lease whose counter has not moved for a while, by
one's own clock, is free; the share is the number of leases by that of consumers, rounded up; who has less
takes what is free. Where nothing is, it asks whoever has most: that one first finishes what it has begun, so
that nothing is done twice. A library of old just takes it.
"""

import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pothole.entrypoints.stream.lease_table import Checkpoint, Lease, LeaseTable
from pothole.errors import AccessDenied, StorageUnavailable

SYNC_KEY = "/streams"
"""The lease of whoever looks at the list of streams; no stream can have such a name."""
_logger = logging.getLogger("pothole.stream")


@dataclass(frozen=True)
class Share:
    """A share is what one consumer should change so that all have as many leases.

    Attributes:
        take: Free leases to take.
        ask: Leases to ask their owners for.
    """

    take: tuple[Lease, ...]
    ask: tuple[Lease, ...]


def share_of(me: str, leases: Sequence[Lease], is_free: Callable[[Lease], bool]) -> Share:
    """Return what a consumer should take, and ask for.

    Args:
        me: The consumer.
        leases: All there are.
        is_free: Says of a lease whether nobody holds it.
    """
    free = [lease for lease in leases if is_free(lease)]
    held = [lease for lease in leases if not is_free(lease)]
    of = Counter(lease.heir or lease.owner for lease in held)
    target = math.ceil(len(leases) / len({me, *of})) if leases else 0
    needed = target - of[me]
    if needed <= 0:
        return Share((), ())
    take = random.sample(free, min(needed, len(free)))  # in any order, or all would take the same ones
    needed -= len(take)
    others = Counter(lease.owner for lease in held if lease.owner != me and lease.heir is None)
    if take or not others or needed <= 0:
        return Share(tuple(take), ())
    [(most, count)] = others.most_common(1)
    over = max(count - target, 1 if needed > 1 and count >= target else 0)
    asked = [lease for lease in held if lease.owner == most and lease.heir is None]
    return Share((), tuple(random.sample(asked, min(needed, over))))


class Leases:
    """These are the leases of this consumer, renewed and balanced by `keep`, which one thread calls.

    Args:
        table: Where all leases are.
        duration_s: Seconds after which a lease that shows no sign of life is free.
        now: The clock.

    Attributes:
        held: Those that this consumer has, by key.
        known: All there were at the last look.
    """

    def __init__(
        self, table: LeaseTable, duration_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.held: dict[str, Lease] = {}
        self.known: list[Lease] = []
        self._table, self._duration_s, self._now = table, duration_s, now
        self._renewed: dict[str, float] = {}
        self._seen: dict[
            str, tuple[tuple[str | None, int] | None, float]
        ] = {}  # owner and counter, since when

    def keep(self) -> None:
        """Renew what is held, look at all leases, and take or ask for what is missing.

        Where DynamoDB fails, what is held stays so until others may take it.

        Raises:
            ConfigError: There is no such table.
        """
        self.renew()
        try:
            if SYNC_KEY not in {lease.key for lease in self.known}:
                self._table.create(SYNC_KEY)
            self.known = self._table.all()
            self._notice()
            share = share_of(self._table.me, self.known, self._is_free)
            for lease in share.take:
                self._take(lease)
            for lease in share.ask:
                if self._table.ask(lease):
                    _logger.info("stream asked for", extra={"stream": lease.key, "owner": lease.owner})
        except (AccessDenied, StorageUnavailable) as exc:
            _logger.warning("the leases cannot be seen", extra={"reason": str(exc)})

    def renew(self) -> None:
        """Give a sign of life for what is held, and learn what was lost."""
        for lease in list(self.held.values()):
            self._renew(lease)

    def save(self, key: str, checkpoint: Checkpoint) -> bool:
        """Write how far a stream is done; say whether this consumer still has it.

        Raises:
            PotholeError: DynamoDB failed.
        """
        return key in self.held and self._table.save(key, checkpoint)

    def give_up(self, key: str) -> None:
        """Let others have a stream; where DynamoDB fails they take it when the lease has run out."""
        lease = self.held.pop(key, None)
        if lease is None:
            return
        try:
            self._table.give_up(lease)
            _logger.info("stream given up", extra={"stream": key, "heir": lease.heir})
        except (AccessDenied, StorageUnavailable) as exc:
            _logger.warning("a stream is not given up", extra={"stream": key, "reason": str(exc)})

    @property
    def workers(self) -> int:
        """Return how many consumers there were at the last look."""
        return len({lease.owner for lease in self.known if lease.owner and not self._is_free(lease)})

    def _renew(self, lease: Lease) -> None:
        asked_at = self._now()  # not when the answer came: others count from the write
        try:
            renewed = self._table.renew(lease)
        except (AccessDenied, StorageUnavailable) as exc:
            _logger.warning("a lease is not renewed", extra={"stream": lease.key, "reason": str(exc)})
            if self._now() - self._renewed[lease.key] >= self._duration_s:
                self._lose(lease.key)
            return
        if renewed is None:
            self._lose(lease.key)
        else:
            self.held[lease.key], self._renewed[lease.key] = renewed, asked_at

    def _lose(self, key: str) -> None:
        del self.held[key]
        _logger.warning("stream lost", extra={"stream": key})

    def _take(self, lease: Lease) -> None:
        asked_at = self._now()
        if taken := self._table.take(lease):
            self.held[lease.key], self._renewed[lease.key] = taken, asked_at
            _logger.info("stream taken", extra={"stream": lease.key, "before": lease.owner})

    def _notice(self) -> None:
        """Note which leases have changed, and take up those that were handed to this consumer."""
        seen: dict[str, tuple[tuple[str | None, int] | None, float]] = {}
        for lease in self.known:
            sign, (before, since) = (lease.owner, lease.counter), self._seen.get(lease.key, (None, 0.0))
            seen[lease.key] = (sign, since if sign == before else self._now())
            if lease.owner == self._table.me and lease.key not in self.held:
                self._take(lease)
        self._seen = seen

    def _is_free(self, lease: Lease) -> bool:
        if lease.key in self.held:
            return False
        _, since = self._seen[lease.key]
        return lease.owner is None or self._now() - since >= self._duration_s

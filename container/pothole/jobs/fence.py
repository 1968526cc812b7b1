"""A fence keeps a worker that was overtaken from writing over the outputs of its successor.

A worker may be cut off or stopped at any moment, and go on long after another has taken its job over. So
each output is published under the leases: the storage has them renewed, which fails when somebody else has
come, and whoever came first has no way left to write, see `Storage.publish`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pothole.errors import Interrupted, StorageUnavailable
from pothole.jobs.lease import Lease
from pothole.storage import Publish, Storage, version_at

ATTEMPTS = 5  # attempts to publish an output that somebody without a lease writes as well
WAIT_S = 0.2  # before the second of them, and so much longer before each one after


@contextmanager
def fenced(leases: Sequence[Lease]) -> Iterator[Publish]:
    """Yield a function that publishes outputs while this worker holds all leases.

    At the end all that was published is looked at once more: it is still there, and the leases are held.

    Raises:
        LeaseLost: Another worker has one of them.
        Interrupted: Somebody without a lease has replaced an output.
        StorageUnavailable: Somebody does so again and again.
    """
    published: dict[tuple[Storage, str], str] = {}

    def publish(store: Storage, path: Path, key: str, content_type: str) -> None:
        for attempt in range(ATTEMPTS):
            time.sleep(attempt * WAIT_S)
            version = store.publish(path, key, content_type, partial(_renew, leases))
            if version is not None:
                published[store, key] = version
                return
        raise StorageUnavailable(f"{store.address(key)} is replaced again and again by somebody else.")

    yield publish
    _check(published)
    _renew(leases)


def _check(published: Mapping[tuple[Storage, str], str]) -> None:
    for (store, key), version in published.items():
        if version_at(store, key) != version:
            raise Interrupted(f"{store.address(key)} was replaced meanwhile.", hint="Start the job again.")


def _renew(leases: Sequence[Lease]) -> None:
    for lease in leases:
        lease.renew()

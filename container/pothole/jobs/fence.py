"""A fence keeps a worker that was overtaken from writing over the outputs of its successor.

A worker may be cut off or stopped at any moment, and go on long after another has taken its job over. So
each output is published on a condition: this worker looks at what is there, then renews its leases, which
fails when somebody else has come, and then writes over what it saw alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pothole.errors import Interrupted, SourceNotFound, StorageUnavailable
from pothole.jobs.lease import Lease
from pothole.storage import Publish, Storage

ATTEMPTS = 5  # attempts to publish an output that somebody without a lease writes as well


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
        for _ in range(ATTEMPTS):
            seen = _version(store, key)
            _renew(leases)
            version = store.publish(path, key, content_type, seen)
            if version is not None:
                published[store, key] = version
                return
        raise StorageUnavailable(f"{store.address(key)} is replaced again and again by somebody else.")

    yield publish
    _check(published)
    _renew(leases)


def _check(published: Mapping[tuple[Storage, str], str]) -> None:
    for (store, key), version in published.items():
        if _version(store, key) != version:
            raise Interrupted(f"{store.address(key)} was replaced meanwhile.", hint="Start the job again.")


def _renew(leases: Sequence[Lease]) -> None:
    for lease in leases:
        lease.renew()


def _version(store: Storage, key: str) -> str | None:
    try:
        return store.stat(key).version
    except SourceNotFound:
        return None

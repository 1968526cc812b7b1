"""The jobs of a folder of outputs, found by their records."""

from pothole.errors import RequestError, SourceNotFound
from pothole.jobs.record import Record, State, record_key
from pothole.storage import Storage
from pothole.storage.scratch import FOLDER

RECORD = "/record.json"
ID = frozenset("0123456789abcdef")


def list_jobs(store: Storage, folder: str, state: State | None = None, limit: int = 50) -> list[Record]:
    """Return the jobs whose outputs go to a folder, those first that were written last.

    Args:
        store: The bucket.
        folder: The folder; empty for the top.
        state: Leaves out jobs in other states; None for all.
        limit: Most jobs that are returned.

    Raises:
        PotholeError: The storage failed.
    """
    ages = {
        key: stat.age_s
        for key, stat in store.stats(_inside(folder, FOLDER)).items()
        if key.endswith(RECORD) and is_id(key.removesuffix(RECORD).rpartition("/")[2])
    }
    found: list[Record] = []
    for key in sorted(ages, key=lambda key: (ages[key], key)):
        if len(found) == limit:
            break
        try:
            record, _ = read_job(store, key)
        except RequestError:  # somebody else's file, or one that was cleared away meanwhile
            continue
        if state in (None, record.state):
            found.append(record)
    return found


def job_key(folder: str, id: str) -> str:
    """Return the key of the record of a job whose outputs go to a folder.

    Raises:
        RequestError: No job has such an id.
    """
    if not is_id(id):
        raise RequestError(f"{id[:80]!r} is no id of a job.", hint="`pothole jobs list` shows them.")
    return record_key(_inside(folder, "output"), id)


def read_job(store: Storage, key: str) -> tuple[Record, str]:
    """Return a job's record and its version.

    Raises:
        RequestError: There is none.
        PotholeError: The storage failed.
    """
    try:
        data, stat = store.read(key)
    except SourceNotFound as exc:
        raise RequestError(
            f"There is no job {store.address(key)}.",
            hint="Name the folder of its outputs, and its id; records of old jobs may be cleared away.",
        ) from exc
    record = Record.from_bytes(data)
    if record is None:
        raise RequestError(f"{store.address(key)} is no record of a job.")
    return record, stat.version


def is_id(text: str) -> bool:
    """Say whether a text may be the id of a job."""
    return len(text) == 32 and ID.issuperset(text)


def _inside(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder.strip("/") else name

"""A folder of pictures is a source as a video is."""

import hashlib
import json
import re
from pathlib import Path

from pothole.errors import SourceChanged, SourceNotFound
from pothole.files import PICTURE_SUFFIXES, is_output
from pothole.storage.base import Stat, Storage, check_size


def stat_source(store: Storage, key: str) -> Stat:
    """Look at a source: a video, or a folder of pictures, whose key ends with a slash.

    Raises:
        SourceNotFound: There is none.
    """
    return stat_pictures(store, key) if key.endswith("/") else store.stat(key)


def stat_pictures(store: Storage, folder: str) -> Stat:
    """Look at the pictures of a folder: their size together, and a version of them all.

    Raises:
        SourceNotFound: There is none.
    """
    found = _pictures(store, folder)
    versions = json.dumps([(key, stat.version) for key, stat in found.items()])
    return Stat(
        sum(stat.size for stat in found.values()),
        hashlib.sha256(versions.encode()).hexdigest()[:32],
        min(stat.age_s for stat in found.values()),
    )


def fetch_pictures(
    store: Storage, folder: str, to: Path, max_bytes: int, version: str | None = None
) -> list[Path]:
    """Make the pictures of a folder readable as local files, in the order of their names, 2 before 10.

    Args:
        store: Where they are.
        folder: Its key, with a slash at the end.
        to: Where copies are written if some are needed.
        max_bytes: Largest size of all together.
        version: See `Storage.fetch`.

    Raises:
        SourceNotFound: There is none.
        TooLarge: See `Storage.fetch`.
        SourceChanged: See `Storage.fetch`.
    """
    stat = stat_pictures(store, folder)
    check_size(store.address(folder), stat.size, max_bytes)
    if version not in {None, stat.version}:
        raise SourceChanged(f"{store.address(folder)} was changed.", hint="Start the job again.")
    to.mkdir(parents=True, exist_ok=True)
    return [
        store.fetch(key, to / f"{number:06}", max_bytes, found.version)
        for number, (key, found) in enumerate(_pictures(store, folder).items())
    ]


def _pictures(store: Storage, folder: str) -> dict[str, Stat]:
    """Return the pictures that lie in a folder, not in folders of it, in order."""
    inside = {
        key: stat
        for key, stat in store.stats(folder).items()
        if key.lower().endswith(PICTURE_SUFFIXES)
        and "/" not in key.removeprefix(folder)
        and not is_output(key)
    }
    if not inside:
        raise SourceNotFound(
            f"There is no picture in {store.address(folder)}, apart from folders in it.",
            hint="Name a video, or a folder of pictures.",
        )
    return dict(sorted(inside.items(), key=lambda item: natural(item[0])))


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which names sort as people count, `2` before `10`."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]

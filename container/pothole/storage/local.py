"""A folder stands in for a bucket."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pothole.errors import (
    AccessDenied,
    DiskFull,
    PotholeError,
    RequestError,
    SourceChanged,
    SourceNotFound,
    StorageUnavailable,
    reason,
)
from pothole.files import private_folder, readable
from pothole.storage.base import MAX_IN_MEMORY, Confirm, Stat, Storage, check_size

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class LocalStorage:
    """A folder stands in for a bucket; keys are paths below it.

    Args:
        root: The folder.
        follow_links: Whether symbolic links in it may lead out of it, as in a folder of the user's own.
    """

    def __init__(self, root: Path, follow_links: bool = False) -> None:
        self._root, self._follow_links = root, follow_links

    def stat(self, key: str) -> Stat:
        """See `Storage.stat`."""
        path = self._path(key)
        with file_errors(path):
            if not path.is_file():
                raise SourceNotFound(f"There is no file {path}.")
            found = path.stat()
        return Stat(found.st_size, _version(found), time.time() - found.st_mtime)

    def fetch(self, key: str, folder: Path, max_bytes: int, version: str | None = None) -> Path:
        """See `Storage.fetch`; the file is read where it is."""
        path, found = self._path(key), self.stat(key)
        check_size(str(path), found.size, max_bytes)
        if version not in {None, found.version}:
            raise SourceChanged(f"{path} was replaced.", hint="Start the job again.")
        with file_errors(path), path.open("rb"):
            return path

    def publish(self, path: Path, key: str, content_type: str, confirm: Confirm | None = None) -> str | None:
        """See `Storage.publish`."""
        target = self._path(key)
        with file_errors(target), _beside(target) as folder:
            whole = Path(shutil.move(path, folder / "whole"))
            if confirm is None:
                return _replace(whole, target)
            seen = _version_at(target)
            try:
                confirm()
                with self._locked(target):
                    if seen == _version_at(target):
                        return _replace(whole, target)
            finally:
                if whole.exists():
                    shutil.move(whole, path)
            return None

    def read(self, key: str) -> tuple[bytes, Stat]:
        """See `Storage.read`."""
        path = self._path(key)
        with self._locked(path):
            found = self.stat(key)
            if found.size > MAX_IN_MEMORY:
                raise StorageUnavailable(f"{path} is no small file, as it should be.")
            return path.read_bytes(), found

    def write(self, key: str, data: bytes, replaces: str | None) -> str | None:
        """See `Storage.write`."""
        path = self._path(key)
        with self._locked(path):
            if replaces != _version_at(path):
                return None
            with _beside(path) as folder:
                whole = folder / "whole"
                whole.write_bytes(data)
                return _replace(whole, path)

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        top = self._path(folder)
        with file_errors(top):
            return sorted(
                path.relative_to(self._root).as_posix() for path in top.rglob("*") if path.is_file()
            )

    def stats(self, folder: str) -> dict[str, Stat]:
        """See `Storage.stats`."""
        found = {}
        for key in self.list(folder):
            with suppress(SourceNotFound):  # deleted meanwhile
                found[key] = self.stat(key)
        return found

    def delete(self, folder: str) -> None:
        """See `Storage.delete`."""
        top = self._path(folder)
        with file_errors(top):
            if top.exists():
                shutil.rmtree(top)

    def address(self, key: str) -> str:
        """See `Storage.address`."""
        return readable(self._path(key))

    def _path(self, key: str) -> Path:
        path = self._root / key
        try:
            inside = self._real(path).is_relative_to(self._real(self._root))
        except (OSError, ValueError) as exc:  # a name too long, or with a null character
            raise RequestError(f"{key[:100]!r} cannot be the name of a file.") from exc
        if not inside:
            raise RequestError(f"{key!r} leaves the folder {self._root}.")
        return path

    def _real(self, path: Path) -> Path:
        # Not `Path.resolve`, which fails at links that lead in a circle.
        return Path(os.path.normpath(path.absolute()) if self._follow_links else os.path.realpath(path))

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Keep other processes of this machine out; a process that is killed loses the lock."""
        with file_errors(path):
            self._root.mkdir(parents=True, exist_ok=True)
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield
            finally:
                os.close(folder)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside a file, since only within one file system a rename happens at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with private_folder(target.parent, ".pothole-") as folder:
        yield folder


def _replace(whole: Path, target: Path) -> str:
    """Put a file in the place of another, and return its version, which differs from the other's."""
    if target.exists():
        there = target.stat()
        if whole.stat().st_mtime_ns <= there.st_mtime_ns:
            # A file system's clock ticks every few milliseconds, and a version may not come twice.
            os.utime(whole, ns=(there.st_atime_ns, there.st_mtime_ns + 1))
    return _version(whole.replace(target).stat())


def _version_at(path: Path) -> str | None:
    return _version(path.stat()) if path.exists() else None


def _version(found: os.stat_result) -> str:
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raise what the file system says of `path` as one of our errors, mostly `StorageUnavailable`."""
    try:
        yield
    except PotholeError:
        raise
    except PermissionError as exc:
        raise AccessDenied(f"{path} may not be opened: {reason(exc)}.") from exc
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise DiskFull(
                f"{path} does not fit on the disk.", hint="Make room, or name another disk."
            ) from exc
        if exc.errno == errno.ENAMETOOLONG:
            raise RequestError(f"{str(path)[:100]!r}… is too long for the name of a file.") from exc
        raise StorageUnavailable(f"{path} failed: {reason(exc)}.") from exc


def open_folder(folder: str) -> Storage:
    """Open a folder that stands for a bucket."""
    return LocalStorage(Path(folder))


def open_own_folder(folder: str) -> Storage:
    """Open a folder of the user's own, whose symbolic links may lead anywhere."""
    return LocalStorage(Path(folder), follow_links=True)

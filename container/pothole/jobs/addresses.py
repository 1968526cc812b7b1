"""Commands take addresses beside files: `https://`, `s3://`, and `rtsp://` for a live stream."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pothole.errors import RequestError
from pothole.files import VIDEO_SUFFIXES, is_output
from pothole.media.recording import record
from pothole.settings import Settings
from pothole.storage import Stat, Storage, open_own_folder, open_s3
from pothole.storage.web import ReadOnly, WebFile

WEB = {"http", "https"}
LIVE = {"rtsp", "rtsps"}
FORMS = {scheme: f"{scheme}://HOST/FILE" for scheme in WEB | LIVE} | {"s3": "s3://BUCKET/KEY"}
SHORT_S = 1.0  # seconds by which a recording is not said to be too short
KNOWN = "Known are https://, http://, s3://, rtsp:// and rtsps://, and files."


@dataclass(frozen=True)
class Address:
    """An address is a source that is no file of this machine.

    Attributes:
        url: As it was given.
    """

    url: str

    @property
    def scheme(self) -> str:
        """Return what stands before the colon, in small letters."""
        return self.url.partition("://")[0].lower()

    @property
    def is_live(self) -> bool:
        """Return whether it is that of a live stream."""
        return self.scheme in LIVE


def path_or_address(text: str) -> Path | Address:
    """Read what names a source on the command line."""
    return Address(text) if "://" in text else Path(text)


def find_remote(address: Address, settings: Settings) -> list[tuple[str, str]]:
    """Return the bucket and key of each source that an address names, for `opener`.

    Raises:
        RequestError: Its kind is not known, or it names no file.
        PotholeError: S3 failed.
    """
    parts = _parts(address)
    name = unquote(parts.path.rstrip("/").rpartition("/")[2])
    if address.is_live:
        # Another recording each time, which is not to take the place of the one before.
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        return [(address.url, f"{name or parts.hostname or 'stream'}-{now}")]
    if address.scheme in WEB:
        if not name:
            raise RequestError(f"{address.url} names no file.", hint="Name a video.")
        return [(address.url, name)]
    bucket, key = f"s3://{parts.netloc}", address.url.partition("://")[2].partition("/")[2]
    if not key.strip("/"):
        raise RequestError(
            f"{address.url} names no file.", hint=f"Name a video or a folder: {bucket}/FOLDER/."
        )
    return [(bucket, found) for found in _videos(open_s3(parts.netloc, settings), key)]


def open_address(address: Address, settings: Settings) -> tuple[Storage, str]:
    """Return the bucket of an `s3://` address, and the folder that it names there.

    Raises:
        RequestError: It is none.
    """
    parts = _parts(address)
    if address.scheme != "s3":
        raise RequestError(f"{address.url} is no folder of S3.", hint="Write s3://BUCKET/FOLDER/.")
    return open_s3(parts.netloc, settings), address.url.partition("://")[2].partition("/")[2]


def _parts(address: Address) -> SplitResult:
    """Return the parts of an address.

    Raises:
        RequestError: Its kind is not known, or it is none.
    """
    if address.scheme not in WEB | LIVE | {"s3"}:
        raise RequestError(f"{address.scheme}:// is not known.", hint=KNOWN)
    try:
        parts = urlsplit(address.url)
        host, _ = parts.hostname, parts.port  # the port is looked at when it is asked for
    except ValueError:
        host = None
    if not host or any(sign.isspace() for sign in host):
        what = "bucket" if address.scheme == "s3" else "host"
        raise RequestError(
            f"{address.url.partition('?')[0]} names no {what}.", hint=f"Write {FORMS[address.scheme]}."
        )
    return parts


def _videos(store: Storage, key: str) -> list[str]:
    """Return the videos in a folder of S3, or the key itself when it is a video or a folder of pictures."""
    found = [
        each
        for each in (store.list(key) if key.endswith("/") else ())
        if each.lower().endswith(VIDEO_SUFFIXES) and "/" not in each.removeprefix(key) and not is_output(each)
    ]
    return found or [key]


def opener(settings: Settings, duration_s: float | None) -> Callable[[str], Storage]:
    """Return a function that opens the buckets of `find_remote`, and the user's own folders.

    Args:
        settings: Limits of S3.
        duration_s: For how long live streams are recorded.
    """

    def open_any(bucket: str) -> Storage:
        scheme = Address(bucket).scheme
        if scheme == "s3" and "://" in bucket:
            return open_s3(bucket.partition("://")[2], settings)
        if "://" in bucket and scheme in WEB:
            return WebFile(bucket)
        if "://" in bucket and scheme in LIVE:
            return LiveStream(bucket, duration_s)
        return open_own_folder(bucket)

    return open_any


class LiveStream(ReadOnly):
    """A live stream is read by recording it.

    Args:
        url: Its address.
        duration_s: How long.
    """

    def __init__(self, url: str, duration_s: float | None) -> None:
        if not duration_s:
            raise RequestError(
                f"{_shown(url)} is a live stream.", hint="Say for how many seconds: --duration 60."
            )
        self._url, self._duration_s = url, duration_s

    def stat(self, key: str) -> Stat:
        """See `Storage.stat`; the key has the time, so that it is another one each time."""
        return Stat(0, key, 0.0)

    def fetch(self, key: str, folder: Path, max_bytes: int, version: str | None = None) -> Path:
        """See `Storage.fetch`."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "recording.mkv"
        recorded = record(self._url, path, self._duration_s, max_bytes)
        if recorded < self._duration_s - SHORT_S:
            asked = f"{recorded:.0f} s of {self._duration_s:g} s"
            self.remark = f"The stream gave {asked}: it ended, broke off or was late."
        return path

    def address(self, key: str) -> str:
        """See `Storage.address`; without the password."""
        return _shown(self._url)


def _shown(url: str) -> str:
    """Return an address without what may be secret in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()

"""Fragments of a live stream are split from what GetMedia sends: Matroska documents, one after the other.

Segments and clusters may be of unknown size, and tags stand before and behind the clusters, so the elements
are walked through one by one (RFC 8794, RFC 9559). A fragment ends with the tag that says how to go on, so
that nobody has to wait for the next one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pothole.errors import InvalidMedia

EBML, SEGMENT, CLUSTER, TAGS = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1254C367
TAG, SIMPLE_TAG, TAG_NAME, TAG_STRING = 0x7373, 0x67C8, 0x45A3, 0x4487
OPENED = {SEGMENT, CLUSTER}  # what they hold is walked through as if it stood beside them
PREFIX = "AWS_KINESISVIDEO_"
END = f"{PREFIX}CONTINUATION_TOKEN"
MAX_FRAGMENT_BYTES = 64 * 2**20  # the service takes 50 MB


class Source(Protocol):
    """This gives bytes as they come."""

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer only at the end."""
        ...


@dataclass(frozen=True)
class Fragment:
    """A fragment is some seconds of a stream.

    Attributes:
        number: The service's number of it, growing along the stream; empty when it says none.
        server_timestamp_ms: When it came in, in milliseconds since 1970.
        producer_timestamp_ms: When it began, by the producer's clock.
        tags: All its tags, those of the service by their full names.
        data: The whole document.
    """

    number: str
    server_timestamp_ms: int
    producer_timestamp_ms: int
    tags: dict[str, str]
    data: bytes = field(repr=False)

    @property
    def error(self) -> int | None:
        """Return the number of the error that the service tells in place of pictures."""
        told = self.tags.get(f"{PREFIX}ERROR_ID")
        return int(told) if told and told.isdecimal() else None


def split(source: Source) -> Iterator[Fragment]:
    """Yield the fragments of a stream as they come.

    Args:
        source: Gives its bytes; what is cut at the end makes no fragment.

    Raises:
        InvalidMedia: It is no Matroska, or a fragment is too large.
    """
    data, tags = bytearray(), dict[str, str]()
    while head := _header(source):
        kind, size, raw = head
        if kind == EBML and data:
            yield _fragment(data, tags)
            data, tags = bytearray(), {}
        if not data and kind != EBML:
            if kind != TAGS:  # those that come behind the end belong to nothing
                raise InvalidMedia("The stream is no Matroska: a document begins with its header.")
        elif size is None and kind not in OPENED:
            raise InvalidMedia("The stream is no Matroska: an element has no size.")
        if len(data) + (size or 0) > MAX_FRAGMENT_BYTES and kind not in OPENED:
            raise InvalidMedia(f"A fragment of the stream has more than {MAX_FRAGMENT_BYTES} bytes.")
        body = b"" if kind in OPENED else source.read(size or 0)
        if kind not in OPENED and len(body) < (size or 0):
            return
        if data or kind == EBML:
            data += raw + body
        if kind == TAGS:
            tags |= _tags(body)
            if END in tags and data:
                yield _fragment(data, tags)
                data, tags = bytearray(), {}
    if data:
        yield _fragment(data, tags)


def _fragment(data: bytearray, tags: dict[str, str]) -> Fragment:
    def milliseconds(name: str) -> int:
        try:
            return round(1000 * float(tags.get(PREFIX + name, "0")))
        except (ValueError, OverflowError):
            return 0

    number = tags.get(f"{PREFIX}FRAGMENT_NUMBER", "")
    return Fragment(
        number, milliseconds("SERVER_TIMESTAMP"), milliseconds("PRODUCER_TIMESTAMP"), tags, bytes(data)
    )


def _header(source: Source) -> tuple[int, int | None, bytes] | None:
    """Read the id and the size of the next element; None at the end, and a size of None if it is unknown."""
    raw = first = source.read(1)
    if not first or not first[0]:
        return None
    raw += source.read(_length(first[0]) - 1)
    kind = int.from_bytes(raw, "big")
    mark = source.read(1)
    if not mark or not mark[0]:
        return None
    length = _length(mark[0])
    coded = mark + source.read(length - 1)
    if len(coded) < length:
        return None
    mask = (1 << 7 * length) - 1
    size = int.from_bytes(coded, "big") & mask
    return kind, None if size == mask else size, raw + coded


def _length(first: int) -> int:
    """Return how many bytes a number has whose first one this is."""
    return 9 - first.bit_length()


def _tags(body: bytes) -> dict[str, str]:
    """Return the names and values of an element of tags."""
    found: dict[str, str] = {}
    for kind, tag in _children(body):
        if kind != TAG:
            continue
        for inner, simple in _children(tag):
            if inner == SIMPLE_TAG:
                parts = dict(_children(simple))
                name = parts.get(TAG_NAME, b"").rstrip(b"\0").decode(errors="replace")
                found[name] = parts.get(TAG_STRING, b"").rstrip(b"\0").decode(errors="replace")
    return found


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        self._at += size
        return found


def _children(body: bytes) -> Iterator[tuple[int, bytes]]:
    source = _Bytes(body)
    while head := _header(source):
        kind, size, _ = head
        yield kind, source.read(size or 0)

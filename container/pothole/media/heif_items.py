"""The boxes of a HEIF file (ISO/IEC 14496-12, 23008-12) list its items: pictures, tiles, thumbnails."""

from collections.abc import Iterator
from itertools import islice

MAX_BOXES = 100  # boxes of a file among which that of its items is looked for
MAX_META_BYTES = 2**20  # bytes of the box of the items


class Reader:
    """A reader reads big-endian numbers and boxes; data that ends too early is a `ValueError`."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        taken = self._data[self._at : self._at + count]
        if count < 0 or len(taken) < count:
            raise ValueError("a box ends too early")
        self._at += count
        return taken

    def number(self, size: int) -> int:
        """Return the next number, of `size` bytes."""
        return int.from_bytes(self.take(size))

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(len(self._data) - self._at)

    def check_at_most(self, count: int) -> None:
        """Raise `ValueError` for more bytes than that."""
        if len(self._data) > count:
            raise ValueError("a box is too large")

    def full(self) -> tuple[int, int]:
        """Return a box's version and flags."""
        return self.number(1), self.number(3)

    def boxes(self) -> Iterator[tuple[bytes, "Reader"]]:
        """Yield the kind and the content of each box that is left."""
        while self._at < len(self._data):
            size, kind = self.number(4), self.take(4)
            if size == 0:  # the box ends where the file does
                yield kind, Reader(self.rest())
                return
            head = 8
            if size == 1:
                size, head = self.number(8), 16
            yield kind, Reader(self.take(size - head))


class HeifItems:
    """These are the items of a file.

    Args:
        data: The file.

    Attributes:
        primary: The number of the main picture.
        kinds: What each item is, by its number.
        tiles: The items of which another one is made.
        properties: Kind and content of each property of an item, in order.

    Raises:
        ValueError: The boxes cannot be read.
        LookupError: One is missing.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._inner = b""
        self._places: dict[int, tuple[int, list[tuple[int, int]]]] = {}
        self.primary = 0
        self.kinds: dict[int, bytes] = {}
        self.tiles: dict[int, list[int]] = {}
        self.properties: dict[int, list[tuple[bytes, bytes]]] = {}
        boxes = islice(Reader(data).boxes(), MAX_BOXES)
        meta = next((box for kind, box in boxes if kind == b"meta"), None)
        if meta is None:
            raise ValueError("it has no items")
        meta.check_at_most(MAX_META_BYTES)
        meta.full()
        readers = {
            b"pitm": self._read_primary,
            b"iinf": self._read_kinds,
            b"iref": self._read_tiles,
            b"iloc": self._read_places,
            b"iprp": self._read_properties,
        }
        for kind, box in meta.boxes():
            if kind == b"idat":
                self._inner = box.rest()
            elif kind in readers:
                readers[kind](box)

    def content(self, item: int) -> bytes:
        """Return the bytes of an item; raise `ValueError` when it is longer than the file.

        Its parts may lie over each other, so that a small file could ask for gigabytes.
        """
        method, places = self._places[item]
        source = {0: self._data, 1: self._inner}[method]
        if sum(length for _, length in places) > len(source):
            raise ValueError("an item is longer than the file")
        return b"".join(source[offset : offset + length] for offset, length in places)

    def _read_primary(self, box: Reader) -> None:
        version, _ = box.full()
        self.primary = box.number(4 if version else 2)

    def _read_kinds(self, box: Reader) -> None:
        version, _ = box.full()
        box.number(4 if version else 2)
        for _, entry in box.boxes():
            version, _ = entry.full()
            item = entry.number(4 if version > 2 else 2)
            entry.number(2)
            self.kinds[item] = entry.take(4)

    def _read_tiles(self, box: Reader) -> None:
        version, _ = box.full()
        size = 4 if version else 2
        for kind, reference in box.boxes():
            item = reference.number(size)
            others = [reference.number(size) for _ in range(reference.number(2))]
            if kind == b"dimg":
                self.tiles[item] = others

    def _read_places(self, box: Reader) -> None:
        version, _ = box.full()
        sizes, more = box.number(1), box.number(1)
        of_offset, of_length, of_base, of_index = sizes >> 4, sizes & 15, more >> 4, more & 15
        if not of_length:
            raise ValueError("an item has no length")
        for _ in range(box.number(4 if version > 1 else 2)):
            item = box.number(4 if version > 1 else 2)
            method = box.number(2) & 15 if version else 0
            box.number(2)
            base, places = box.number(of_base), []
            for _ in range(box.number(2)):
                box.number(of_index if version else 0)
                places.append((base + box.number(of_offset), box.number(of_length)))
            self._places[item] = method, places

    def _read_properties(self, box: Reader) -> None:
        (_, known), (_, links) = box.boxes()
        properties = [(kind, content.rest()) for kind, content in known.boxes()]
        version, flags = links.full()
        for _ in range(links.number(4)):
            item = links.number(4 if version else 2)
            size = 2 if flags & 1 else 1
            numbers = [links.number(size) & (2 ** (8 * size - 1) - 1) for _ in range(links.number(1))]
            self.properties[item] = [properties[n - 1] for n in numbers if n]

"""FFmpeg decodes HEIC pictures, as phones take them: HEVC in HEIF (ISO/IEC 23008-12).

FFmpeg gives the tiles of a picture as streams, numbered as the file's items; how they make one picture is
read here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from pothole.media.heif_items import HeifItems, Reader
from pothole.media.tone_mapping import ToneMapper, is_hdr
from pothole.media.upright import UNBIASED
from pothole.types import Image

HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
MAX_TILES = 4096
TURNS = {b"clap", b"irot", b"imir"}


def is_heic(data: bytes) -> bool:
    """Say whether the bytes begin as a HEIC picture does."""
    brands = data[8 : min(int.from_bytes(data[:4]), 256)]
    return data[4:8] == b"ftyp" and any(brands[i : i + 4] in HEVC_BRANDS for i in range(0, len(brands), 4))


@dataclass
class HeifPicture:
    """A HEIF picture is what a file's boxes say of its main picture.

    Attributes:
        tiles: The numbers of the items whose pictures make it, row by row.
        columns: How many of them are side by side.
        stored: `(height, width)` before it is cropped and turned.
        changes: How it is cropped and turned, one after the other: kind and content of the boxes.
        exif: Its EXIF, from the TIFF header on; empty where there is none.
    """

    tiles: list[int]
    columns: int
    stored: tuple[int, int]
    changes: list[tuple[bytes, bytes]] = field(default_factory=list)
    exif: bytes = b""

    @classmethod
    def of(cls, data: bytes) -> HeifPicture:
        """Read the boxes of a file.

        Raises:
            ValueError: They cannot be read, or the picture is neither of HEVC nor a grid of it.
            LookupError: One is missing.
        """
        items = HeifItems(data)
        kind, properties = items.kinds[items.primary], items.properties[items.primary]
        if kind == b"grid":
            tiles = items.tiles[items.primary]
            rows, columns, stored = _grid(items.content(items.primary))
            if len(tiles) != rows * columns or len(tiles) > MAX_TILES:
                raise ValueError("a grid has another number of tiles")
        elif kind == b"hvc1":
            ((_, size),) = (p for p in properties if p[0] == b"ispe")
            tiles, columns, stored = [items.primary], 1, _size(size)
        else:
            raise ValueError(f"a picture of the kind {kind!r}")
        if 0 in stored:
            raise ValueError("it has no pixels")
        exif = next((item for item, kind in items.kinds.items() if kind == b"Exif"), None)
        return cls(
            tiles,
            columns,
            stored,
            [p for p in properties if p[0] in TURNS],
            _tiff(items.content(exif)) if exif else b"",
        )

    @property
    def size(self) -> tuple[int, int]:
        """Return the picture's `(height, width)`, cropped and upright."""
        height, width = self.stored
        for kind, content in self.changes:
            if kind == b"clap":
                rows, columns = _cropped(content, (height, width))
                height, width = rows.stop - rows.start, columns.stop - columns.start
            elif kind == b"irot" and content[0] & 1:
                height, width = width, height
        return height, width

    def decode(self, data: bytes, max_pixels: int) -> Image:
        """Decode the picture, which has `max_pixels` at most.

        Returns:
            `(height, width, 3)` uint8 RGB, upright.

        Raises:
            ValueError: A tile is missing or does not fit.
            av.FFmpegError: A tile cannot be decoded.
        """
        image = np.zeros((*self.stored, 3), np.uint8)
        missing = set(self.tiles)
        for number, tile in _decoded(data, missing.copy(), max_pixels):
            missing.discard(number)
            height, width, _ = tile.shape
            self._check_tile(height, width)
            for place in (i for i, item in enumerate(self.tiles) if item == number):
                top, left = place // self.columns * height, place % self.columns * width
                part = image[top : top + height, left : left + width]
                part[:] = tile[: part.shape[0], : part.shape[1]]
        if missing:
            raise ValueError(f"{len(missing)} of {len(self.tiles)} tiles cannot be read")
        for kind, content in self.changes:
            image = _changed(image, kind, content)
        return np.ascontiguousarray(image)

    def _check_tile(self, height: int, width: int) -> None:
        """Raise `ValueError` unless tiles of that size make the picture, the last ones perhaps cropped."""
        counts = len(self.tiles) // self.columns, self.columns
        for count, tile, whole in zip(counts, (height, width), self.stored, strict=True):
            if not (count - 1) * tile < whole <= count * tile:
                raise ValueError(f"tiles of {width}x{height} pixels do not make the picture")


def _decoded(data: bytes, items: set[int], max_pixels: int) -> Iterator[tuple[int, Image]]:
    """Yield each item's number and picture; a video that the file holds, too, is not decoded any further."""
    seen = set()
    to_rgb, to_sdr = VideoReformatter(), ToneMapper()
    with av.open(BytesIO(data), "r", "mov") as container:
        streams = [stream for stream in container.streams.video if stream.id in items]
        for stream in streams:
            stream.codec_context.options = {
                "max_pixels": str(min(max_pixels, 2**31 - 1)),
                "codec_whitelist": "hevc",
            }
            stream.codec_context.thread_count = 1
        for packet in container.demux(streams):
            if packet.size and packet.stream.index in seen:
                continue
            seen.add(packet.stream.index)
            for picture in cast(av.video.stream.VideoStream, packet.stream).decode(packet):
                shown = to_sdr(picture) if is_hdr(picture) else picture
                rgb = to_rgb.reformat(
                    shown, format="rgb24", interpolation=UNBIASED, dst_color_range=ColorRange.JPEG
                )
                yield packet.stream.id, rgb.to_ndarray().astype(np.uint8, copy=False)


def _tiff(exif: bytes) -> bytes:
    """Return what follows the offset of the TIFF header and the bytes that it says to skip."""
    return exif[4 + int.from_bytes(exif[:4]) :]


def _size(ispe: bytes) -> tuple[int, int]:
    box = Reader(ispe)
    box.full()
    width, height = box.number(4), box.number(4)
    return height, width


def _grid(content: bytes) -> tuple[int, int, tuple[int, int]]:
    """Return the rows and columns of a grid, and its `(height, width)`."""
    box = Reader(content)
    box.number(1)
    size = 4 if box.number(1) & 1 else 2
    rows, columns = box.number(1) + 1, box.number(1) + 1
    width, height = box.number(size), box.number(size)
    return rows, columns, (height, width)


def _cropped(clap: bytes, size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a clean aperture (ISO/IEC 14496-12, 12.1.4)."""
    values = struct.unpack(">8i", clap)
    width, height, right, down = (Fraction(*values[i : i + 2]) for i in range(0, 8, 2))
    left = (size[1] - width) / 2 + right
    top = (size[0] - height) / 2 + down
    if min(top, left) < 0 or min(height, width) < 1 or top + height > size[0] or left + width > size[1]:
        raise ValueError("the part that is shown lies outside of the picture")
    return slice(round(top), round(top + height)), slice(round(left), round(left + width))


def _changed(image: Image, kind: bytes, content: bytes) -> Image:
    if kind == b"clap":
        return image[_cropped(content, (image.shape[0], image.shape[1]))]
    if kind == b"irot":
        return np.rot90(image, content[0] & 3)
    return image[:, ::-1] if content[0] & 1 else image[::-1]

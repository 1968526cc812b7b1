"""HEIC pictures, made of HEVC frames and the boxes around them, as phones write them."""

import io
import struct
from fractions import Fraction

import av
import numpy as np

from pothole.types import Image

QUIET = {"preset": "ultrafast", "crf": "10", "x265-params": "log-level=none:keyint=1:bframes=0"}


def heic(
    image: Image,
    tile: tuple[int, int] | None = None,
    changes: tuple[bytes, ...] = (),
    said: tuple[int, int] | None = None,
    exif: bytes = b"",
    exif_extents: int = 1,
    again: tuple[int, int] = (1, 1),
) -> bytes:
    """Return a HEIC file.

    Args:
        image: `(height, width, 3)` uint8 RGB, of sides that are even.
        tile: `(height, width)` of the tiles of a grid; one picture when None.
        changes: Boxes of the main picture such as `box("irot", ...)`.
        said: `(height, width)` that the file says, the image's when None.
        exif: As Pillow gives it.
        again: How many times the tiles come one below the other, and side by side.
        exif_extents: How many times the file says that its EXIF has the same bytes.
    """
    size = said or (image.shape[0], image.shape[1])
    tiles = _tiles(image, tile or (image.shape[0], image.shape[1]))
    coded = [_coded(part) for row in tiles for part in row]
    numbers = list(range(1, len(coded) + 1))
    primary = len(coded) + 1 if tile else 1
    rows, columns = len(tiles) * again[0], len(tiles[0]) * again[1]
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size[::-1])
    shape = tile or size
    properties = [coded[0][0], _ispe(shape), _ispe(size), *changes]
    of_main = list(range(3, 4 + len(changes)))
    links = {number: [1, 2] for number in numbers} | ({primary: of_main} if tile else {1: [1, *of_main]})
    kinds = dict.fromkeys(numbers, b"hvc1") | ({primary: b"grid"} if tile else {})
    samples = dict(zip(numbers, (sample for _, sample in coded), strict=True))
    if exif:
        kinds[primary + 1], samples[primary + 1] = b"Exif", struct.pack(">I", 10) + b"junk" + exif
    parts = [
        full("hdlr", struct.pack(">I4s13x", 0, b"pict")),
        full("pitm", struct.pack(">H", primary)),
        full("iinf", struct.pack(">H", len(kinds)) + b"".join(_infe(*kind) for kind in kinds.items())),
        box("iprp", box("ipco", b"".join(properties)), _ipma(links)),
    ]
    if tile:
        shown = numbers * (again[0] * again[1])
        links_to_tiles = struct.pack(f">HH{len(shown)}H", primary, len(shown), *shown)
        parts += [full("iref", box("dimg", links_to_tiles)), box("idat", grid)]
    file_type = box("ftyp", b"heic\0\0\0\0mif1heic")
    inner = {primary: len(grid)} if tile else {}
    extents = {primary + 1: exif_extents}
    length = len(full("meta", b"".join([*parts, _iloc(samples, 0, inner, extents)])))
    parts.append(_iloc(samples, len(file_type) + length + 8, inner, extents))
    return file_type + full("meta", b"".join(parts)) + box("mdat", b"".join(samples.values()))


def box(kind: str, *content: bytes) -> bytes:
    """Return a box."""
    data = b"".join(content)
    return struct.pack(">I4s", len(data) + 8, kind.encode()) + data


def full(kind: str, content: bytes, version: int = 0) -> bytes:
    """Return a box with a version."""
    return box(kind, struct.pack(">B3x", version), content)


def clap(width: int, height: int, right: int, down: int) -> bytes:
    """Return a box that crops a picture, around its centre moved by halves of pixels."""
    return box("clap", struct.pack(">8i", width, 1, height, 1, right, 2, down, 2))


def _ispe(size: tuple[int, int]) -> bytes:
    return full("ispe", struct.pack(">II", size[1], size[0]))


def _infe(item: int, kind: bytes) -> bytes:
    return full("infe", struct.pack(">HH4sB", item, 0, kind, 0), version=2)


def _ipma(links: dict[int, list[int]]) -> bytes:
    entries = [struct.pack(">HB", item, len(of)) + bytes(of) for item, of in links.items()]
    return full("ipma", struct.pack(">I", len(links)) + b"".join(entries))


def _iloc(samples: dict[int, bytes], start: int, inner: dict[int, int], extents: dict[int, int]) -> bytes:
    entries = []
    for number, sample in samples.items():
        count = extents.get(number, 1)
        place = struct.pack(">II", start, len(sample))
        entries.append(struct.pack(">HHHH", number, 0, 0, count) + count * place)
        start += len(sample)
    entries += [struct.pack(">HHHHII", item, 1, 0, 1, 0, length) for item, length in inner.items()]
    return full("iloc", struct.pack(">BBH", 0x44, 0, len(entries)) + b"".join(entries), version=1)


def _tiles(image: Image, tile: tuple[int, int]) -> list[list[Image]]:
    """Return rows of tiles; those at the edges are filled up."""
    height, width = tile
    padded = np.pad(image, [(0, -image.shape[0] % height), (0, -image.shape[1] % width), (0, 0)], mode="edge")
    return [
        [padded[y : y + height, x : x + width] for x in range(0, padded.shape[1], width)]
        for y in range(0, padded.shape[0], height)
    ]


def _coded(image: Image) -> tuple[bytes, bytes]:
    """Return the `hvcC` box and the one sample of an MP4 file with that picture."""
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream = container.add_stream("libx265", rate=25, options=QUIET)
        stream.height, stream.width, stream.pix_fmt = image.shape[0], image.shape[1], "yuv420p"
        stream.time_base = Fraction(1, 25)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        frame.pts, frame.time_base = 0, stream.time_base
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    data = file.getvalue()
    place = data.index(b"hvcC") - 4
    head = data.index(b"mdat") + 4
    return (
        data[place : place + int.from_bytes(data[place : place + 4])],
        data[head : head - 8 + int.from_bytes(data[head - 8 : head - 4])],
    )

"""Pillow reads and writes pictures, and FFmpeg reads HEIC; sizes are checked before pixels are decoded."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import IO, TypeVar

import numpy as np
from PIL import ExifTags
from PIL import Image as Pillow

from pothole.errors import InvalidMedia, TooLarge
from pothole.media.grey import check_light, to_8_bits
from pothole.media.heif import HeifPicture, is_heic
from pothole.settings import Settings
from pothole.types import Image

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "image/jpeg": "JPEG",
        "image/png": "PNG",
        "image/bmp": "BMP",
        "image/gif": "GIF",
        "image/webp": "WEBP",
        "image/tiff": "TIFF",
        "image/avif": "AVIF",
    }
)
READABLE = (*FORMATS, "image/heic")
# Programs call the same types by these names, too.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "image/jpg": "image/jpeg",
        "image/pjpeg": "image/jpeg",
        "image/x-png": "image/png",
        "image/x-ms-bmp": "image/bmp",
        "image/x-bmp": "image/bmp",
        "image/tif": "image/tiff",
        "image/heif": "image/heic",
    }
)
KNOWN_FORMATS = "Use a whole JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF or HEIC."

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
MIN_WHOLE = 0.9  # a JPEG that is cut short is used from this part of its rows on
UNREAD = 128  # grey that libjpeg gives to what is missing

# These make a stored picture upright, by the orientation in its EXIF or XMP (CIPA DC-008, 4.6.5.1).
TURNS: Mapping[int, Pillow.Transpose] = MappingProxyType(
    {
        2: Pillow.Transpose.FLIP_LEFT_RIGHT,
        3: Pillow.Transpose.ROTATE_180,
        4: Pillow.Transpose.FLIP_TOP_BOTTOM,
        5: Pillow.Transpose.TRANSPOSE,
        6: Pillow.Transpose.ROTATE_270,
        7: Pillow.Transpose.TRANSVERSE,
        8: Pillow.Transpose.ROTATE_90,
    }
)

T = TypeVar("T")

Pillow.MAX_IMAGE_PIXELS = None  # it only warns below twice its limit; ours is checked below


def read_picture(
    file: IO[bytes],
    name: str,
    max_pixels: int,
    admit: Callable[[int], None] = lambda pixels: None,
    max_scans: int = Settings.max_jpeg_scans,
) -> Image:
    """Decode a picture in one of the formats `READABLE`; of several in a file the first.

    16 bits a colour become 8, transparency is left out, and a JPEG that is cut short is used when next to all
    of it is there.

    Args:
        file: The coded picture.
        name: What errors call it.
        max_pixels: Largest accepted `width * height`.
        admit: Told of its pixels before they are decoded; may wait, and what it raises goes on.
        max_scans: Most scans of a JPEG.

    Returns:
        `(height, width, 3)` uint8 RGB, upright as its EXIF or XMP says, writable.

    Raises:
        InvalidMedia: Not a picture that can be read.
        TooLarge: It would decode to more than `max_pixels`, or has more than `max_scans` scans.
    """

    def decode(picture: Pillow.Image) -> Image:
        _check_size((picture.height, picture.width), name, max_pixels)
        admit(picture.height * picture.width)
        image = _rgb(picture, name)
        if is_cut:
            _check_rows(image, name)
        turn = TURNS.get(_orientation(picture))
        return image if turn is None else np.array(Pillow.fromarray(image).transpose(turn))

    data = file.read()
    if is_heic(data):
        return _read_heic(data, name, max_pixels, admit)
    is_jpeg = data.startswith(JPEG_START)
    if is_jpeg:
        check_scans(data, name, max_scans)
    # Where there is no end, libjpeg reads as far as the file goes.
    is_cut = is_jpeg and not is_whole_jpeg(data)
    return _with_picture(BytesIO(data + JPEG_END if is_cut else data), name, decode)


def check_scans(data: bytes, name: str, max_scans: int) -> None:
    """Raise `TooLarge` when a JPEG has more scans; each costs time to decode all pixels anew."""
    # Coded pixels hold no such pair of bytes: the format puts a 0 behind each 0xFF in them.
    if data.count(b"\xff\xda") > max_scans:
        raise TooLarge(
            f"{name} has more than {max_scans} scans.",
            hint="Save it as a baseline JPEG, or raise MAX_JPEG_SCANS.",
        )


def picture_size(path: Path) -> tuple[int, int]:
    """Return a picture's `(height, width)`, upright as `read_picture` gives it, without decoding it.

    Raises:
        InvalidMedia: The file is not a picture that can be read.
    """

    def measure(picture: Pillow.Image) -> tuple[int, int]:
        # Pillow says the upright size of a TIFF, and the stored one of all others.
        is_turned = picture.format != "TIFF" and _orientation(picture) >= 5
        return (picture.width, picture.height) if is_turned else (picture.height, picture.width)

    with path.open("rb") as file:
        if is_heic(file.read(256)):
            file.seek(0)
            with _as_invalid(str(path)):
                return HeifPicture.of(file.read()).size
        file.seek(0)
        return _with_picture(file, str(path), measure)


def read_exif(path: Path) -> Pillow.Exif:
    """Return a picture's EXIF; an empty one where there is none that can be read.

    Raises:
        InvalidMedia: The file is not a picture that can be read.
    """

    def read(picture: Pillow.Image) -> Pillow.Exif:
        try:
            return picture.getexif()
        except Exception:  # it is data of any kind that Pillow reads here
            return Pillow.Exif()

    with path.open("rb") as file:
        if not is_heic(file.read(256)):
            file.seek(0)
            return _with_picture(file, str(path), read)
        file.seek(0)
        exif = Pillow.Exif()
        with _as_invalid(str(path)):
            told = HeifPicture.of(file.read()).exif
        with suppress(Exception):
            exif.load(b"Exif\0\0" + told)
        return exif


def encode_picture(image: Image, media_type: str, quality: int = 92, comment: str = "") -> bytes:
    """Encode a picture.

    Args:
        image: `(height, width, 3)` uint8 RGB.
        media_type: One of `FORMATS`.
        quality: Of a JPEG, WebP or AVIF, up to 95.
        comment: Text that a JPEG has beside its pixels, see `read_comment`.
    """
    coded = BytesIO()
    more = {"comment": comment.encode()} if comment else {}
    Pillow.fromarray(image).save(coded, FORMATS[media_type], quality=quality, **more)
    return coded.getvalue()


def read_comment(path: Path) -> str | None:
    """Return a JPEG's comment; None for any other file."""
    try:
        with Pillow.open(path, formats=["JPEG"]) as picture:
            return bytes(picture.info.get("comment", b"")).decode()
    except Exception:  # as in `read_picture`
        return None


def _with_picture(file: IO[bytes], name: str, use: Callable[[Pillow.Image], T]) -> T:
    with _as_invalid(name), Pillow.open(file, formats=tuple(FORMATS.values())) as picture:
        return use(picture)


@contextmanager
def _as_invalid(name: str) -> Iterator[None]:
    """Raise `InvalidMedia` for whatever the body raises, except for errors that say more."""
    try:
        yield
    except (InvalidMedia, TooLarge):
        raise
    except Exception as exc:  # a damaged picture makes Pillow raise nearly anything, SyntaxError included
        raise InvalidMedia(f"{name} is not a picture that can be read.", hint=KNOWN_FORMATS) from exc


def _read_heic(data: bytes, name: str, max_pixels: int, admit: Callable[[int], None]) -> Image:
    with _as_invalid(name):
        picture = HeifPicture.of(data)
        _check_size(picture.stored, name, max_pixels)
        admit(picture.stored[0] * picture.stored[1])
        return picture.decode(data, max_pixels)


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    height, width = size
    if width * height > max_pixels:
        raise TooLarge(
            f"{name} has {width}x{height} pixels, above the limit of {max_pixels}.",
            hint="Scale it down, or raise MAX_IMAGE_PIXELS.",
        )


def _orientation(picture: Pillow.Image) -> int:
    """Return the orientation, 1 to 8; upright where none is given, or none that can be read."""
    try:
        said = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # it is data of any kind that Pillow reads here
        return 1
    return said if isinstance(said, int) and said in TURNS else 1


def _rgb(picture: Pillow.Image, name: str) -> Image:
    """Return `(height, width, 3)` uint8 RGB of any kind of picture, and decode it if it was not."""
    # Pillow forgets the tiles, and with them in what form their values were, once they are decoded.
    has_16_bits = any(";16" in str(tile) for tile in getattr(picture, "tile", ()))
    picture.load()
    if picture.mode.startswith(("I", "F")):
        return np.repeat(to_8_bits(picture, name)[..., None], 3, axis=2)
    image = np.array(picture.convert("RGB"))
    if has_16_bits:
        check_light(image, name)
    return image


def is_whole_jpeg(data: bytes) -> bool:
    """Say whether this is a JPEG that is not cut short."""
    # Some programs add bytes behind the end.
    return data.startswith(JPEG_START) and JPEG_END in data[-64:]


def _check_rows(image: Image, name: str) -> None:
    """Raise `InvalidMedia` when too many of the last rows of a picture that is cut short are missing."""
    read = np.flatnonzero((image != UNREAD).any(axis=(1, 2)))
    rows = int(read[-1]) + 1 if len(read) else 0
    if rows < MIN_WHOLE * len(image):
        raise InvalidMedia(
            f"{name} is cut short: {rows} of its {len(image)} rows can be read.", hint="Use a whole copy."
        )

"""Pillow reads and writes pictures; it tells a picture's size before it decodes a pixel."""

from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType
from typing import IO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from pothole.errors import InvalidMedia, TooLarge
from pothole.types import Image

FORMATS: Mapping[str, str] = MappingProxyType(
    {"image/jpeg": "JPEG", "image/png": "PNG", "image/bmp": "BMP", "image/gif": "GIF"}
)

Pillow.MAX_IMAGE_PIXELS = None  # it only warns below twice its limit; ours is checked below


def read_picture(file: IO[bytes], name: str, max_pixels: int) -> Image:
    """Decode a JPEG, PNG, BMP or GIF (its first picture).

    Args:
        file: The coded picture.
        name: What errors call it.
        max_pixels: Largest accepted `width * height`.

    Returns:
        `(height, width, 3)` uint8 RGB, upright as its EXIF orientation says, writable.

    Raises:
        InvalidMedia: Not a picture that can be read.
        TooLarge: It would decode to more than `max_pixels`.
    """
    try:
        with Pillow.open(file, formats=tuple(FORMATS.values())) as picture:
            if picture.width * picture.height > max_pixels:
                raise TooLarge(
                    f"{name} has {picture.width}x{picture.height} pixels, above the limit of {max_pixels}.",
                    hint="Scale it down, or raise MAX_IMAGE_PIXELS.",
                )
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except TooLarge:
        raise
    except Exception as exc:  # a damaged picture makes Pillow raise nearly anything, SyntaxError included
        raise InvalidMedia(
            f"{name} is not a picture that can be read.", hint="Send a whole JPEG, PNG, BMP or GIF."
        ) from exc


def encode_picture(image: Image, media_type: str, quality: int = 92) -> bytes:
    """Encode a picture.

    Args:
        image: `(height, width, 3)` uint8 RGB.
        media_type: One of `FORMATS`.
        quality: Of a JPEG, up to 95.
    """
    coded = BytesIO()
    Pillow.fromarray(image).save(coded, FORMATS[media_type], quality=quality)
    return coded.getvalue()

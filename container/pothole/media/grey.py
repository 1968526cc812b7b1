"""This module shows grey values of more than 8 bits, or of floating point, in 8 bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from pothole.errors import InvalidMedia
from pothole.types import Image

# Numbers of TIFF 6.0 that Pillow has no names for.
MAX_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE = 281, 341
WHITE_IS_ZERO = 0  # a photometric interpretation (p. 37)
SIGNED = 2  # a sample format (p. 80)

PNG_BITS = 16  # bits of PNGs of more than 8
DARK = 16  # a picture whose lightest value is so many times below white was made for another white
OVERSHOOT = 1.1  # values of floating point up to which scaling has brought white, which is 1
UNCLEAR = "Save it with 8 bits, or as a TIFF that says in MaxSampleValue what is white."


def to_8_bits(picture: Pillow.Image, name: str) -> NDArray[np.uint8]:
    """Return the grey values of a picture of one channel in 8 bits, 0 as black.

    Args:
        picture: Of a mode of whole numbers (`I`) or of floating point (`F`).
        name: What errors call it.

    Raises:
        InvalidMedia: Nothing says which value is white, and it cannot be the usual one.
    """
    tags: Any = picture.tag_v2 if isinstance(picture, TiffImageFile) else {}
    values = np.asarray(picture)
    if values.dtype == np.int32 and tags and _number(tags, SAMPLEFORMAT, 1) != SIGNED:
        values = values.view(np.uint32)  # Pillow has no mode for them
    shares = np.nan_to_num(values.astype(np.float64) / _white(values, tags, name))
    grey = np.asarray(np.round(np.clip(shares, 0, 1) * 255), np.uint8)
    # Pillow inverts such pictures of 8 bits alone.
    return 255 - grey if tags.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO else grey


def check_light(image: Image, name: str) -> None:
    """Raise `InvalidMedia` for an RGB picture of 16 bits, now of 8, that uses the lowest 12 alone."""
    if 0 < image.max() < 256 // DARK:
        raise InvalidMedia(
            f"{name} has 16 bits a colour and uses the lowest 12 alone.", hint="Save it with 8 bits."
        )


def _white(values: NDArray[np.generic], tags: Any, name: str) -> float:
    """Return the value that is white."""
    finite = values[np.isfinite(values)].astype(np.float64)
    largest = float(finite.max(initial=0))
    said = float(_number(tags, S_MAX_SAMPLE_VALUE, 0) or _number(tags, MAX_SAMPLE_VALUE, 0))
    is_whole = values.dtype.kind != "f"
    if said > 0 and said >= largest:
        # Programs write the largest value that there may be, or that there is: both are of the same bits.
        return float(2 ** int(said).bit_length() - 1) if is_whole else said
    if is_whole:
        is_signed = _number(tags, SAMPLEFORMAT, 1) == SIGNED
        white = float(2 ** (_number(tags, BITSPERSAMPLE, PNG_BITS) - is_signed) - 1)
    else:
        white = 1.0
    if 0 < largest < white / DARK or (not is_whole and largest > OVERSHOOT):
        raise InvalidMedia(
            f"{name} does not say which grey value is white: the largest is {largest:.7g}, and {white:.7g}"
            " would be usual.",
            hint=UNCLEAR,
        )
    return white


def _number(tags: Any, tag: int, default: int) -> Any:
    """Return a tag's first number."""
    value = tags.get(tag, default)
    return value[0] if isinstance(value, tuple) else value

"""Pictures of more than 8 bits, as cameras of laboratories and thermal cameras write them."""

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from pothole.errors import InvalidMedia
from pothole.media.picture import read_picture
from pothole.types import Image

SHORT, LONG, FLOAT = 3, 4, 11  # types of a TIFF's fields
SHARES = np.linspace(0, 1, 64 * 48).reshape(48, 64)


def read(data: bytes) -> Image:
    return read_picture(io.BytesIO(data), "road", 10**6)


def tiff(
    values: NDArray[np.generic], bits: int = 0, tags: dict[int, tuple[int, float]] | None = None
) -> bytes:
    """A TIFF of 48 rows of 64 values; more tags have the type of their value before it."""
    data = values.tobytes()
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    fields: dict[int, tuple[int, float]] = {
        **{256: (LONG, 64), 257: (LONG, 48), 258: (SHORT, bits or 8 * values.dtype.itemsize)},
        **{259: (SHORT, 1), 262: (SHORT, 1), 273: (LONG, 512), 277: (SHORT, 1), 278: (LONG, 48)},
        **{279: (LONG, len(data)), 339: (SHORT, sample_format), **(tags or {})},
    }
    entries = b"".join(
        struct.pack("<HHI", tag, kind, 1) + struct.pack({SHORT: "<Hxx", LONG: "<I", FLOAT: "<f"}[kind], value)
        for tag, (kind, value) in sorted(fields.items())
    )
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + entries).ljust(512, b"\0") + data


def packed_12(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Two values of 12 bits in three bytes."""
    bits = (values.reshape(-1, 1).astype(int) >> np.arange(11, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).ravel())


PICTURES = {
    "12 bits": tiff(packed_12((SHARES * 4095).round().astype(np.uint16)), 12),
    "12 of 16 bits": tiff((SHARES * 4095).round().astype(np.uint16), tags={281: (SHORT, 4095)}),
    "16 bits": tiff((SHARES * 65535).round().astype(np.uint16)),
    "15 bits and a sign": tiff((SHARES * 32767).round().astype(np.int16)),
    "32 bits": tiff((SHARES * (2**32 - 1)).round().astype(np.uint32)),
    "31 bits and a sign": tiff((SHARES * (2**31 - 1)).round().astype(np.int32)),
    "16 of 32 bits": tiff((SHARES * 65535).round().astype(np.uint32), tags={281: (SHORT, 65535)}),
    "floating point": tiff(SHARES.astype(np.float32)),
    "floating point up to 255": tiff((SHARES * 255).astype(np.float32), tags={341: (FLOAT, 255.0)}),
}


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_grey_of_more_than_8_bits_goes_from_black_to_white(data: bytes) -> None:
    assert np.abs(read(data)[..., 1] - SHARES * 255).max() <= 0.6


def test_the_largest_value_that_there_is_says_how_many_bits_there_are() -> None:
    values = (SHARES * 4000).round().astype(np.uint16)
    assert read(tiff(values, tags={281: (SHORT, 4000)})).max() == round(4000 / 4095 * 255)


def png(values: NDArray[np.uint16]) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(values).save(file, "PNG")
    return file.getvalue()


UNCLEAR = {
    "12 of 16 bits": (tiff((SHARES * 4095).round().astype(np.uint16)), "largest is 4095, and 65535 would"),
    "12 of 16 bits, PNG": (png((SHARES * 4095).round().astype(np.uint16)), "is 4095, and 65535 would"),
    "16 of 32 bits": (tiff((SHARES * 65535).round().astype(np.uint32)), "is 65535, and 4.294967e.09 would"),
    "floating point up to 255": (tiff((SHARES * 255).astype(np.float32)), "is 255, and 1 would"),
}


@pytest.mark.parametrize(("data", "said"), UNCLEAR.values(), ids=UNCLEAR)
def test_grey_of_which_nothing_says_what_is_white_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidMedia, match=rf"^road does not say which grey value is white: .*{said}"):
        read(data)


def test_floating_point_may_be_a_little_above_white_and_have_no_value() -> None:
    values = (SHARES * 1.05).astype(np.float32)
    values[1] = np.inf
    grey = read(tiff(values))[..., 1]
    assert (grey[1].min(), grey[-1, -1]) == (255, 255)
    values[0] = np.nan
    assert read(tiff(values))[0].max() == 0


def test_values_below_zero_are_black() -> None:
    values = (SHARES * (2**31 - 1)).round().astype(np.int32)
    values[0] = -5
    grey = read(tiff(values))
    assert (grey[0].max(), grey[-1, -1, 0]) == (0, 255)


def test_a_largest_value_that_is_not_the_largest_is_passed_over() -> None:
    grey = read(tiff((SHARES * 65535).round().astype(np.uint16), tags={281: (SHORT, 100)}))
    assert np.abs(grey[..., 1] - SHARES * 255).max() <= 0.6


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3)])
def test_a_picture_that_is_black_is_black(shape: tuple[int, ...]) -> None:
    import cv2

    _, data = cv2.imencode(".png", np.zeros(shape, np.uint16))
    assert not read(data.tobytes()).any()


@pytest.mark.parametrize("format", [".png", ".tiff"])
def test_colours_of_12_of_16_bits_are_refused(format: str) -> None:
    import cv2

    colours = np.repeat((SHARES * 4095).astype(np.uint16)[..., None], 3, axis=2)
    _, data = cv2.imencode(format, colours)
    with pytest.raises(InvalidMedia, match="road has 16 bits a colour and uses the lowest 12 alone"):
        read(data.tobytes())
    _, data = cv2.imencode(format, (colours // 16).astype(np.uint8) // 20)
    assert 0 < read(data.tobytes()).max() < 16, "dark in 8 bits"

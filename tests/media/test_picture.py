"""Pictures as cameras, phones and programs write them."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pothole.errors import InvalidMedia, TooLarge
from pothole.media.picture import FORMATS, encode_picture, picture_size, read_picture
from pothole.types import Image
from support.pictures import coded

LIMIT = 10**6
# A white corner, by which one sees how a picture is turned.
CORNER = np.zeros((48, 64, 3), np.uint8)
CORNER[:16, :24] = 255
# Where the corner is, by orientation: is it low, is it right, and are width and height exchanged?
PLACES = {
    1: (False, False, False),
    2: (False, True, False),
    3: (True, True, False),
    4: (True, False, False),
    5: (False, False, True),
    6: (False, True, True),
    7: (True, True, True),
    8: (True, False, True),
}


def read(data: bytes) -> Image:
    return read_picture(io.BytesIO(data), "road", LIMIT)


def place(image: Image) -> tuple[bool, bool, bool]:
    rows, columns = np.nonzero(image[..., 0] > 128)
    height, width = image.shape[:2]
    return bool(rows.mean() > height / 2), bool(columns.mean() > width / 2), height > width


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """Put a segment behind the first two bytes of a JPEG."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + jpeg[2:]


def exif(orientation: int) -> bytes:
    values = Pillow.Exif()
    values[0x0112] = orientation
    return values.tobytes()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", PLACES)
def test_every_orientation_of_every_format_is_upright(tmp_path: Path, format: str, orientation: int) -> None:
    path = tmp_path / "road"
    path.write_bytes(coded(CORNER, format, exif=exif(orientation)))
    image = read(path.read_bytes())
    assert place(image) == PLACES[orientation]
    assert picture_size(path) == image.shape[:2]


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_there_is_not_is_upright(orientation: int) -> None:
    assert place(read(coded(CORNER, "JPEG", exif=exif(orientation)))) == PLACES[1]


def test_exif_that_is_there_twice_counts_once() -> None:
    assert place(read(with_segment(coded(CORNER, "JPEG", exif=exif(6)), 0xE1, exif(6)))) == PLACES[6]


@pytest.mark.parametrize("said", ['tiff:Orientation="8"', "<tiff:Orientation>8</tiff:Orientation>"])
def test_xmp_alone_says_how_a_picture_is_turned(said: str) -> None:
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r {said} /></x:xmpmeta>'
    jpeg = with_segment(coded(CORNER, "JPEG"), 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode())
    assert place(read(jpeg)) == PLACES[8]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "damage",
    [
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0XX",
        b"Exif\0\0",
        # One entry: XResolution, a fraction of -1 and 0.
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x1a\0\x0a\0\0\0\x01\0\0\0\x1a\0\0\0\0\xff\xff\xff\xff\0\0\0\0",
    ],
)
def test_exif_that_cannot_be_read_costs_the_exif(damage: bytes) -> None:
    assert place(read(with_segment(coded(CORNER, "JPEG"), 0xE1, damage))) == PLACES[1]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bits_of_grey_become_8(format: str) -> None:
    grey = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    file = io.BytesIO()
    Pillow.fromarray(grey).save(file, format)
    assert np.abs(read(file.getvalue())[..., 1] - grey / 257.0).max() <= 0.5


def test_16_bits_of_grey_in_which_0_is_white_become_8() -> None:
    grey = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    file = io.BytesIO()
    Pillow.fromarray(grey).save(file, "TIFF", tiffinfo={262: 0})
    assert np.abs(255 - read(file.getvalue())[..., 1] - grey / 257.0).max() <= 0.5


def test_16_bits_of_colour_become_8() -> None:
    import cv2

    image = (np.linspace(0, 65535, 64 * 48 * 3).reshape(48, 64, 3)).astype(np.uint16)
    _, png = cv2.imencode(".png", image)
    assert np.abs(read(png.tobytes())[..., ::-1] - image / 257.0).max() <= 1


@pytest.mark.parametrize("missing", [1, 2, 20])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_is_read(missing: int, progressive: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 64, 3), np.uint8)
    whole = coded(noise, "JPEG", progressive=progressive)
    difference = np.abs(read(whole[:-missing]).astype(int) - read(whole))
    assert difference[:80].mean() < 2


def test_a_jpeg_whose_lower_half_is_missing_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 64, 3), np.uint8)
    whole = coded(noise, "JPEG")
    with pytest.raises(InvalidMedia, match=r"road is cut short: \d\d of its 96 rows"):
        read(whole[: len(whole) // 2])


def test_a_jpeg_with_bytes_behind_its_end_is_whole() -> None:
    """Its lower half is of the grey that stands for rows that are missing in one that is cut short."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 64, 3), np.uint8)
    noise[48:] = 128
    whole = coded(noise, "JPEG")
    assert np.array_equal(read(whole + bytes(60)), read(whole))


def test_a_png_that_is_cut_short_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 64, 3), np.uint8)
    whole = coded(noise, "PNG")
    with pytest.raises(InvalidMedia):
        read(whole[: len(whole) // 2])


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    jpeg = coded(CORNER, "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    many = jpeg[:-2] + 100 * scan + jpeg[-2:]
    with pytest.raises(TooLarge, match=r"100 scans.*MAX_JPEG_SCANS"):
        read(many)
    assert read_picture(io.BytesIO(many), "road", LIMIT, max_scans=200).shape == CORNER.shape


@pytest.mark.parametrize("media_type", FORMATS)
def test_what_is_written_is_read_back(media_type: str) -> None:
    image = read(encode_picture(CORNER, media_type))
    assert image.shape == CORNER.shape
    assert np.abs(image.astype(int) - CORNER).mean() < 3


def test_another_format_is_told_those_that_are_read() -> None:
    with pytest.raises(InvalidMedia, match="JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF or HEIC"):
        read(b"<svg xmlns='http://www.w3.org/2000/svg'/>")

"""HEIC pictures, whole and in tiles, cropped and turned, and such as are made to do harm."""

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Pillow

from pothole.errors import InvalidMedia, TooLarge
from pothole.media.picture import picture_size, read_exif, read_picture
from pothole.types import Image
from support.heic import box, clap, heic

LIMIT = 10**6
# Each quarter has another grey, and a gradient tells the tiles apart.
ROAD = np.repeat(np.add.outer(np.arange(128), np.arange(192)).astype(np.uint8)[..., None] // 2, 3, axis=2)
ROAD[:40, :60] = 250


def read(data: bytes, limit: int = LIMIT) -> Image:
    return read_picture(io.BytesIO(data), "road", limit)


def is_like(image: Image, expected: Image) -> bool:
    return image.shape == expected.shape and bool(np.abs(image.astype(int) - expected).mean() < 2)


@pytest.mark.parametrize("tile", [None, (64, 64), (128, 96), (96, 80)])
def test_a_picture_is_read_whole_and_in_tiles(tile: tuple[int, int] | None) -> None:
    assert is_like(read(heic(ROAD, tile)), ROAD)


CHANGES = {
    "quarter turn": ([box("irot", b"\1")], np.rot90(ROAD)),
    "half turn": ([box("irot", b"\2")], np.rot90(ROAD, 2)),
    "upside down": ([box("imir", b"\0")], ROAD[::-1]),
    "mirrored": ([box("imir", b"\1")], ROAD[:, ::-1]),
    "cropped": ([clap(100, 50, 20, -10)], ROAD[34:84, 56:156]),
    "cropped, turned": ([clap(100, 50, 20, -10), box("irot", b"\3")], np.rot90(ROAD[34:84, 56:156], 3)),
}


@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize("change", CHANGES)
def test_it_is_cropped_and_turned_as_the_file_says(
    tmp_path: Path, change: str, tile: tuple[int, int] | None
) -> None:
    changes, expected = CHANGES[change]
    (tmp_path / "a.heic").write_bytes(heic(ROAD, tile, tuple(changes)))
    assert is_like(read((tmp_path / "a.heic").read_bytes()), expected)
    assert picture_size(tmp_path / "a.heic") == expected.shape[:2]


@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_its_exif_is_read_and_does_not_turn_it(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    exif = Pillow.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.DateTime] = 6, "2026:11:27 01:02:03"
    (tmp_path / "a.heic").write_bytes(heic(ROAD, tile, exif=exif.tobytes()))
    assert read_exif(tmp_path / "a.heic").get(ExifTags.Base.DateTime) == "2026:11:27 01:02:03"
    assert is_like(read((tmp_path / "a.heic").read_bytes()), ROAD)


def test_exif_that_cannot_be_read_costs_the_exif(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic(ROAD, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    assert not read_exif(tmp_path / "a.heic")
    assert is_like(read((tmp_path / "a.heic").read_bytes()), ROAD)


def test_exif_that_is_longer_than_the_file_is_refused_before_it_is_joined(tmp_path: Path) -> None:
    """Its parts are the same bytes again and again, which would make gigabytes of a small file."""
    path = tmp_path / "a.heic"
    path.write_bytes(heic(ROAD, exif=bytes(8000), exif_extents=1))
    assert not read_exif(path)
    path.write_bytes(heic(ROAD, exif=bytes(8000), exif_extents=60_000))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidMedia):
            read_exif(path)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("said", [None, (20_000, 20_000)])
def test_a_picture_above_the_limit_is_refused_before_it_is_decoded(said: tuple[int, int] | None) -> None:
    with pytest.raises(TooLarge, match="above the limit of 24575"):
        read(heic(ROAD, said=said), 128 * 192 - 1)


def test_a_picture_that_is_larger_than_it_says_is_not_decoded() -> None:
    with pytest.raises(InvalidMedia, match="road is not a picture that can be read") as caught:
        read(heic(ROAD, said=(16, 16)), 1000)
    assert "tiles of" not in str(caught.value.__cause__), "FFmpeg refuses it, before it takes the memory"


@pytest.mark.parametrize(
    "data",
    [
        heic(ROAD)[:100],
        heic(ROAD)[:-400],
        heic(ROAD, (64, 64))[:-40],
        heic(ROAD, (64, 64)).replace(b"dimg", b"thmb"),
        heic(ROAD, (64, 64)).replace(struct.pack(">HH", 7, 6), struct.pack(">HH", 7, 5)),
        heic(ROAD, (64, 64), said=(129, 192)),
        heic(ROAD, (64, 64), said=(64, 192)),
        heic(ROAD, said=(0, 192)),
        heic(ROAD).replace(b"hvc1", b"iovl"),
        heic(ROAD).replace(b"pitm", b"free"),
        heic(ROAD).replace(b"meta", b"free"),
        heic(ROAD, changes=(clap(200, 50, 0, 0),)),
        heic(ROAD, changes=(clap(0, 50, 0, 0),)),
        heic(ROAD, changes=(box("clap", bytes(32)),)),
        heic(ROAD, changes=(box("irot"),)),
        heic(ROAD, changes=(box("free", bytes(2**21)),)),
        box("ftyp", b"heic\0\0\0\0heic"),
    ],
)
def test_what_cannot_be_read_is_said_to_be_so(data: bytes) -> None:
    with pytest.raises(InvalidMedia, match=r"^road is not a picture that can be read"):
        read(data)


def test_a_grid_of_more_tiles_than_any_phone_writes_is_refused(tmp_path: Path) -> None:
    """One tile over and over, which costs a file two bytes each, and whoever reads it a picture each."""
    path = tmp_path / "a.heic"
    path.write_bytes(heic(ROAD[:64, :64], (64, 64), said=(4096, 4096), again=(64, 64)))
    assert picture_size(path) == (4096, 4096)
    path.write_bytes(heic(ROAD[:64, :64], (64, 64), said=(4160, 4096), again=(65, 64)))
    with pytest.raises(InvalidMedia, match="is not a picture that can be read"):
        picture_size(path)


def test_a_picture_without_pixels_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic(ROAD, said=(0, 192)))
    with pytest.raises(InvalidMedia):
        picture_size(tmp_path / "a.heic")


def test_boxes_with_changed_bytes_are_read_or_refused() -> None:
    whole = heic(ROAD, (64, 64), (clap(100, 50, 20, -10), box("irot", b"\1")))
    end = whole.index(b"mdat")
    numbers = np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(whole)
        for place in numbers.integers(0, end, 3):
            changed[place] = numbers.integers(256)
        try:
            read(bytes(changed))
        except (InvalidMedia, TooLarge):
            continue

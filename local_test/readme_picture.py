"""Mark the picture of a real road with the shipped weights, as the README shows it.

python local_test/readme_picture.py [docs/images/marked.jpg]
"""

import sys
from pathlib import Path

from pothole import load_detector
from pothole.files import replacing
from pothole.media.picture import encode_picture, read_picture
from pothole.outputs.annotate import draw
from pothole.settings import SHIPPED_MODEL, Settings
from pothole.types import Image

ROOT = Path(__file__).parents[1]


def marked_road() -> Image:
    """Return the picture with its marks."""
    path = ROOT / "local_test" / "road.jpg"
    with path.open("rb") as file:
        picture = read_picture(file, str(path), Settings().max_image_pixels)
    draw(picture, load_detector(SHIPPED_MODEL).predict([picture])[0])
    return picture


if __name__ == "__main__":
    target = Path(*sys.argv[1:2]) if sys.argv[1:] else ROOT / "docs" / "images" / "marked.jpg"
    with replacing(target) as whole:
        whole.write_bytes(encode_picture(marked_road(), "image/jpeg"))

"""Pictures of a road with one magenta pothole, and how they are coded."""

import io
from typing import Any

import numpy as np
from PIL import Image as Pillow

from pothole.types import Image
from support.fakes import MAGENTA

SIZE = (160, 96)


def road(number: int = 0) -> Image:
    """Return a grey picture on which the pothole of a film comes nearer, frame by frame."""
    image = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    image[20 + number : 36 + number, 60:92] = MAGENTA
    return image


def coded(image: Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, format, **options)
    return file.getvalue()

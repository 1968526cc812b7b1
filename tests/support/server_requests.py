"""What the tests of the server send it."""

from io import BytesIO
from typing import Any

import numpy as np
import requests
from PIL import Image as Pillow

from pothole.types import Image
from support.fakes import MAGENTA
from support.servers import Server

SIZE = (320, 192)


def road(number: int = 0) -> Image:
    image = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    top = 40 + number % 40
    image[top : top + 32, 120:184] = MAGENTA
    return image


def picture() -> bytes:
    file = BytesIO()
    Pillow.fromarray(road()).save(file, "PNG")
    return file.getvalue()


def job(server: Server, bucket: str, key: str, **fields: Any) -> requests.Response:
    body = {"input": {"s3_bucket": bucket, "s3_source_filename": key, "is_live": True, **fields}}
    return requests.post(f"{server.url}/invocations", json=body, timeout=120)


def send_picture(server: Server, **options: Any) -> requests.Response:
    headers = {"Content-Type": "image/png"} | options.pop("headers", {})
    return requests.post(f"{server.url}/invocations", data=picture(), headers=headers, timeout=60, **options)

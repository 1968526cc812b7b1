"""Samples that a deployment collected become a data set, with what the model found as annotations to correct.

`docs/how-to/samples.md` shows a sample: a line of JSON with a picture in it.
"""

import base64
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from pothole.detections import Detections, pixel_boxes
from pothole.errors import PotholeError, RequestError
from pothole.files import MIB
from pothole.media.picture import read_picture
from pothole.settings import Settings
from pothole.storage import Storage
from pothole.training.labels import LabelWriter, new_folder
from pothole.types import Image

MAX_LINE = MIB  # bytes; a message of the topic has a quarter of it at most
MAX_FILE = 1024 * MIB
GZIP = b"\x1f\x8b"
LEFT_OUT = "left out"


def write_samples(
    store: Storage,
    folder: str,
    out: Path,
    settings: Settings,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Counter[str]:
    """Write the samples below a folder as a data set, each once.

    Args:
        store: Where they are.
        folder: There.
        out: The folder of the data set; see `LabelWriter` for what it holds.
        settings: Limits of what is read.
        on_progress: Called with files done and files in all.

    Returns:
        How many there were for each reason, and how many lines were `LEFT_OUT`, as they are no samples.

    Raises:
        RequestError: `out` exists, or there is no sample.
        PotholeError: They cannot be read, or `out` cannot be written; nothing of it is left then.
    """
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    with new_folder(out) as whole:
        writer = LabelWriter(whole)
        for line in _lines(store, folder, settings, on_progress):
            try:
                name, image, found, about = _read(line, settings)
            except (ValueError, KeyError, TypeError, PotholeError):
                counts[LEFT_OUT] += 1
                continue
            if name not in seen:  # one that was sent twice
                seen.add(name)
                writer.add(f"{name}.jpg", image, found, about)
                counts[about["reason"]] += 1
        if not seen:
            raise RequestError(
                f"There is no sample in {store.address(folder)}.",
                hint="Name the folder that holds the days, such as s3://BUCKET/samples/.",
            )
        writer.finish()
    return counts


def _lines(
    store: Storage, folder: str, settings: Settings, on_progress: Callable[[int, int], None]
) -> Iterator[bytes]:
    keys = store.list(folder)
    for number, key in enumerate(keys):
        on_progress(number, len(keys))
        with TemporaryDirectory(prefix="samples-", dir=settings.temp_dir) as temporary:
            path = store.fetch(key, Path(temporary), MAX_FILE)
            with path.open("rb") as start:
                is_packed = start.read(2) == GZIP
            with gzip.open(path) if is_packed else path.open("rb") as file:
                yield from _whole_lines(file)
    on_progress(len(keys), len(keys))


def _whole_lines(file: Any) -> Iterator[bytes]:
    """Yield lines; what is too long for a sample comes in pieces, which are none."""
    try:
        while line := file.readline(MAX_LINE):
            if line.strip():
                yield line
    except (OSError, EOFError, zlib.error):  # a file that was cut off, or is no gzip after all
        yield b"-"


def _read(line: bytes, settings: Settings) -> tuple[str, Image, Detections, dict[str, Any]]:
    sample = json.loads(line)
    name = "".join(sign for sign in str(sample["id"]) if sign.isalnum() or sign in "-_")[:64]
    coded = base64.b64decode(sample["picture"], validate=True)
    image = read_picture(BytesIO(coded), name, settings.max_image_pixels)
    scale = np.array([image.shape[1] / sample["image"]["width"], image.shape[0] / sample["image"]["height"]])
    about = {
        "source": "samples",
        "reason": str(sample["reason"]),
        "time": str(sample["time"]),
        "model": str(sample["model"]),
    }
    if not name:
        raise ValueError("no id")
    return name, image, _detections(sample["predictions"], scale, (image.shape[0], image.shape[1])), about


def _detections(predictions: Iterable[dict[str, Any]], scale: Any, size: tuple[int, int]) -> Detections:
    boxes, scores, masks = [], [], []
    for each in predictions:
        polygons = [
            (np.array(polygon, np.float64).reshape(-1, 2) * scale).round().astype(np.int32)
            for polygon in each["polygons"]
        ]
        if not polygons:
            continue
        whole = np.zeros(size, np.uint8)
        cv2.fillPoly(whole, polygons, 1)
        x, y, width, height = cv2.boundingRect(whole)
        box = np.array([[x, y, x + width, y + height]], np.float32)
        [[left, top, right, bottom]] = pixel_boxes(box, size)
        boxes.append(box[0])
        scores.append(float(each["score"]))
        masks.append(whole[top:bottom, left:right].astype(bool))
    if not boxes:
        return Detections.empty(size)
    return Detections(size, np.array(boxes, np.float32), np.array(scores, np.float32), tuple(masks))

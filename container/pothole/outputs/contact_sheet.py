"""The best frames of a marked video in one picture."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pothole.media import Frame, Video
from pothole.media.picture import encode_picture
from pothole.outputs.annotate import label
from pothole.types import Image

TILES = 9
TILE_SIDE = 480
GAP = 8
GROUND = 32
CAPTION_HEIGHT = 18
CAPTION_COLOR = (235, 235, 235)


def write_contact_sheet(path: Path, video: Path, report: Path) -> None:
    """Show up to nine frames with the surest marks, each from another second.

    Args:
        path: The JPEG to write.
        video: A marked video.
        report: Its data, see `pothole.outputs.report`.

    Raises:
        InvalidMedia: The video cannot be read.
    """
    indices = _best_frames(json.loads(report.read_text(encoding="utf-8"))["frames"])
    tiles = []
    with Video.open(video) as marked:
        for frame in marked.frames():
            if frame.index in indices:
                tiles.append(_tile(frame))
            if len(tiles) == len(indices):
                break
    path.write_bytes(encode_picture(_arrange(tiles), "image/jpeg"))


def _best_frames(frames: list[dict[str, Any]]) -> set[int]:
    """Return indices; that of the first frame when none has a pothole."""
    best: dict[int, tuple[float, int]] = {}
    for frame in frames:
        second = int(frame["time_s"])
        sureness = sum(pothole["score"] for pothole in frame["potholes"])
        if sureness > best.get(second, (0.0, 0))[0]:
            best[second] = sureness, frame["index"]
    return {index for _, index in sorted(best.values(), reverse=True)[:TILES]} or {0}


def _tile(frame: Frame) -> Image:
    scale = TILE_SIDE / max(frame.size)
    tile = np.asarray(
        cv2.resize(frame.rgb(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )
    minutes, seconds = divmod(float(frame.time), 60)
    caption = label(f"{int(minutes)}:{seconds:04.1f}", CAPTION_HEIGHT, CAPTION_COLOR)
    caption = caption[: tile.shape[0], : tile.shape[1]]
    tile[-caption.shape[0] :, : caption.shape[1]] = caption
    return tile


def _arrange(tiles: list[Image]) -> Image:
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height, width = tiles[0].shape[:2]
    size = GAP + rows * (height + GAP), GAP + columns * (width + GAP), 3
    sheet = np.full(size, GROUND, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet

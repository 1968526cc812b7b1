"""The contact sheet, `<stem>_output.jpg`, shows the best frames of a video in one picture."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from pothole.media import Frame, Video
from pothole.media.picture import encode_picture
from pothole.outputs.annotate import MarkedFrame, label
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracks import Track
from pothole.types import Image

MAX_TILES = 9
TILE_SIDE = 480
GAP = 8
GROUND = 32
CAPTION_HEIGHT = 18
CAPTION_COLOR = (235, 235, 235)


@dataclass(frozen=True)
class _Tile:
    """This is a frame that may come into the sheet.

    Attributes:
        score: Sum of the scores of its marks; 0 for the first frame when it has none.
        image: `(height, width, 3)` uint8 RGB, its longer side `TILE_SIDE`.
    """

    score: float
    image: Image


class _BestTiles:
    """Keeps the frame with the surest marks of each second, and of these the surest: memory is bounded."""

    def __init__(self) -> None:
        self._by_second: dict[int, _Tile] = {}

    def is_better(self, second: int, score: float) -> bool:
        """Say whether a frame would be kept."""
        if not self._by_second:  # the first frame, so that there is one
            return True
        known = self._by_second.get(second)
        if known:
            return score > known.score
        full = len(self._by_second) == MAX_TILES
        return score > (min(t.score for t in self._by_second.values()) if full else 0.0)

    def put(self, second: int, tile: _Tile) -> None:
        """Keep a frame, in place of a worse one."""
        self._by_second[second] = tile
        if len(self._by_second) > 1:  # the first frame stood in for better ones
            self._by_second = {s: t for s, t in self._by_second.items() if t.score > 0} or {second: tile}
        if len(self._by_second) > MAX_TILES:
            worst = min(self._by_second, key=lambda s: (self._by_second[s].score, s))
            del self._by_second[worst]

    def items(self) -> list[tuple[int, _Tile]]:
        """Return seconds and tiles, in order of time."""
        return sorted(self._by_second.items(), key=lambda item: item[0])


class ContactSheetSink:
    """The sheet shows up to nine frames with the surest marks, each from another second. See `Sink`.

    A part holds the best tiles of its frames.

    Args:
        path: The JPEG to write.
        source: Is not asked.
    """

    part_suffix = ".npz"

    def __init__(self, path: Path, source: Source) -> None:
        self._path = path
        self._best = _BestTiles()
        self._finished = False

    def __enter__(self) -> Self:
        return self

    @contextmanager
    def open_part(self, path: Path) -> Iterator["_SheetPart"]:
        """See `Sink.open_part`."""
        part = _SheetPart()
        yield part
        tiles = part.best.items()
        np.savez(
            path,
            seconds=np.array([second for second, _ in tiles], np.int64),
            scores=np.array([tile.score for _, tile in tiles], np.float64),
            images=np.stack([tile.image for _, tile in tiles]),
        )

    def check_part(self, path: Path, frames: int) -> None:
        """See `Sink.check_part`."""
        _read_part(path)

    def append(self, part: Path) -> None:
        """See `Sink.append`."""
        for second, tile in _read_part(part):
            if self._best.is_better(second, tile.score):
                self._best.put(second, tile)

    def finish(self, summary: Summary, tracks: Sequence[Track], video: Video) -> None:
        """See `Sink.finish`."""
        tiles = [tile.image for _, tile in self._best.items()]
        self._path.write_bytes(encode_picture(_arrange(tiles), "image/jpeg"))
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._finished:
            self._path.unlink(missing_ok=True)


class _SheetPart:
    def __init__(self) -> None:
        self.best = _BestTiles()

    def write(self, marked: MarkedFrame) -> None:
        second, score = int(marked.time), float(marked.detections.scores.sum())
        if self.best.is_better(second, score):
            self.best.put(second, _Tile(score, _tile(marked.picture)))


def _read_part(path: Path) -> list[tuple[int, _Tile]]:
    """Read a part.

    Raises:
        ValueError: It is none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            seconds, scores, images = file["seconds"], file["scores"], file["images"]
    except (OSError, KeyError, EOFError) as exc:
        raise ValueError(f"{path.name} holds no tiles of a contact sheet") from exc
    fits = images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3
    if not fits or not 1 <= len(images) == len(seconds) == len(scores) <= MAX_TILES:
        raise ValueError(f"{path.name} holds no tiles of a contact sheet")
    return [(int(s), _Tile(float(c), i)) for s, c, i in zip(seconds, scores, images, strict=True)]


def _tile(frame: Frame) -> Image:
    height, width = frame.size
    scale = TILE_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    tile = np.asarray(cv2.resize(frame.rgb(), size, interpolation=cv2.INTER_AREA), np.uint8)
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

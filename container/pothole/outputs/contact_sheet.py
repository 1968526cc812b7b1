"""The contact sheet, `<stem>_output.jpg`, shows each object of a video where it was seen best."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from pothole.detections import Detections, pixel_boxes
from pothole.files import NPZ_DAMAGE
from pothole.geo.located import Located
from pothole.media import Video
from pothole.media.picture import encode_picture
from pothole.outputs.annotate import MarkedFrame, draw, label
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracks import Track
from pothole.types import Box, Image

MAX_TILES = 100
TILE = 240, 320  # `(height, width)` of what is shown of a frame; its caption comes below
CAPTION = 28  # height
CONTEXT = 2.5  # a tile is at least so many times as wide and high as its object
MIN_SHOWN = 0.25  # a tile is at least as high as this part of the frame's shorter side
SHAPE = TILE[0] + CAPTION, TILE[1], 3
GAP = 8
GROUND = (32, 32, 32)
TEXT_HEIGHT = 18
CAPTION_COLOR = (235, 235, 235)


@dataclass(frozen=True)
class Tile:
    """A tile shows an object.

    Attributes:
        score: Of the object there; 0 for the first frame, which stands in where there is none.
        time: Seconds from the first frame to the one that is shown.
        image: `(TILE height + CAPTION, TILE width, 3)` uint8 RGB.
    """

    score: float
    time: float
    image: Image


class _BestTiles:
    """This collection keeps each object's tile with the highest score, and of these the surest."""

    def __init__(self) -> None:
        self._by_track: dict[int, Tile] = {}

    def is_better(self, track_id: int, score: float) -> bool:
        """Say whether a tile with this score would be kept."""
        known = self._by_track.get(track_id)
        if known:
            return score > known.score
        full = len(self._by_track) == MAX_TILES
        return not full or score > min(tile.score for tile in self._by_track.values())

    def put(self, track_id: int, tile: Tile) -> None:
        """Keep a tile, in place of a worse one."""
        self._by_track[track_id] = tile
        if track_id:
            self._by_track.pop(0, None)  # the first frame stood in for an object
        if len(self._by_track) > MAX_TILES:
            worst = min(self._by_track, key=lambda i: (self._by_track[i].score, -i))
            del self._by_track[worst]

    def items(self) -> list[tuple[int, Tile]]:
        """Return track ids and tiles, by id; an id of 0 is the first frame."""
        return sorted(self._by_track.items(), key=lambda item: item[0])


class ContactSheetSink:
    """The sheet has a tile for each object, the surest where there are many. See `Sink`.

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
            tracks=np.array([track_id for track_id, _ in tiles], np.int64),
            scores=np.array([tile.score for _, tile in tiles], np.float64),
            times=np.array([tile.time for _, tile in tiles], np.float64),
            images=np.array([tile.image for _, tile in tiles], np.uint8).reshape(-1, *SHAPE),
        )

    def check_part(self, path: Path, frames: int) -> None:
        """See `Sink.check_part`."""
        _read_part(path)

    def append(self, part: Path) -> None:
        """See `Sink.append`."""
        for track_id, tile in _read_part(part):
            if self._best.is_better(track_id, tile.score):
                self._best.put(track_id, tile)

    def finish(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None = None
    ) -> None:
        """See `Sink.finish`."""
        tiles = [tile.image for _, tile in self._best.items()]
        more = f"The {len(tiles)} surest of {len(tracks)}" if len(tracks) > len(tiles) else ""
        self._path.write_bytes(encode_picture(_arrange(tiles, more), "image/jpeg"))
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
        found = marked.detections
        for track_id, score, box in zip(
            found.track_ids.tolist(), found.scores.tolist(), found.boxes, strict=True
        ):
            if self.best.is_better(track_id, score):
                text = f"#{track_id}  {score:.2f}  {clock(marked.time)}"
                self.best.put(track_id, Tile(score, float(marked.time), _tile(marked, box, text)))
        if marked.index == 0 and not len(found):
            height, width = marked.plain.size
            whole = np.array([0, 0, width, height], np.float32)
            text = f"{clock(marked.time)}  nothing found"
            self.best.put(0, Tile(0.0, float(marked.time), _tile(marked, whole, text)))


def _read_part(path: Path) -> list[tuple[int, Tile]]:
    """Read a part of the sheet, as an earlier attempt may have stored it.

    Raises:
        ValueError: It is none.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            tracks, scores, times, images = (file[name] for name in ("tracks", "scores", "times", "images"))
    except NPZ_DAMAGE as exc:
        raise ValueError(f"{path.name} holds no tiles of a contact sheet") from exc
    fits = images.dtype == np.uint8 and images.ndim == 4 and images.shape[1:] == SHAPE
    if not fits or not len(images) == len(tracks) == len(scores) == len(times) <= MAX_TILES:
        raise ValueError(f"{path.name} holds no tiles of a contact sheet")
    rows = zip(tracks, scores, times, images, strict=True)
    return [(int(track), Tile(float(score), float(time), image)) for track, score, time, image in rows]


def clock(time: Fraction | float) -> str:
    """Return seconds as people read them, in minutes and seconds."""
    minutes, seconds = divmod(float(time), 60)
    return f"{int(minutes)}:{seconds:04.1f}"


def _tile(marked: MarkedFrame, box: Box, text: str) -> Image:
    """Show what is around a box xyxy, not distorted, above a caption.

    Marks are drawn on the tile, so that their lines and labels are as large in it whatever the frame's size.
    """
    frame = marked.plain
    (frame_height, frame_width), (height, width) = frame.size, TILE
    sides = CONTEXT * (box[2:] - box[:2])
    shown = max(float(sides[1]), float(sides[0]) * height / width, MIN_SHOWN * min(frame.size))
    size = min(round(shown), frame_height), min(round(shown * width / height), frame_width)
    middle = (box[:2] + box[2:]) / 2
    top = int(np.clip(middle[1] - size[0] / 2, 0, frame_height - size[0]))
    left = int(np.clip(middle[0] - size[1] / 2, 0, frame_width - size[1]))
    part = frame.rgb()[top : top + size[0], left : left + size[1]]
    scale = min(height / size[0], width / size[1])
    scaled = max(1, round(size[1] * scale)), max(1, round(size[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(part, scaled, interpolation=method), np.uint8)
    draw(resized, _within(marked.detections, (left, top), scale, scaled[::-1]), short_labels=True)
    tile = np.full(SHAPE, GROUND, np.uint8)
    y, x = (height - scaled[1]) // 2, (width - scaled[0]) // 2
    tile[y : y + scaled[1], x : x + scaled[0]] = resized
    _write(tile, text, height)
    return tile


def _within(found: Detections, corner: tuple[int, int], scale: float, size: tuple[int, int]) -> Detections:
    """Return the detections in a part of a frame that is scaled to `(height, width)`.

    Args:
        found: Those of the frame.
        corner: `(left, top)` of the part.
        scale: Pixels of the scaled part to one of the frame.
        size: Of the scaled part.
    """
    start, end = np.array(corner * 2, np.float32), np.array(size[::-1] * 2, np.float32)
    boxes = ((found.boxes - start) * scale).clip(0, end).astype(np.float32)
    seen = np.flatnonzero((boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1))
    kept, boxes = found[seen], boxes[seen]
    masks = []
    for mask, old, new in zip(kept.masks, kept.mask_boxes, pixel_boxes(boxes, size), strict=True):
        shift = (old[:2] - corner) * scale - new[:2]
        moved = cv2.warpAffine(
            mask.view(np.uint8),
            np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64),
            (int(new[2] - new[0]), int(new[3] - new[1])),
            flags=cv2.INTER_NEAREST,
        )
        masks.append(np.asarray(moved, np.uint8) > 0)
    return replace(kept, image_size=size, boxes=boxes, masks=tuple(masks))


def _write(image: Image, text: str, top: int) -> None:
    """Write a line of text into a strip of `CAPTION` pixels; what does not fit is cut."""
    strip = image[top : top + CAPTION]
    strip[:] = CAPTION_COLOR
    line = label(text, TEXT_HEIGHT, CAPTION_COLOR)[:CAPTION, : image.shape[1]]
    strip[: line.shape[0], : line.shape[1]] = line


def _arrange(tiles: list[Image], headline: str) -> Image:
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height, width, _ = SHAPE
    above = CAPTION if headline else 0
    sheet = np.full((above + GAP + rows * (height + GAP), GAP + columns * (width + GAP), 3), GROUND, np.uint8)
    if headline:
        _write(sheet, headline, 0)
    for i, tile in enumerate(tiles):
        top, left = above + GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet

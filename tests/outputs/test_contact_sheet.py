from pathlib import Path

import cv2
import numpy as np
import pytest

from pothole.detections import Detections, pixel_boxes
from pothole.media import Video
from pothole.outputs import contact_sheet
from pothole.outputs.annotate import PALETTE, MarkedFrame
from pothole.outputs.contact_sheet import CAPTION, GAP, MAX_TILES, TILE, ContactSheetSink
from pothole.outputs.sink import Source, Summary
from support.clips import make_clip, number_of

ROW, COLUMN = TILE[0] + CAPTION + GAP, TILE[1] + GAP

Marks = dict[int, list[tuple[int, float]]]  # by frame: ids and scores


def found(marks: list[tuple[int, float]]) -> Detections:
    """Potholes that are too small to hide the number of the frame."""
    if not marks:
        return Detections.empty((48, 64))
    return Detections(
        (48, 64),
        np.array([[60, 44, 62, 46]] * len(marks), np.float32),
        np.array([score for _, score in marks], np.float32),
        tuple(np.zeros((2, 2), bool) for _ in marks),
        np.array([track_id for track_id, _ in marks], np.int32),
    )


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles as they are: what is drawn would hide the number."""
    monkeypatch.setattr(contact_sheet, "draw", lambda *args, **named: None)


def sheet_of(folder: Path, marks: Marks, segment: int = 24, tracks: int = 0) -> np.ndarray:
    path = folder / "sheet.jpg"
    with Video.open(make_clip(folder / "clip.mp4", 24, 2)) as video:
        source = Source(path, video.info, None, "clip.mp4", None, "model", 0.5, ("pothole",), {})
        with ContactSheetSink(path, source) as sheet:
            frames = list(video.frames())
            for first in range(0, len(frames), segment):
                part = folder / f"{first}.npz"
                with sheet.open_part(part) as writer:
                    for frame in frames[first : first + segment]:
                        writer.write(MarkedFrame(frame, found(marks.get(frame.index, []))))
                sheet.check_part(part, segment)
                sheet.append(part)
            sheet.finish(Summary(0, 0, len(frames), 0), [None] * tracks, video)
    return cv2.imread(str(path))[..., ::-1]


def numbers(sheet: np.ndarray) -> list[int]:
    """Frame numbers of the tiles, read above their captions."""
    return [
        number_of(sheet[top : top + TILE[0], left : left + TILE[1]])
        for top in range(GAP, sheet.shape[0] - ROW + GAP, ROW)
        for left in range(GAP, sheet.shape[1] - COLUMN + GAP, COLUMN)
    ]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("segment", [24, 7, 1])
def test_shows_each_pothole_where_it_was_seen_best(tmp_path, segment):
    marks = {2: [(1, 0.9)], 3: [(1, 0.95), (2, 0.7)], 9: [(2, 0.6)], 12: [(3, 0.8)], 13: [(3, 0.75)]}
    sheet = sheet_of(tmp_path, marks, segment)
    assert sheet.shape == (2 * ROW + GAP, 2 * COLUMN + GAP, 3)
    assert numbers(sheet)[:3] == [3, 3, 12]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("segment", [24, 7])
def test_shows_the_surest_where_there_are_many_and_says_so(tmp_path, segment):
    marks = {i: [(10 * i + k + 1, 0.5 + i / 100) for k in range(10)] for i in range(12)}
    sheet = sheet_of(tmp_path, marks, segment, tracks=120)
    assert sheet.shape == (CAPTION + 10 * ROW + GAP, 10 * COLUMN + GAP, 3)
    assert numbers(sheet[CAPTION:]) == [i for i in range(2, 12) for _ in range(10)]
    assert sheet[:CAPTION].max() > 200 and sheet[:CAPTION].min() < 60
    assert MAX_TILES == 100


@pytest.mark.parametrize("segment", [24, 7])
def test_one_tile_without_potholes(tmp_path, segment):
    sheet = sheet_of(tmp_path, {}, segment)
    assert sheet.shape == (ROW + GAP, COLUMN + GAP, 3)
    assert numbers(sheet) == [0]


@pytest.mark.usefixtures("undrawn")
def test_the_first_frame_makes_room_for_a_pothole(tmp_path):
    assert numbers(sheet_of(tmp_path, {20: [(1, 0.9)]}, 7)) == [20]


def test_each_tile_has_a_caption(tmp_path):
    caption = sheet_of(tmp_path, {7: [(1, 0.9)]})[GAP + TILE[0] : GAP + TILE[0] + CAPTION, GAP : GAP + 80]
    assert caption.max() > 200
    assert caption.min() < 60


def test_marks_are_as_large_in_the_tile_of_a_small_frame_as_in_that_of_a_large_one(tmp_path):
    coloured = []
    for height in (180, 1080):
        width = height * 16 // 9
        box = np.array([[width * 0.4, height * 0.5, width * 0.6, height * 0.7]], np.float32)
        left, top, right, bottom = pixel_boxes(box, (height, width))[0]
        hole = Detections(
            (height, width),
            box,
            np.array([0.9], np.float32),
            (np.zeros((bottom - top, right - left), bool),),
            np.array([1], np.int32),
        )
        clip = make_clip(
            tmp_path / f"{height}.mp4",
            1,
            size=(width, height),
            picture=lambda i, h=height, w=width: np.full((h, w, 3), 90, np.uint8),
        )
        path = tmp_path / f"{height}.jpg"
        with Video.open(clip) as video:
            source = Source(path, video.info, None, clip.name, None, "model", 0.5, ("pothole",), {})
            with ContactSheetSink(path, source) as sheet:
                with sheet.open_part(tmp_path / "part.npz") as writer:
                    writer.write(MarkedFrame(next(iter(video.frames())), hole))
                sheet.append(tmp_path / "part.npz")
                sheet.finish(Summary(1, 1, 1, 1), [None], video)
        tile = cv2.imread(str(path))[GAP : GAP + TILE[0], GAP : GAP + TILE[1], ::-1].astype(int)
        coloured.append(int((np.abs(tile - PALETTE[0]).sum(axis=2) < 60).sum()))
    assert coloured[0] > 300
    assert coloured[0] == pytest.approx(coloured[1], rel=0.1)

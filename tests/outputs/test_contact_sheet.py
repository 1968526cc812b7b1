from pathlib import Path

import cv2
import numpy as np
import pytest

from pothole.detections import Detections
from pothole.media import Video
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.contact_sheet import GAP, TILE_SIDE, ContactSheetSink
from pothole.outputs.sink import Source, Summary
from support.clips import make_clip, number_of

TILE = 360, 480  # of a 64x48 video


def found(score: float | None) -> Detections:
    """A pothole that is too small to hide the number of the frame."""
    if score is None:
        return Detections.empty((48, 64))
    box = np.array([[60, 44, 62, 46]], np.float32)
    return Detections((48, 64), box, np.array([score], np.float32), (np.zeros((2, 2), bool),))


def sheet_of(folder: Path, scores: dict[int, float], segment: int = 24) -> np.ndarray:
    path = folder / "sheet.jpg"
    with Video.open(make_clip(folder / "clip.mp4", 24, 2)) as video:
        source = Source(path, video.info, None, "clip.mp4", None, "model", 0.5, ("pothole",), {})
        with ContactSheetSink(path, source) as sheet:
            frames = list(video.frames())
            for first in range(0, len(frames), segment):
                part = folder / f"{first}.npz"
                with sheet.open_part(part) as writer:
                    for frame in frames[first : first + segment]:
                        marks = found(scores.get(frame.index))
                        # As it is: what is drawn would hide the number.
                        marked = MarkedFrame(frame, marks)
                        marked._is_drawn = True
                        writer.write(marked)
                sheet.check_part(part, segment)
                sheet.append(part)
            sheet.finish(Summary(0, 0, len(frames), 0), [], video)
    return cv2.imread(str(path))[..., ::-1]


def numbers(sheet: np.ndarray) -> list[int]:
    """Frame numbers of the tiles, read above their captions."""
    height, width = TILE
    return [
        number_of(sheet[top : top + height // 2, left : left + width])
        for top in range(GAP, sheet.shape[0] - height, height + GAP)
        for left in range(GAP, sheet.shape[1] - width, width + GAP)
    ]


def test_shows_the_surest_frame_of_each_second_in_order_of_time(tmp_path):
    sheet = sheet_of(tmp_path, {2: 0.9, 3: 0.8, 9: 0.6, 12: 0.7, 13: 0.95})
    assert sheet.shape == (2 * (TILE[0] + GAP) + GAP, 2 * (TILE[1] + GAP) + GAP, 3)
    assert numbers(sheet)[:3] == [2, 9, 13]


@pytest.mark.parametrize("segment", [24, 7, 1])
def test_shows_nine_at_most_and_the_surest_of_them(tmp_path, segment):
    scores = {i: 0.5 + i / 100 for i in range(0, 24, 2)}
    assert numbers(sheet_of(tmp_path, scores, segment)) == [6, 8, 10, 12, 14, 16, 18, 20, 22]


@pytest.mark.parametrize("segment", [24, 7])
def test_one_tile_without_potholes(tmp_path, segment):
    sheet = sheet_of(tmp_path, {}, segment)
    assert sheet.shape == (TILE[0] + 2 * GAP, TILE_SIDE + 2 * GAP, 3)
    assert numbers(sheet) == [0]


@pytest.mark.parametrize("corner", [np.s_[-GAP - 20 : -GAP - 2, GAP + 2 : GAP + 40]])
def test_each_tile_tells_its_time(tmp_path, corner):
    caption = sheet_of(tmp_path, {7: 0.9})[corner]
    assert caption.max() > 200
    assert caption.min() < 60

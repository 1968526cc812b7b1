import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pothole.outputs.contact_sheet import GAP, TILE_SIDE, write_contact_sheet
from support.clips import make_clip, number_of

TILE = 360, 480  # of a 64x48 video


def sheet_of(folder: Path, scores: dict[int, float], frames: int = 24, rate: int = 2) -> np.ndarray:
    video = make_clip(folder / "clip_output.mp4", frames, rate)
    records = [
        {"index": i, "time_s": i / rate, "potholes": [{"score": scores[i]}] if i in scores else []}
        for i in range(frames)
    ]
    report = folder / "clip_output.json"
    report.write_text(json.dumps({"frames": records}))
    write_contact_sheet(folder / "sheet.jpg", video, report)
    return cv2.imread(str(folder / "sheet.jpg"))[..., ::-1]


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


def test_shows_nine_at_most_and_the_surest_of_them(tmp_path):
    scores = {i: 0.5 + i / 100 for i in range(0, 24, 2)}
    assert numbers(sheet_of(tmp_path, scores)) == [6, 8, 10, 12, 14, 16, 18, 20, 22]


def test_one_tile_without_potholes(tmp_path):
    sheet = sheet_of(tmp_path, {})
    assert sheet.shape == (TILE[0] + 2 * GAP, TILE_SIDE + 2 * GAP, 3)
    assert numbers(sheet) == [0]


@pytest.mark.parametrize("corner", [np.s_[-GAP - 20 : -GAP - 2, GAP + 2 : GAP + 40]])
def test_each_tile_tells_its_time(tmp_path, corner):
    caption = sheet_of(tmp_path, {7: 0.9})[corner]
    assert caption.max() > 200
    assert caption.min() < 60

"""A little of `make media-matrix`, and what a browser plays of it."""

import pytest

from media_matrix import outcomes, played
from support.browser import CHROMIUM

CASES = [
    ("mp4", "aac", ["late", "joined"]),
    ("mov", "mp3 at 11 kHz", ["plain"]),
    ("mkv", "opus", ["late", "cut"]),
    ("avi", "pcm", ["plain"]),
    ("m2ts", "ac3", ["joined", "uneven"]),
    ("vob", "mp2", ["cut"]),
    ("wmv", "mp2", ["late", "joined"]),
    ("flv", "mp3", ["joined"]),
]


@pytest.mark.parametrize(("container", "codec", "troubles"), CASES)
def test_pictures_and_sound_of_troubled_videos_are_in_time(tmp_path, container, codec, troubles):
    found = list(outcomes(tmp_path, container, codec, troubles))
    assert [o.trouble for o in found] == troubles
    assert [o for o in found if not o.right] == []


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_plays_them_with_their_sound(tmp_path):
    found = [
        o
        for container, codec, _ in CASES[:4]
        for o in outcomes(tmp_path, container, codec, ["plain", "late"])
    ]
    assert len(found) == 7
    assert [o for o in played(tmp_path, found) if not o.right] == []

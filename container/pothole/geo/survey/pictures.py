"""A picture of a pothole is cut out of its video, where that is a file of this machine."""

from collections.abc import Sequence
from pathlib import Path

import av

from pothole.errors import PotholeError
from pothole.geo.survey.drives import Drive
from pothole.geo.survey.records import Pothole
from pothole.media import Video
from pothole.media.picture import encode_picture

SURROUNDINGS = 2.5  # a picture is at least so many times as wide and high as its pothole
MIN_PART = 0.25  # a picture is at least as high as this part of the frame
ASPECT = 4 / 3


def picture_of(pothole: Pothole, drives: Sequence[Drive]) -> bytes | None:
    """Return a JPEG of a pothole where it was seen best; None where its video is not to be had."""
    source = Path(drives[pothole.best.drive].source)
    if not source.is_file():
        return None
    frame = pothole.best.record["best_frame"]
    try:
        with Video.open(source) as video:
            shot = next(video.frames(first=frame), None)
            if shot is None:
                return None
            height, width = shot.size
            left, top, right, bottom = pothole.best.record["best_box"]
            tall = max(
                SURROUNDINGS * (bottom - top), SURROUNDINGS * (right - left) / ASPECT, MIN_PART * height
            )
            tall = min(tall, height)
            wide = min(tall * ASPECT, width)
            x = round(min(max((left + right - wide) / 2, 0), width - wide))
            y = round(min(max((top + bottom - tall) / 2, 0), height - tall))
            return encode_picture(shot.rgb()[y : y + round(tall), x : x + round(wide)], "image/jpeg")
    except (PotholeError, av.FFmpegError):
        return None

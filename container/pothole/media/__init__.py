"""Road videos come in and go out by PyAV: `Video` reads, `SegmentWriter` codes, `VideoWriter` joins.

Time stays rational: a frame has its `pts` in the video's `time_base`, and both go into the output unchanged,
but that the output starts at 0.
Pictures are upright, 4:2:0 in 8 bits; the output stores them so.
"""

from pothole.media.frame import Frame
from pothole.media.info import VideoInfo
from pothole.media.reader import Video
from pothole.media.segment import SegmentWriter
from pothole.media.writer import VideoWriter

__all__ = ["Frame", "SegmentWriter", "Video", "VideoInfo", "VideoWriter"]

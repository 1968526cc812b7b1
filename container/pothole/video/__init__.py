"""Road videos in and out, with PyAV: `Video` reads, `VideoWriter` writes.

Time stays rational: a frame has its `pts` in the video's `time_base`, and both go into the output unchanged,
but that the output starts at 0.
Pictures are upright RGB, `(height, width, 3)` uint8; the output stores them upright.
"""

from pothole.video.info import Frame, VideoInfo
from pothole.video.reader import Video
from pothole.video.writer import VideoWriter

__all__ = ["Frame", "Video", "VideoInfo", "VideoWriter"]

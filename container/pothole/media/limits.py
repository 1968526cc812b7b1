"""This module holds videos to the limits of the settings."""

from pothole.errors import TooLarge
from pothole.media import VideoInfo
from pothole.settings import Settings


def check_length(info: VideoInfo, settings: Settings) -> None:
    """Raise `TooLarge` when a video says that it is longer than the settings allow."""
    seconds = info.duration_s or 0.0
    if seconds > settings.max_video_seconds:
        raise TooLarge(
            f"The video is {seconds:.0f} s long, above the limit of {settings.max_video_seconds}.",
            hint="Cut the video, or raise MAX_VIDEO_SECONDS.",
        )
    check_frames(info, info.frame_count or 0, settings)


def check_time(seconds: float, settings: Settings) -> None:
    """Raise `TooLarge` when a job has worked for longer than the settings allow."""
    if seconds > settings.max_job_seconds:
        raise TooLarge(
            f"The video takes more than {settings.max_job_seconds} s of work.",
            hint="Scale the video down, cut it, or raise MAX_JOB_SECONDS.",
        )


def check_frames(info: VideoInfo, frames: int, settings: Settings) -> None:
    """Raise `TooLarge` when these are more frames, or have more pixels, than the settings allow."""
    if frames > settings.max_video_frames:
        raise TooLarge(
            f"The video has more than {settings.max_video_frames} frames.",
            hint="Cut the video, or raise MAX_VIDEO_FRAMES.",
        )
    if frames * info.width * info.height > settings.max_video_pixels:
        raise TooLarge(
            f"The video has more than {settings.max_video_pixels} pixels: {frames} frames and more of "
            f"{info.width}x{info.height}.",
            hint="Scale the video down, cut it, or raise MAX_VIDEO_PIXELS.",
        )

"""A command is told of videos, as files and as folders of them."""

from collections.abc import Sequence
from pathlib import Path

from pothole.errors import RequestError, SourceIsOutput
from pothole.files import VIDEO_SUFFIXES
from pothole.job import is_output
from pothole.storage import LocalStorage


def find_videos(paths: Sequence[Path], max_bytes: int) -> list[Path]:
    """Return the videos named, each once, and those that lie in the folders named, marked ones left out.

    Raises:
        RequestError: A folder holds no video.
        SourceIsOutput: A video is a marked one.
        PotholeError: A file cannot be opened or is too large; see `LocalStorage.fetch`.
    """
    videos: dict[Path, Path] = {}
    for path in paths:
        found = [path]
        if path.is_dir():
            found = sorted(
                p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and not is_output(p.name)
            )
            if not found:
                raise RequestError(f"{path} holds no video.", "Name a video, or a folder with videos in it.")
        elif is_output(path.name):
            raise SourceIsOutput(f"{path} already is marked.", "Name the video that it was made of.")
        for video in found:
            LocalStorage(video.parent, follow_links=True).fetch(video.name, video.parent, max_bytes)
            videos.setdefault(video.resolve(), video)
    return list(videos.values())

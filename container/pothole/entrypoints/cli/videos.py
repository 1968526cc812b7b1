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
        PotholeError: A video that was named cannot be opened or is too large; see `LocalStorage.fetch`.
    """
    videos: dict[Path, Path] = {}
    for path in paths:
        found = [path]
        if not path.is_dir():
            _check(path, max_bytes)
        else:
            found = sorted(
                p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and not is_output(p.name)
            )
            if not found:
                raise RequestError(f"{path} holds no video.", "Name a video, or a folder with videos in it.")
        for video in found:
            videos.setdefault(video.resolve(), video)
    return list(videos.values())


def _check(video: Path, max_bytes: int) -> None:
    """Check a video that was named; one in a folder that cannot be opened does not end the work on others."""
    if is_output(video.name):
        raise SourceIsOutput(f"{video} already is marked.", "Name the video that it was made of.")
    LocalStorage(video.parent, follow_links=True).fetch(video.name, video.parent, max_bytes)

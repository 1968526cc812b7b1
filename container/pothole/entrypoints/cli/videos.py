"""This module finds the files that a command is given, by their names, by patterns and in folders."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pothole.errors import RequestError, SourceIsOutput
from pothole.files import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_output
from pothole.storage import LocalStorage

PATTERN = set("*?[")  # a name with one of these may be a pattern


def expanded(paths: Iterable[Path]) -> list[Path]:
    """Return the paths; in place of a pattern such as `*.mp4` that no shell replaced, the files that fit."""
    found: list[Path] = []
    for path in paths:
        is_pattern = not PATTERN.isdisjoint(str(path)) and not path.exists()
        fitting = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))) if is_pattern else []
        found += fitting or [path]
    return found


def find_videos(paths: Sequence[Path], max_bytes: int, pictures: bool = False) -> list[Path]:
    """Return the videos named and those in the folders named, each once, without marked ones.

    Args:
        paths: Videos, folders and patterns.
        max_bytes: Largest size of a video.
        pictures: Whether a folder that holds pictures and no video is a source, too.

    Raises:
        RequestError: A folder holds no video.
        SourceIsOutput: There are marked videos alone.
        PotholeError: A video that was named cannot be opened or is too large; see `LocalStorage.fetch`.
    """
    videos: dict[Path, Path] = {}
    given = expanded(paths)
    unmarked = [path for path in given if path.is_dir() or not is_output(path.name)]
    for path in unmarked or given:
        found = [path]
        if not path.is_dir():
            _check(path, max_bytes)
        else:
            names = sorted(p for p in path.iterdir() if not is_output(p.name))
            found = [p for p in names if p.suffix.lower() in VIDEO_SUFFIXES]
            if not found and pictures and any(p.suffix.lower() in PICTURE_SUFFIXES for p in names):
                found = [path]
            if not found:
                what = "video, and no pictures" if pictures else "video"
                raise RequestError(f"{path} holds no {what}.", "Name a video, or a folder with videos in it.")
        for video in found:
            videos.setdefault(video.resolve(), video)
    return list(videos.values())


def _check(video: Path, max_bytes: int) -> None:
    """Check a video that was named; one in a folder that cannot be opened does not end the work on others."""
    if is_output(video.name):
        raise SourceIsOutput(f"{video} already is marked.", "Name the video that it was made of.")
    LocalStorage(video.parent, follow_links=True).fetch(video.name, video.parent, max_bytes)

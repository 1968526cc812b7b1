"""This module finds the files that a command is given, by their names, by patterns and in folders."""

import os
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
    videos: dict[str, Path] = {}
    given = expanded(paths)
    unmarked = [path for path in given if path.is_dir() or not is_output(path.name)]
    for path in unmarked or given:
        found = [path]
        if not path.is_dir():
            _check(path, max_bytes)
        else:
            found = _in_folder(path, pictures)
        for video in found:
            videos.setdefault(os.path.realpath(video), video)  # a link to one counts as that one
    return list(videos.values())


def _in_folder(folder: Path, pictures: bool) -> list[Path]:
    """Return the videos in a folder and in folders in it, or the folder itself if it holds pictures alone.

    Names that begin with a dot are other programs' files, such as macOS's `._clip.mp4`.

    Raises:
        RequestError: There are none.
    """
    inside = [
        path
        for path in sorted(folder.rglob("*"))
        if not any(part[0] == "." for part in path.relative_to(folder).parts)
    ]
    videos = [path for path in inside if path.suffix.lower() in VIDEO_SUFFIXES]
    found = [path for path in videos if not is_output(path.name)]
    if found:
        return found
    if pictures and any(p.parent == folder and p.suffix.lower() in PICTURE_SUFFIXES for p in inside):
        return [folder]
    if videos:
        raise RequestError(f"{folder} holds marked videos alone.", "Name the videos that they were made of.")
    what = "video, and no pictures" if pictures else "video"
    raise RequestError(f"{folder} holds no {what}.", "Name a video, or a folder with videos in it.")


def _check(video: Path, max_bytes: int) -> None:
    """Check a video that was named; one in a folder that cannot be opened does not end the work on others."""
    if is_output(video.name):
        raise SourceIsOutput(f"{video} already is marked.", "Name the video that it was made of.")
    if video.suffix.lower() in PICTURE_SUFFIXES:
        raise RequestError(
            f"{video} is a picture.",
            "Mark pictures with `pothole detect`, or name their folder to make a video of them.",
        )
    LocalStorage(video.parent, follow_links=True).fetch(video.name, video.parent, max_bytes)

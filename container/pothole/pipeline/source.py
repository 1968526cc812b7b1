"""The source of a job is brought to this machine, and with it where the camera was."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pothole.media import Video
from pothole.media.sequence import PictureSequence, join_pictures
from pothole.media.telemetry import GpsTrack
from pothole.media.telemetry.clock import clock_of_pictures, clock_of_video
from pothole.media.telemetry.reader import track_of_file, track_of_pictures, track_of_video
from pothole.settings import Settings
from pothole.storage import Storage, disk_space, fetch_pictures, stat_source
from pothole.storage.web import ReadOnly

# The disk has to hold the source and the marked video, which is about as large. It also holds three segments
# at most, and those of an earlier attempt, which are deleted as the marked video grows.
COPIES = 2
MAX_TRACK_BYTES = 2**28


@contextmanager
def work_folder(inputs: Storage, key: str, settings: Settings) -> Iterator[Path]:
    """Make a temporary folder with room for the source and the outputs."""
    needed = COPIES * stat_source(inputs, key).size
    with (
        disk_space(settings, needed),
        tempfile.TemporaryDirectory(prefix="job-", dir=settings.temp_dir) as folder,
    ):
        yield Path(folder)


def fetch_source(
    inputs: Storage, key: str, version: str | None, folder: Path, settings: Settings
) -> tuple[Path, PictureSequence]:
    """Fetch a source to this machine; a folder of pictures becomes a video file."""
    to, limit = folder / "source", settings.max_video_bytes
    if not key.endswith("/"):
        file = inputs.fetch(key, to, limit, version)
        return file, PictureSequence(note=inputs.remark if isinstance(inputs, ReadOnly) else "")
    file = folder / "pictures.mov"
    pictures = fetch_pictures(inputs, key, to, limit, version)
    return file, join_pictures(pictures, file, settings.max_image_pixels, settings.max_jpeg_scans)


def fetch_track(
    store: Storage,
    key: str | None,
    offset: float | None,
    video: Video,
    file: Path,
    pictures: PictureSequence,
    folder: Path,
) -> GpsTrack | None:
    """Return where the camera was, by the file that is named, else by the source; None when neither says.

    Args:
        store: Holds the file.
        key: Its key; None for none.
        offset: Seconds by which positions are moved to later; None for none.
        video: The video.
        file: Its file.
        pictures: Those that it was made of; none of a video.
        folder: Where a copy is written.

    Raises:
        PotholeError: The file is not there, or no track of the video's time.
    """
    if key is None and pictures.taken:
        return track_of_pictures(pictures, offset or 0.0)
    if key is None:
        return track_of_video(file, video.info, offset or 0.0)
    path = store.fetch(key, folder / "track", MAX_TRACK_BYTES)
    moments = pictures.moments
    own = (
        clock_of_pictures(moments, pictures.times) if moments else clock_of_video(file, video.info.duration_s)
    )
    return track_of_file(path, key.rpartition("/")[2], own, offset)

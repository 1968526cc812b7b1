"""Pictures in order, as of a survey camera, become a video file, so that they are worked on as any video.

JPEGs are put into it as they are, others are coded anew. Each is shown for as long as its EXIF says that the
next one came later; without that, and where the camera stood, for a limited time.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fractions import Fraction
from io import BytesIO
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import Any, Self

import av
from PIL import ExifTags
from PIL import Image as Pillow

from pothole.errors import InvalidMedia
from pothole.files import readable
from pothole.media.picture import (
    KNOWN_FORMATS,
    check_scans,
    encode_picture,
    is_whole_jpeg,
    picture_size,
    read_exif,
    read_picture,
)
from pothole.settings import Settings

UNTIMED_S = 1.0  # seconds for which a picture without a time is shown
MAX_SHOWN_S = 5.0  # seconds for which a picture is shown at most: the camera stood, or was switched off
QUALITY = 95  # JPEG quality of pictures that are coded anew
TIME_BASE = Fraction(1, 1000)
DEFAULT_RATE = 1
NAMED = 5  # pictures that a warning names at most


@dataclass(frozen=True)
class Taken:
    """`Taken` is when and where a picture was taken, as its EXIF says.

    Attributes:
        file: Its name.
        time: ISO 8601, with the offset from UTC where that is known; None when the time is not.
        lat: Degrees north (WGS 84) of the camera, None when not known.
        lon: Degrees east.
    """

    file: str
    time: str | None = None
    lat: float | None = None
    lon: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of the picture."""
        return asdict(self)


@dataclass(frozen=True)
class PictureSequence:
    """A sequence says what became of the pictures of a folder.

    Attributes:
        taken: What is known of each frame, in order.
        times: Seconds of the movie at which each is shown.
        left_out: Names of pictures that cannot be read.
        note: A sentence on times that were not used as they are, or what else was not; "" for none.
    """

    taken: tuple[Taken, ...] = ()
    times: tuple[float, ...] = ()
    left_out: tuple[str, ...] = ()
    note: str = ""

    @property
    def moments(self) -> tuple[float, ...]:
        """Return the POSIX seconds at which each was taken, local ones as if of UTC; () if one is unknown."""
        seconds = _seconds(self.taken)
        known = tuple(moment for moment in seconds if moment is not None)
        return known if len(known) == len(seconds) else ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return sentences on what was left out, and on times."""
        lost = f"Pictures that cannot be read were left out: {_listed(self.left_out)}."
        return tuple(filter(None, (lost if self.left_out else "", self.note)))


def join_pictures(
    pictures: Iterable[Path], target: Path, max_pixels: int, max_scans: int = Settings.max_jpeg_scans
) -> PictureSequence:
    """Write a video file that shows pictures one after the other.

    Args:
        pictures: In the order of their names; that of their times comes before, if all have one.
        target: The file, a QuickTime movie of JPEGs.
        max_pixels: Largest accepted `width * height` of a picture.
        max_scans: Most scans of a JPEG.

    Raises:
        InvalidMedia: None can be read.
        TooLarge: See `read_picture`.
    """
    known: dict[Path, Taken] = {}
    left_out: list[str] = []
    for path in pictures:
        try:
            known[path] = _taken(path)
        except InvalidMedia:
            left_out.append(readable(Path(path.name)))
    seconds = dict(zip(known, _seconds(known.values()), strict=True))
    order = [*known]
    if None not in seconds.values():
        order.sort(key=lambda path: seconds[path] or 0.0)
    durations = dict(zip(order, _durations([seconds[path] for path in order]), strict=True))
    shown, times = [], []
    with _Movie(target) as movie:
        for path in order:
            begin = movie.seconds
            try:
                movie.add(*_jpeg(path, max_pixels, max_scans), durations[path])
            except InvalidMedia:
                left_out.append(readable(Path(path.name)))
            else:
                shown.append(known[path])
                times.append(begin)
        if not shown:
            raise InvalidMedia("None of the pictures can be read.", KNOWN_FORMATS)
    return PictureSequence(tuple(shown), tuple(times), tuple(left_out), _note([*known.values()]))


class _Movie:
    """A movie holds JPEGs one after the other, as QuickTime does, in the size of the first."""

    def __init__(self, path: Path) -> None:
        self._container = av.open(path, "w", format="mov")
        self._stream = self._container.add_stream("mjpeg", rate=DEFAULT_RATE)
        self._stream.time_base, self._stream.pix_fmt = TIME_BASE, "yuvj420p"
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def seconds(self) -> float:
        """Return how long the movie is so far."""
        return float(self._end * TIME_BASE)

    def add(self, jpeg: bytes, size: tuple[int, int], duration: int) -> None:
        """Add a picture of a size `(width, height)`, shown for so many milliseconds."""
        if not self._end:
            self._stream.width, self._stream.height = size
        packet: av.Packet[Any] = av.Packet(jpeg)
        packet.stream, packet.time_base, packet.is_keyframe = self._stream, TIME_BASE, True
        packet.pts = packet.dts = self._end
        packet.duration = duration
        self._container.mux(packet)
        self._end += duration


def _jpeg(path: Path, max_pixels: int, max_scans: int) -> tuple[bytes, tuple[int, int]]:
    """Return a picture as JPEG, upright, and its size `(width, height)`."""
    name, data = readable(Path(path.name)), path.read_bytes()
    if is_whole_jpeg(data) and _is_plain(path, max_pixels):
        height, width = picture_size(path)
        check_scans(data, name, max_scans)
        return data, (width, height)
    image = read_picture(BytesIO(data), name, max_pixels, max_scans=max_scans)
    return encode_picture(image, "image/jpeg", QUALITY), (image.shape[1], image.shape[0])


def _is_plain(path: Path, max_pixels: int) -> bool:
    """Say whether a file is a JPEG that every decoder shows as it is."""
    try:
        with Pillow.open(path, formats=["JPEG"]) as picture:
            return (
                picture.mode in {"RGB", "L"}
                and read_exif(path).get(ExifTags.Base.Orientation, 1) == 1
                and picture.width * picture.height <= max_pixels
            )
    except Exception:  # as in `read_picture`, which tells what is wrong
        return False


def _durations(seconds: list[float | None]) -> list[int]:
    """Return for how many milliseconds each picture is shown.

    Clocks of cameras often tell whole seconds: pictures of one second share the time to the next.
    """
    times = [s for s in seconds if s is not None]
    if len(times) < len(seconds) or len(times) < 2:
        return [round(UNTIMED_S * 1000)] * len(seconds)
    groups = [(time, len([*same])) for time, same in groupby(times)]
    gaps = [min(later - time, MAX_SHOWN_S) / count for (time, count), (later, _) in pairwise(groups)]
    gaps.append(median(gaps) if gaps else UNTIMED_S)
    shown = [max(1, round(1000 * gap)) for gap in gaps]
    return [each for (_, count), each in zip(groups, shown, strict=True) for _ in range(count)]


def _seconds(taken: Iterable[Taken]) -> list[float | None]:
    """Return when pictures were taken, in seconds; None where that is not known.

    Where the offset from UTC of one is not known, those of the others are no help: all times are local ones.
    """
    moments = [datetime.fromisoformat(each.time) if each.time else None for each in taken]
    if any(moment and moment.tzinfo is None for moment in moments):
        moments = [moment and moment.replace(tzinfo=UTC) for moment in moments]
    return [moment.timestamp() if moment else None for moment in moments]


def _note(taken: Sequence[Taken]) -> str:
    """Return a sentence on times that were not used as they are; "" for none."""
    untimed = [each.file for each in taken if each.time is None]
    if untimed and len(untimed) < len(taken):
        return (
            f"Pictures without a time in their EXIF: {_listed(untimed)}. All are shown in the order of their"
            " names, for a second each."
        )
    with_offset = sum(datetime.fromisoformat(each.time).tzinfo is not None for each in taken if each.time)
    if not untimed and 0 < with_offset < len(taken):
        return "Some pictures' times have no offset from UTC: all were taken for times of one time zone."
    return ""


def _listed(names: Sequence[str]) -> str:
    listed, more = ", ".join(names[:NAMED]), len(names) - NAMED
    return f"{listed} and {more} more" if more > 0 else listed


def _taken(path: Path) -> Taken:
    """Read a picture's EXIF, without what cannot be read in it."""
    exif = read_exif(path)
    lat, lon = _position(exif)
    return Taken(readable(Path(path.name)), _time(exif), lat, lon)


def _time(exif: Pillow.Exif) -> str | None:
    with suppress(Exception):
        details = exif.get_ifd(ExifTags.IFD.Exif)
        said = details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
        fraction = str(details.get(ExifTags.Base.SubsecTimeOriginal, "")).strip("\0 ")
        offset = str(details.get(ExifTags.Base.OffsetTimeOriginal, "")).strip("\0 ")
        moment = datetime.strptime(str(said).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        if fraction.isdecimal():
            moment = moment.replace(microsecond=int(f"{fraction:0<6}"[:6]))
        return datetime.fromisoformat(f"{moment.isoformat()}{offset}").isoformat()
    return None


def _position(exif: Pillow.Exif) -> tuple[float | None, float | None]:
    with suppress(Exception):
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        lat = _degrees(gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLatitudeRef] == "S")
        lon = _degrees(gps[ExifTags.GPS.GPSLongitude], gps[ExifTags.GPS.GPSLongitudeRef] == "W")
        if abs(lat) <= 90 and abs(lon) <= 180:
            return lat, lon
    return None, None


def _degrees(parts: Any, is_negative: bool) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = round(degrees + minutes / 60 + seconds / 3600, 7)
    return -value if is_negative else value

"""This module finds the positions of a video: those in the video itself, or those of a file beside it."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from av.stream import Discard

from pothole.errors import InvalidMedia
from pothole.media.container import open_container, read_packets
from pothole.media.info import VideoInfo
from pothole.media.sequence import PictureSequence
from pothole.media.telemetry.camm import is_camm, read_packet
from pothole.media.telemetry.clock import Clock, place_in_video
from pothole.media.telemetry.fixes import Fix, fault
from pothole.media.telemetry.gpmf import read_payload
from pothole.media.telemetry.track import GpsTrack

KNOWN = "Expected GPX, NMEA 0183, or a CSV with the columns lat, lon and time."
HEAD_BYTES = 4096
MAX_FIXES = 2_000_000  # of a file; 6 hours of a camera's 18 a second are 400,000
PLAUSIBLE = 4.0e9  # POSIX seconds and seconds of a video lie below


def track_of_video(path: Path, info: VideoInfo, offset: float = 0.0) -> GpsTrack | None:
    """Return the positions that a camera wrote into a video, on the video's clock; None where it has none.

    Args:
        path: The video.
        info: What it says about itself.
        offset: Seconds by which the positions are moved to later.
    """
    for source, read in READERS.items():
        fixes = [(fix.time, fix) for fix in read(path, info) if fix.time is not None]
        track = GpsTrack.of(fixes, source, "the video's own", offset)
        if len(track):
            return track
    return None


def track_of_file(path: Path, name: str, own: Clock, offset: float | None) -> GpsTrack:
    """Return the positions of a file, on the clock of its video.

    Args:
        path: The file: GPX, NMEA 0183 or CSV.
        name: What people call it.
        own: The video's clock.
        offset: Seconds by which the positions are moved to later; None for none.

    Raises:
        InvalidMedia: It is no track, has no position that can be used, or none of the video's time.
    """
    source, fixes = _read(path, name)
    timed = [fix for fix in fixes if fault(fix) is None and _is_timed(fix)]
    placed, clock = place_in_video(timed, name, own, offset)
    faulty = [(0.0, fix) for fix in fixes if fault(fix) is not None]  # whenever they were, they are counted
    track = GpsTrack.of(faulty + placed, source, clock, offset or 0.0)
    if not len(track):
        raise InvalidMedia(
            f"{name} has no position that can be used: {_reasons(track)}.",
            "Send a track of the time of the video, or leave it out.",
        )
    return track


def track_of_pictures(pictures: PictureSequence, offset: float = 0.0) -> GpsTrack | None:
    """Return the positions in the EXIF of pictures; None where there are none, or times are not known.

    Args:
        pictures: In the order in which they are shown.
        offset: Seconds by which the positions are moved to later.
    """
    fixes = [
        (time, Fix(time, None, taken.lat, taken.lon))
        for taken, time in zip(pictures.taken, pictures.times, strict=True)
        if taken.lat is not None and taken.lon is not None
    ]
    return GpsTrack.of(fixes, "exif", "the pictures' own", offset) if fixes and pictures.moments else None


def _is_timed(fix: Fix) -> bool:
    given = [time for time in (fix.time, fix.utc) if time is not None]
    return bool(given) and all(math.isfinite(time) and abs(time) < PLAUSIBLE for time in given)


def _reasons(track: GpsTrack) -> str:
    return ", ".join(f"{count} × {reason}" for reason, count in track.dropped.items()) or "it has none"


def _gpmf(path: Path, info: VideoInfo) -> Iterator[Fix]:
    """Yield the fixes of all tracks of GPMF."""
    for index in info.scan.telemetry:
        for data, start, duration in _packets(path, info, index):
            yield from read_payload(data, start, duration)


def _camm(path: Path, info: VideoInfo) -> Iterator[Fix]:
    """Yield the fixes of all tracks of CAMM."""
    with open_container(path, info.scan.thorough) as container:
        tracks = [stream.index for stream in container.streams if stream.type == "data"]
    for index in tracks:
        if index in info.scan.telemetry:
            continue
        packets = _packets(path, info, index)
        for number, (data, start, _) in enumerate(packets):
            if number == 0 and not is_camm(data):
                break
            if (fix := read_packet(data, start)) is not None:
                yield fix


def _blackvue(path: Path, info: VideoInfo) -> Iterator[Fix]:
    from pothole.media.telemetry.boxes import blackvue_fixes  # noqa: PLC0415  # as in `_read`

    return blackvue_fixes(path)


def _novatek(path: Path, info: VideoInfo) -> Iterator[Fix]:
    from pothole.media.telemetry.boxes import novatek_fixes  # noqa: PLC0415  # as in `_read`

    return novatek_fixes(path)


READERS: dict[str, Callable[[Path, VideoInfo], Iterator[Fix]]] = {
    "gpmf": _gpmf,
    "camm": _camm,
    "blackvue": _blackvue,
    "novatek": _novatek,
}
"""What reads the positions in a video, in the order in which they are tried."""


def _packets(path: Path, info: VideoInfo, index: int) -> Iterator[tuple[bytes, float, float]]:
    """Yield the packets of a track, each with the second at which it begins, and how long it is."""
    begin = float(info.start * info.time_base)
    with open_container(path, info.scan.thorough) as container:
        for stream in container.streams:
            stream.discard = Discard.default if stream.index == index else Discard.all
        for packet in read_packets(container, container.streams[index]):
            if packet.pts is None or packet.stream_index != index or not packet.time_base:
                continue
            start = float(packet.pts * packet.time_base) - begin
            yield bytes(packet), start, float((packet.duration or 0) * packet.time_base)


def _read(path: Path, name: str) -> tuple[str, list[Fix]]:
    """Return the kind of a file and its fixes."""
    # The libraries that read them take time to load, and are needed for few videos.
    from pothole.media.telemetry.gpx import read_gpx  # noqa: PLC0415
    from pothole.media.telemetry.nmea import read_nmea  # noqa: PLC0415
    from pothole.media.telemetry.table import read_table  # noqa: PLC0415

    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if text.startswith(b"<") or head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        kind, reads = "gpx", read_gpx
    elif b"RMC," in head or b"GGA," in head:
        kind, reads = "nmea", read_nmea
    elif b"\0" not in head and text:
        kind, reads = "csv", read_table
    else:
        raise InvalidMedia(f"{name} is no track of positions.", KNOWN)
    fixes: list[Fix] = []
    try:
        for fix in reads(path):
            fixes.append(fix)
            if len(fixes) > MAX_FIXES:
                raise InvalidMedia(
                    f"{name} has more than {MAX_FIXES} positions.", "Cut it to the video's time."
                )
    except InvalidMedia as exc:
        raise InvalidMedia(exc.message.replace(path.name, name), exc.hint) from exc
    return kind, fixes

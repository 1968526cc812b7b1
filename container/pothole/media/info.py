"""This module reads what a video says about itself."""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.reformatter import ColorRange

from pothole.media.container import ends_early
from pothole.media.frame import PIXEL_FORMAT, Orientation
from pothole.media.scan import DEFAULT_RATE, Scan
from pothole.media.timeline import RUN_IN_S
from pothole.media.tone_mapping import is_hdr, shown_colors

DURATION_SLACK_S = 1.0  # a declared duration may be off by this: it is rounded, or that of the audio
ESTIMATED = {"mpegts", "mpeg"}  # formats that declare no length: FFmpeg guesses it


@dataclass(frozen=True)
class VideoInfo:
    """A video info is what a video says about itself.

    Attributes:
        width: Pixels, upright.
        height: Pixels, upright.
        rate: Average frames per second.
        time_base: Seconds per unit of `pts`.
        start: `pts` that is 0 in the output: the first frame's, or the audio's where that begins earlier.
        delay: Seconds of the output at which the first frame is shown.
        duration_s: Length of the pictures in seconds, as declared where the file does so.
        declared_s: The length that the file itself says its pictures have, None when it does not.
        is_cut: Whether the file says that it is longer than all that is in it, and not how long its pictures
            are.
        frame_count: Declared number of frames, None when the file has no exact one.
        rotation: Degrees counter-clockwise by which the stored pictures are turned.
        codec: Name of the codec, e.g. `h264`.
        codec_tag: Its four characters in the file, e.g. `avc1`; made of its name where the file has none.
        pixel_format: FFmpeg's name, e.g. `yuv420p10le`.
        sample_aspect_ratio: Width of a pixel to its height, upright.
        color_matrix: YUV matrix of the frames, H.273 code point; as players assume it when the file does
            not say.
        color_primaries: H.273 code point, of the frames as well.
        color_transfer: H.273 code point, of the frames as well.
        is_as_coded: Whether frames are the coded pictures: neither turned nor of other colours.
        scan: All else that is known of the file.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    start: int
    delay: Fraction
    duration_s: float
    declared_s: float | None
    is_cut: bool
    frame_count: int | None
    rotation: int
    codec: str
    codec_tag: str
    pixel_format: str
    sample_aspect_ratio: Fraction
    color_matrix: int
    color_primaries: int
    color_transfer: int
    is_as_coded: bool
    scan: Scan = field(repr=False, compare=False)

    def length_of(self, time: Fraction) -> Fraction:
        """Return how many seconds the frame is shown that begins at `time` of the output."""
        track, start = self.scan.timeline.tracks[self.scan.stream], self.start * self.time_base
        is_last = abs(track.last - start - time) < self.time_base
        return track.end - track.last if is_last else 1 / self.rate

    def frames_in(self, memory: int, most: int) -> int:
        """Return how many frames fit into so many bytes, at least 2 and at most `most`."""
        return max(2, min(memory * 2 // (3 * self.width * self.height), most))

    @classmethod
    def of(
        cls, container: InputContainer, stream: av.VideoStream, first: av.VideoFrame, scan: Scan
    ) -> "VideoInfo":
        """Describe an open video by its headers, its first decoded frame and what else is known."""
        orientation = Orientation.of(first)
        width, height = first.width, first.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if orientation.transposed:
            width, height, aspect = height, width, 1 / aspect
        assert stream.time_base is not None
        delay = _delay(container, first.pts or 0, stream.time_base, scan)
        duration, declared, is_cut = _length(container, stream, scan)
        matrix, primaries, transfer = shown_colors(first)
        return cls(
            width=width,
            height=height,
            rate=stream.average_rate or stream.guessed_rate or DEFAULT_RATE,
            time_base=stream.time_base,
            start=(first.pts or 0) - round(delay / stream.time_base),
            delay=delay,
            duration_s=duration,
            declared_s=declared,
            is_cut=is_cut,
            frame_count=_frame_count(container, stream),
            rotation=orientation.rotation,
            codec=stream.codec_context.name,
            codec_tag=_tag(stream),
            pixel_format=first.format.name,
            sample_aspect_ratio=aspect,
            color_matrix=matrix,
            color_primaries=primaries,
            color_transfer=transfer,
            is_as_coded=_is_as_coded(first, orientation),
            scan=scan,
        )


def _is_as_coded(first: av.VideoFrame, orientation: Orientation) -> bool:
    changes = is_hdr(first) or first.color_range == ColorRange.JPEG or first.interlaced_frame
    return orientation == Orientation() and first.format.name == PIXEL_FORMAT and not changes


def _tag(stream: av.VideoStream) -> str:
    """Return the four characters by which a file or a library calls the codec."""
    tag = stream.codec_context.codec_tag
    return tag if tag.isprintable() and len(tag) == 4 else f"{stream.codec_context.name:<4.4}"


def _delay(container: InputContainer, first: int, unit: Fraction, scan: Scan) -> Fraction:
    """Return by how many seconds the pictures begin after the sound, so that all of it is heard."""
    begins = [scan.timeline.tracks[sound.index].begin for sound in scan.sounds]
    begin = min(begins, default=first * unit)
    if "mp4" in container.format.name.split(","):
        begin = max(Fraction(0), begin)  # what is before is not to be heard
    delay = first * unit - begin
    return round(delay / unit) * unit if delay > RUN_IN_S else Fraction(0)


def _length(
    container: InputContainer, stream: av.VideoStream, scan: Scan
) -> tuple[float, float | None, bool]:
    """Return `duration_s`, `declared_s` and `is_cut`."""
    track, unit = scan.timeline.tracks[scan.stream], stream.time_base
    found = float(track.end - track.begin)
    if _frame_count(container, stream) is None and ends_early(Path(container.name), container.format.name):
        return found, None, True
    if scan.timeline.mended or not unit or container.format.name in ESTIMATED:
        return found, None, False
    if stream.duration and container.format.name != "asf":  # ASF gives each stream the duration of the file
        declared = float(stream.duration * unit)
    elif tag := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", "")):
        # MKV and WebM give the duration of a track as "00:00:12.345000000".
        hours, minutes, seconds = map(Fraction, tag.groups())
        declared = float(3600 * hours + 60 * minutes + seconds - track.begin)
    elif container.duration:
        # This is the duration of all tracks, to the end of the longest.
        end = max(track.end for track in scan.timeline.tracks.values())
        declared = float(Fraction(container.duration, av.time_base) - track.begin)
        cut = declared > float(end - track.begin) + DURATION_SLACK_S
        if len(scan.timeline.tracks) > 1 or not cut:
            return (declared if cut else found), None, cut
    else:
        return found, None, False
    return (declared if declared > found - DURATION_SLACK_S else found), declared, False


def _frame_count(container: InputContainer, stream: av.VideoStream) -> int | None:
    # Only MP4 and MOV have an exact count, some frames of which their edit list may hide.
    if not stream.frames or "mp4" not in container.format.name.split(","):
        return None
    return sum(not entry.is_discard for entry in stream.index_entries)

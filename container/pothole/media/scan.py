"""A scan looks at all packets of a file once, before a picture is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.audio import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video import VideoStream

from pothole.errors import InvalidMedia
from pothole.media.container import (
    DAMAGE,
    check_encryption,
    encrypted,
    no_pictures,
    open_container,
    picture_streams,
    read_packets,
)
from pothole.media.sound import Changes, Sound, plan
from pothole.media.stamps import Stamps
from pothole.media.timeline import Timeline

DEFAULT_RATE = Fraction(25)
GPMF = b"DEVC"  # each packet of GPMF begins with this
# Formats with one stamp a packet: FFmpeg guesses when a picture is shown, and often wrong.
ONE_STAMP = {"avi", "asf"}
# Packets of each track with which is tried whether sound can be decoded and whether pictures are reordered.
PROBED = 48


@dataclass(frozen=True)
class Scan:
    """A scan holds what is known of a file.

    Attributes:
        timeline: When each packet is due.
        stream: Index of the stream whose pictures are marked.
        sounds: The audio tracks of the output.
        telemetry: Indices of its tracks of a camera's measurements (GPMF).
        remarks: Sentences on what of the file is left out.
        thorough: How the file is to be opened, see `open_container`.
    """

    timeline: Timeline
    stream: int
    sounds: tuple[Sound, ...]
    telemetry: tuple[int, ...]
    remarks: tuple[str, ...]
    thorough: bool


@dataclass
class _Seen:
    """`_Seen` collects what the scan learns from the packets."""

    stamps: dict[int, Stamps]
    samples: dict[int, list[Packet[AudioStream]]] = field(default_factory=dict)
    one_stamp: dict[int, list[Packet[VideoStream]]] = field(default_factory=dict)
    telemetry: set[int] = field(default_factory=set)
    changes: dict[int, Changes] = field(default_factory=dict)
    encrypted: bool = False
    has_new_streams: bool = False

    def note_new_streams(self) -> None:
        """Note streams that have appeared since the file was opened."""
        self.has_new_streams = True


def scan(path: Path, stream: int | None = None) -> Scan:
    """Look through a file.

    Args:
        path: The file.
        stream: Which of its video streams is marked, counted from 0; the first that has pictures when None.

    Raises:
        InvalidMedia: The file has no such pictures, is encrypted, or cannot be read.
    """
    for thorough in (False, True):
        with open_container(path, thorough) as container:
            check_encryption(path, container)
            seen = _look(container)
            if seen.encrypted:
                raise encrypted(path)
            if thorough or not _begins_late(container, seen):
                return _result(path, container, seen, stream, thorough)
    raise AssertionError("the loop above returns")


def _look(container: InputContainer) -> _Seen:
    one = container.format.name in ONE_STAMP
    seen = _Seen({s.index: _stamps(s, s.time_base, one) for s in container.streams if s.time_base})
    audio = container.streams.audio
    seen.one_stamp = {s.index: [] for s in container.streams.video if _may_reorder(s)}
    seen.changes = {s.index: Changes(s.codec_context.name if s.codec_context else "") for s in audio}
    for place, packet in enumerate(read_packets(container, on_new=seen.note_new_streams)):
        index = packet.stream_index
        if index not in seen.stamps:
            continue
        seen.stamps[index].add(place, packet)
        if index in seen.one_stamp:
            if packet.pts != packet.dts:
                del seen.one_stamp[index]
            elif len(seen.one_stamp[index]) < PROBED:
                seen.one_stamp[index].append(packet)
        if seen.stamps[index].kind == "data" and bytes(memoryview(packet)[:4]) == GPMF:
            seen.telemetry.add(index)
        if index in seen.changes:
            seen.changes[index].look(packet)
            sample = seen.samples.setdefault(index, [])
            if len(sample) < PROBED:
                sample.append(packet)
        if packet.has_sidedata("encryption_info"):
            seen.encrypted = True
            break
    for index, pictures in seen.one_stamp.items():
        if _reordered(pictures):
            seen.stamps[index].distrust_shown()
    return seen


def _may_reorder(stream: VideoStream) -> bool:
    return bool(stream.time_base and stream.codec_context and stream.codec_context.has_b_frames)


def _reordered(packets: Iterable[Packet[VideoStream]]) -> bool:
    """Say whether pictures come out of the decoder in another order than that of their stamps."""
    last = None
    for packet in packets:
        try:
            frames = packet.decode()
        except DAMAGE:
            continue
        for frame in frames:
            if last is not None and frame.pts is not None and frame.pts < last:
                return True
            last = frame.pts
    return False


def _stamps(stream: Stream, unit: Fraction, by_decoding: bool) -> Stamps:
    if isinstance(stream, av.VideoStream):
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        step = max(1, round(1 / (rate * unit)))
        return Stamps("pictures", unit, step, by_decoding)
    if isinstance(stream, AudioStream) and stream.codec_context and stream.codec_context.sample_rate:
        samples = stream.codec_context.frame_size or 1024
        step = max(1, round(Fraction(samples, stream.codec_context.sample_rate) / unit))
        return Stamps("sound", unit, step)
    return Stamps("data", unit, 1)


def _begins_late(container: InputContainer, seen: _Seen) -> bool:
    """Say whether FFmpeg missed streams, or did not recognise them, at the file's beginning."""
    unknown = [
        stream.index
        for stream in container.streams.audio
        if stream.codec_context and not stream.codec_context.sample_rate
    ]
    return seen.has_new_streams or any(seen.stamps[index].places for index in unknown if index in seen.stamps)


def _result(path: Path, container: InputContainer, seen: _Seen, stream: int | None, thorough: bool) -> Scan:
    videos = picture_streams(container)
    if not videos:
        raise no_pictures(path, container)
    if stream is not None and not 0 <= stream < len(videos):
        raise InvalidMedia(
            f"{path.name} has no video stream {stream}.", f"It has {len(videos)}, counted from 0."
        )
    filled = [s for s in (videos if stream is None else [videos[stream]]) if seen.stamps[s.index].places]
    if not filled:
        raise InvalidMedia(f"{path.name} has no readable frame.", "It may be cut short or damaged.")
    chosen = filled[0]
    other = {s.index for s in container.streams.video if s is not chosen}
    stamps = {index: stamps for index, stamps in seen.stamps.items() if index not in other}
    movie = "mp4" in container.format.name.split(",")
    timeline = Timeline.of(stamps, holds=movie)
    sounds, lost = plan(container, timeline, chosen.index, seen.samples, seen.changes)
    telemetry = tuple(sorted(seen.telemetry)) if movie else ()
    if seen.has_new_streams:
        lost.append("A stream that begins in the middle of the file could not be read and was left out.")
    return Scan(timeline, chosen.index, sounds, telemetry, (*_others(videos, chosen), *lost), thorough)


def _others(videos: list[av.VideoStream], chosen: av.VideoStream) -> list[str]:
    left = [
        f"{number} ({s.codec_context.width}x{s.codec_context.height})"
        for number, s in enumerate(videos)
        if s is not chosen
    ]
    if not left:
        return []
    number = videos.index(chosen)
    return [
        f"The file has {len(videos)} video streams: {number} "
        f"({chosen.codec_context.width}x{chosen.codec_context.height}) was marked, not {' or '.join(left)}."
    ]

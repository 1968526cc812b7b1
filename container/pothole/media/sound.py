"""This module decides for each audio track of a file whether it is copied, coded anew as AAC, or dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import av
from av.audio import AudioStream
from av.container import InputContainer
from av.packet import Packet

from pothole.media.container import DAMAGE
from pothole.media.stamps import MAX_PAUSE_S
from pothole.media.timeline import Timeline

# Browsers play these from an MP4.
COPIED_CODECS = {"aac", "flac", "mp3", "opus"}
# These cannot be copied without the set-up in the source's header, which damage may have taken.
SET_UP_IN_HEADER = {"flac", "opus"}
STRAY = 50  # a track with so many times fewer packets than another was made by damage alone


@dataclass(frozen=True)
class Sound:
    """A sound is one audio track of the output.

    Attributes:
        index: Of its stream in the source.
        copied: As it is; else it is coded anew.
    """

    index: int
    copied: bool


class Changes:
    """`Changes` notices when a stream's rate or channels change on the way, which a copy could not follow.

    Args:
        codec: Name of its codec.
    """

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._first: bytes | None = None
        self._other: bytes | None = None
        self.found = False

    def look(self, packet: Packet[AudioStream]) -> None:
        """Look at the next packet."""
        if self._codec not in {"aac", "mp3"} or self.found:
            return
        if packet.has_sidedata("new_extradata"):
            shape = bytes(packet.get_sidedata("new_extradata"))
        else:
            shape = self._shape(bytes(memoryview(packet)[:4]))
        if not shape or shape == self._first:
            self._other = None
        elif self._first is None:
            self._first = shape
        else:
            # One header alone that differs is a damaged one.
            self.found = shape == self._other
            self._other = shape

    def _shape(self, head: bytes) -> bytes:
        """Return the part of an ADTS or MP3 header that says rate and channels; nothing for other bytes."""
        if len(head) < 4 or head[0] != 0xFF:
            return b""
        if self._codec == "aac" and head[1] & 0xF6 == 0xF0:
            return bytes([head[2] & 0xFD, head[3] & 0xC0])
        if self._codec == "mp3" and head[1] & 0xE6 == 0xE2:
            return bytes([head[1] & 0x18, head[2] & 0x0C, head[3] >= 0xC0])
        return b""


def plan(
    container: InputContainer,
    timeline: Timeline,
    pictures: int,
    samples: Mapping[int, Sequence[Packet[AudioStream]]],
    changes: Mapping[int, Changes],
) -> tuple[tuple[Sound, ...], list[str]]:
    """Decide which tracks go into the output, and how.

    Args:
        container: The source.
        timeline: Its.
        pictures: Index of the stream of pictures; sound that begins long after their end is damage.
        samples: The first packets of each track, which are used up.
        changes: Of each track.

    Returns:
        The tracks, and a sentence when sound is lost.
    """
    sounds, lost = [], []
    most = max((timeline.tracks[index].packets for index in samples if index in timeline.tracks), default=0)
    latest = timeline.tracks[pictures].end + MAX_PAUSE_S
    for stream in container.streams.audio:
        packets = samples.get(stream.index)
        track = timeline.tracks.get(stream.index)
        if not packets or track is None or track.packets * STRAY < most or track.begin > latest:
            continue
        name = stream.codec_context.name if stream.codec_context else "an unknown codec"
        if stream.codec_context and _decodes(stream, packets):
            whole = track.steady and not changes[stream.index].found
            sounds.append(Sound(stream.index, copied=whole and _is_playable(stream)))
        else:
            lost.append(name)
    # Phones add tracks that no decoder knows to one that all know.
    sentence = f"The sound ({', '.join(lost)}) cannot be decoded and was left out."
    return tuple(sounds), [sentence] if lost and not sounds else []


def _is_playable(stream: AudioStream) -> bool:
    """Say whether browsers play the track from an MP4, and an MP4 takes it."""
    codec, context = stream.codec_context.codec.canonical_name, stream.codec_context
    if codec not in COPIED_CODECS or (codec in SET_UP_IN_HEADER and not context.extradata):
        return False
    try:  # FFmpeg refuses MP3 of less than 16 kHz, among others
        with av.open(BytesIO(), "w", format="mp4") as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except DAMAGE:
        return False
    return True


def _decodes(stream: AudioStream, packets: Sequence[Packet[AudioStream]]) -> bool:
    for packet in packets:
        with suppress(*DAMAGE):
            if stream.decode(packet):
                return True
    return False

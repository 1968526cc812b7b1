"""The audio of the source, carried over to the output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Final, Protocol

import av
from av.audio import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard

# What players take from an MP4. Everything else, uncompressed audio for one, is coded anew.
COPIED_CODECS = {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"}
# These cannot be copied without the set-up in the source's header, which damage may have taken.
SET_UP_IN_HEADER = {"alac", "flac", "opus"}
ENCODER: Final = "aac"
ENCODER_RATE = 48_000


class _Track(Protocol):
    """One audio track of the output."""

    def feed(self, packet: Packet[AudioStream]) -> list[Packet[AudioStream]]:
        """Take a packet of the source, return those of the output."""

    def finish(self) -> list[Packet[AudioStream]]:
        """Return the last packets of the output."""


class AudioCopier:
    """Copies the audio tracks in step with the pictures, so that neither waits in memory for the other.

    Args:
        source: Where the audio comes from; is read front to back.
        output: Where it goes, before anything is written to it.
        start: Seconds of the source's clock that are 0 in the output.
        until: Seconds of the output at which the audio is cut.
    """

    def __init__(
        self, source: InputContainer, output: OutputContainer, start: Fraction, until: Fraction | None
    ) -> None:
        self._source = source
        self._output = output
        self._start = start
        self._until = until
        for stream in source.streams:
            stream.discard = Discard.default if stream.type == "audio" else Discard.all
        self._tracks = {stream.index: _track(stream, output) for stream in audio_streams(source)}
        self._written: dict[int, int] = {}  # the last time stamp of each track of the output
        self._packets = self._read()
        self._next = next(self._packets, None)

    def copy_until(self, time: Fraction | None) -> None:
        """Write the packets up to a time of the output in seconds; all that are left when None."""
        while self._next and (time is None or _time(self._next) <= time):
            self._write(self._tracks[self._next.stream_index].feed(self._next))
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write what is left."""
        self.copy_until(None)
        for track in self._tracks.values():
            self._write(track.finish())

    def _write(self, packets: list[Packet[AudioStream]]) -> None:
        for packet in packets:
            # An MP4 refuses time that does not go on, as in joined or damaged files, and may do so as late as
            # with a later picture.
            last = self._written.get(packet.stream.index)
            if packet.dts is None or (last is not None and packet.dts <= last):
                continue
            self._written[packet.stream.index] = packet.dts
            # A damaged packet is left out; the pictures are what counts.
            with suppress(av.error.InvalidDataError, av.error.PatchWelcomeError):
                self._output.mux(packet)

    def _read(self) -> Iterator[Packet[AudioStream]]:
        unfinished = set(self._tracks)
        packets = self._source.demux(audio_streams(self._source))
        while unfinished:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return
            if packet.pts is None or packet.dts is None or packet.is_corrupt:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if self._until is not None and _time(packet) >= self._until:
                unfinished.discard(packet.stream_index)
            elif packet.stream_index in unfinished:
                yield packet


class _CopiedTrack:
    def __init__(self, stream: AudioStream, output: OutputContainer) -> None:
        self._stream = output.add_stream_from_template(stream)

    def feed(self, packet: Packet[AudioStream]) -> list[Packet[AudioStream]]:
        packet.stream = self._stream
        return [packet]

    def finish(self) -> list[Packet[AudioStream]]:
        return []


class _EncodedTrack:
    def __init__(self, stream: AudioStream, output: OutputContainer) -> None:
        self._source = stream
        self._stream = output.add_stream(ENCODER, rate=ENCODER_RATE)
        self._stream.codec_context.layout = "mono" if stream.codec_context.channels == 1 else "stereo"

    def feed(self, packet: Packet[AudioStream] | None) -> list[Packet[AudioStream]]:
        try:
            frames = self._source.decode(packet)
            return [coded for frame in frames for coded in self._stream.encode(frame)]
        except (av.FFmpegError, ValueError):  # the latter when damage changes the kind of sound on the way
            return []

    def finish(self) -> list[Packet[AudioStream]]:
        packets = self.feed(None)
        with suppress(av.FFmpegError):  # when no frame could be coded
            packets += self._stream.encode(None)
        return packets


def audio_streams(container: InputContainer) -> tuple[AudioStream, ...]:
    """Return the audio tracks that are understood; phones add some that no decoder knows."""
    return tuple(s for s in container.streams.audio if s.codec_context and s.codec_context.sample_rate)


def _track(stream: AudioStream, output: OutputContainer) -> _Track:
    codec = stream.codec_context.codec.canonical_name
    complete = stream.codec_context.extradata or codec not in SET_UP_IN_HEADER
    copied = codec in COPIED_CODECS and complete
    return _CopiedTrack(stream, output) if copied else _EncodedTrack(stream, output)


def _time(packet: Packet[AudioStream]) -> Fraction:
    assert packet.pts is not None
    return packet.pts * packet.time_base

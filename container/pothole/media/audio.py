"""This module carries the source's audio and its telemetry over to the output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, Final, Protocol

import av
import numpy as np
from av.audio import AudioStream
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from numpy.typing import NDArray

from pothole.media.container import DAMAGE, read_packets
from pothole.media.scan import Scan
from pothole.media.stamps import MAX_PAUSE_S

ENCODER: Final = "aac"
ENCODER_RATE = 48_000
RATES = 4000, 384_000  # a rate outside of these is damage
FRAME = 1024  # samples that the encoder takes at once
# Time stamps are rounded by less than this. A larger difference is a gap, or sound that is there twice.
TOLERANCE = ENCODER_RATE // 80

Samples = NDArray[np.float32]  # (channels, samples)


class _Track(Protocol):
    """This is one track of the output."""

    def feed(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Take a packet of the source, and yield packets of the output."""

    def finish(self) -> Iterator[Packet[Any]]:
        """Yield the last packets of the output."""


class TrackCopier:
    """A track copier copies audio and telemetry in step with the pictures, so that neither has to wait.

    Args:
        source: Where the tracks come from; is read front to back.
        output: Where it goes, before anything is written to it.
        scan: What is known of the source.
        start: Seconds of its timeline that are 0 in the output.
        until: Seconds of the output at which they are cut.
    """

    def __init__(
        self,
        source: InputContainer,
        output: OutputContainer,
        scan: Scan,
        start: Fraction,
        until: Fraction | None,
    ) -> None:
        self._source = source
        self._output = output
        self._timeline = scan.timeline
        self._start = start
        self._until = until
        copied = {sound.index: sound.copied for sound in scan.sounds} | dict.fromkeys(scan.telemetry, True)
        for stream in source.streams:
            stream.discard = Discard.default if stream.index in copied else Discard.all
        self._streams = [stream for stream in source.streams if stream.index in copied]
        self._tracks: dict[int, _Track] = {}
        for stream in self._streams:
            if isinstance(stream, AudioStream) and not copied[stream.index]:
                pictures_end = scan.timeline.tracks[scan.stream].end - start
                self._tracks[stream.index] = _EncodedTrack(stream, output, until, pictures_end)
            else:
                self._tracks[stream.index] = _CopiedTrack(stream, output)
        self._written: dict[int, int] = {}  # the last time stamp of each track of the output
        self._packets = self._read()
        self._next = next(self._packets, None)

    def copy_until(self, time: Fraction | None) -> None:
        """Write the packets up to a time of the output in seconds, or all that are left when it is None."""
        while self._next and (time is None or self._next[0] <= time):
            packet = self._next[1]
            self._write(self._tracks[packet.stream_index].feed(packet))
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write what is left."""
        self.copy_until(None)
        for track in self._tracks.values():
            self._write(track.finish())

    def _write(self, packets: Iterator[Packet[Any]]) -> None:
        for packet in packets:
            # An MP4 refuses time that does not go on, as in damaged files, and may do so as late as with a
            # later picture.
            last = self._written.get(packet.stream.index)
            if packet.pts is None or packet.dts is None or (last is not None and packet.dts <= last):
                continue
            self._written[packet.stream.index] = packet.dts
            # A damaged packet is left out; the pictures are what counts.
            with suppress(av.error.InvalidDataError, av.error.PatchWelcomeError):
                self._output.mux(packet)

    def _read(self) -> Iterator[tuple[Fraction, Packet[Any]]]:
        """Yield packets with their times of the output; one without stamps has that of the one before."""
        unfinished = set(self._tracks)
        time = Fraction(0)
        for packet in self._timeline.mend(read_packets(self._source, *self._streams)):
            if not unfinished:
                return
            if packet.is_corrupt:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            if packet.pts is not None:
                time = packet.pts * packet.time_base
            if self._until is not None and time >= self._until:
                unfinished.discard(packet.stream_index)
            elif packet.stream_index in unfinished:
                yield time, packet


class _CopiedTrack:
    def __init__(self, stream: Stream, output: OutputContainer) -> None:
        self._source = stream
        self._stream = output.add_stream_from_template(stream)
        if language := stream.metadata.get("language"):
            self._stream.metadata["language"] = language

    def feed(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        if self._is_sound(packet):
            packet.stream = self._stream
            yield packet

    def finish(self) -> Iterator[Packet[Any]]:
        return iter(())

    def _is_sound(self, packet: Packet[Any]) -> bool:
        """Say whether a packet of audio can be decoded, since browsers stop at one that cannot."""
        if isinstance(self._source, AudioStream):
            try:
                self._source.decode(packet)
            except DAMAGE:
                return False
        return True


class _EncodedTrack:
    """This track is coded anew: samples without a gap, each at its time, with one rate and channel count."""

    def __init__(
        self, stream: AudioStream, output: OutputContainer, until: Fraction | None, pictures_end: Fraction
    ) -> None:
        self._source = stream
        self._pictures_end = round(pictures_end * ENCODER_RATE)
        self._layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        self._stream = output.add_stream(ENCODER, rate=ENCODER_RATE)
        self._stream.codec_context.layout = self._layout
        if language := stream.metadata.get("language"):
            self._stream.metadata["language"] = language
        self._end = None if until is None else round(until * ENCODER_RATE)
        self._shape: tuple[Any, ...] = ()
        self._resampler: AudioResampler | None = None
        self._waiting: Samples = np.zeros((1 if self._layout == "mono" else 2, 0), np.float32)
        self._begin: int | None = None  # number in the output of the first sample that waits

    def feed(self, packet: Packet[AudioStream]) -> Iterator[Packet[AudioStream]]:
        for frame in _decoded(self._source, packet):
            yield from self._take(frame)

    def finish(self) -> Iterator[Packet[AudioStream]]:
        for frame in _decoded(self._source, None):
            yield from self._take(frame)
        yield from self._resampled(None)
        if self._waiting.shape[1]:
            yield from self._encode(self._waiting.shape[1])
        if self._begin is not None:
            yield from self._stream.encode(None)

    def _take(self, frame: AudioFrame) -> Iterator[Packet[AudioStream]]:
        if not RATES[0] <= frame.sample_rate <= RATES[1]:
            return
        shape = frame.format.name, frame.layout.name, frame.sample_rate
        if shape != self._shape:
            yield from self._resampled(None)
            self._shape = shape
            self._resampler = AudioResampler("fltp", self._layout, ENCODER_RATE)
        yield from self._resampled(frame)

    def _resampled(self, frame: AudioFrame | None) -> Iterator[Packet[AudioStream]]:
        if self._resampler is None:
            return
        parts: list[AudioFrame] = []
        with suppress(*DAMAGE):
            parts = [part for part in self._resampler.resample(frame) if part is not None]
        for part in parts:
            yield from self._place(part)

    def _place(self, part: AudioFrame) -> Iterator[Packet[AudioStream]]:
        """Put samples at their time: silence fills a gap, and samples that are there already are left out."""
        # Samples of damaged packets may be no numbers, at which the encoder ends.
        samples = np.nan_to_num(np.asarray(part.to_ndarray(), np.float32)).clip(-1, 1)
        next_free = None if self._begin is None else self._begin + self._waiting.shape[1]
        due = next_free
        if part.pts is not None and part.time_base is not None:
            due = round(part.pts * part.time_base * ENCODER_RATE)
        if due is None:
            return
        if next_free is None:
            self._begin = next_free = max(0, due)
        if due - next_free > MAX_PAUSE_S * ENCODER_RATE and due > self._pictures_end:
            return  # this time is far behind all else, as in damaged files
        if abs(due - next_free) > TOLERANCE or due < 0:
            yield from self._silence(due - next_free)
            samples = samples[:, max(0, next_free - due) :]
        yield from self._append(samples)

    def _silence(self, count: int) -> Iterator[Packet[AudioStream]]:
        while count > 0:
            part = min(count, ENCODER_RATE)
            yield from self._append(np.zeros((self._waiting.shape[0], part), np.float32))
            count -= part

    def _append(self, samples: Samples) -> Iterator[Packet[AudioStream]]:
        assert self._begin is not None
        if self._end is not None:
            samples = samples[:, : max(0, self._end - self._begin - self._waiting.shape[1])]
        self._waiting = np.concatenate([self._waiting, samples], axis=1)
        while self._waiting.shape[1] >= FRAME:
            yield from self._encode(FRAME)

    def _encode(self, count: int) -> Iterator[Packet[AudioStream]]:
        assert self._begin is not None
        block = np.ascontiguousarray(self._waiting[:, :count])
        frame = AudioFrame.from_ndarray(block, "fltp", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = ENCODER_RATE, self._begin, Fraction(1, ENCODER_RATE)
        self._waiting, self._begin = self._waiting[:, count:], self._begin + count
        yield from self._stream.encode(frame)


def _decoded(stream: AudioStream, packet: Packet[AudioStream] | None) -> list[AudioFrame]:
    try:
        return stream.decode(packet)
    except DAMAGE:
        return []

"""Recordings as cameras, cuts and joins leave them, made of clips; what is seen and heard of them when."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler

from pothole.media import Video
from support.clips import make_clip, number_of, numbered_image, transcode

NUMBERS = 75  # that a picture can show
QUIET = 0.07  # a third of the tone, so that what a coder blurs is none
BLOCK = 96  # samples of 48 kHz


@dataclass
class Stamp:
    """Of one packet, in seconds; those of decoding may be left to the container."""

    kind: str
    number: int  # of its stream
    key: bool
    shown: Fraction
    decoded: Fraction
    length: Fraction


def remux(source: Path, target: Path, change: Callable[[Stamp], bool | None], **options: Any) -> Path:
    """Write the packets of a file anew, with other stamps; without those for which `change` gives False."""
    with av.open(source) as inputs, av.open(target, "w", **options) as output:
        streams = {s.index: output.add_stream_from_template(s, opaque=True) for s in inputs.streams}
        numbers = dict.fromkeys(streams, 0)
        for packet in inputs.demux():
            if packet.dts is None or packet.pts is None:
                continue
            unit, index = packet.time_base, packet.stream_index
            stamp = Stamp(
                packet.stream.type,
                numbers[index],
                packet.is_keyframe,
                *(value * unit for value in (packet.pts, packet.dts, packet.duration)),
            )
            numbers[index] += 1
            if change(stamp) is False:
                continue
            packet.pts, packet.dts, packet.duration = (
                round(value / unit) for value in (stamp.shown, stamp.decoded, stamp.length)
            )
            packet.stream = streams[index]
            output.mux(packet)
    return target


def moved(source: Path, target: Path, seconds: Fraction | int, kind: str | None = None) -> Path:
    """Write a file anew with later stamps, of one kind of stream or all, the packets in order of time."""

    def change(stamp: Stamp) -> None:
        if kind in {None, stamp.kind}:
            stamp.shown, stamp.decoded = stamp.shown + seconds, stamp.decoded + seconds

    options = {"avoid_negative_ts": "disabled"}
    if target.suffix == ".ts":
        options["muxdelay"] = "0"
    return remux(source, target, change, container_options=options)


def marked_clip(path: Path, marks: list[int], frames: int = 60, **options: Any) -> Path:
    """Write a clip with a tone from the frames `marks[0]`, `marks[2]` … to `marks[1]`, `marks[3]` …."""

    def loud(number: int) -> bool:
        return sum(mark <= number for mark in marks) % 2 == 1

    usual = {"audio": "aac", "picture": lambda i: numbered_image(i % NUMBERS, (64, 48))}
    return make_clip(path, frames, loud=loud, **(usual | options))


def _moving_fields(number: int) -> np.ndarray:
    """A bright bar on a dark ground whose even rows are those of an instant earlier."""
    image = np.full((64, 96, 3), 40, np.uint8)
    for parity in (0, 1):
        left = 4 + 2 * (2 * number + parity)
        image[parity::2, left : left + 24] = 210
    return image


def camera_clip(path: Path, interlaced: bool) -> Path:
    """Write a clip of 25 frames a second whose two fields differ, coded as such or as whole pictures."""
    options = {"x264-params": "tff=1:bframes=0"} if interlaced else {}
    return make_clip(path, 16, 25, (96, 64), picture=_moving_fields, options=options, interlaced=interlaced)


def heard(path: Path) -> list[float]:
    """Return the seconds at which sound begins and ends, one after the other, as players hear it."""
    loud = _loud(path)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
    return [float(edge * BLOCK / 48_000) for edge in edges]


def _loud(path: Path) -> np.ndarray:
    """Which blocks of samples are, by the time stamps."""
    parts = []
    with av.open(path) as container:
        resampler = AudioResampler("fltp", "mono", 48_000)
        for packet in container.demux(audio=0):
            with suppress(av.FFmpegError):  # as players do
                for part in (part for frame in packet.decode() for part in resampler.resample(frame)):
                    parts.append((round(part.pts * part.time_base * 48_000), np.abs(part.to_ndarray()[0])))
    level = np.zeros(max(begin + len(samples) for begin, samples in parts), np.float32)
    for begin, samples in parts:
        level[max(0, begin) : begin + len(samples)] = samples[max(0, -begin) :]
    blocks = level[: len(level) // BLOCK * BLOCK].reshape(-1, BLOCK).max(axis=1) > QUIET
    # What is quiet for less than 6 ms is the coder's.
    for first in np.flatnonzero(~blocks):
        around = blocks[max(0, first - 3) : first].any() and blocks[first + 1 : first + 4].any()
        blocks[first] = around or blocks[first]
    return np.asarray(blocks)


def shown(path: Path) -> list[tuple[float, int]]:
    """Return the seconds and the numbers of the frames, as players show them."""
    with av.open(path) as container:
        return [(f.time, number_of(f.to_ndarray(format="rgb24"))) for f in container.decode(video=0)]


def out_of_sync(output: Path, marks: list[int]) -> float:
    """Return by how many seconds, at most, a tone begins or ends besides the frames where it should."""
    times = {number: time for time, number in reversed(shown(output))}
    edges = heard(output)
    assert len(edges) == len(marks), (edges, [times.get(mark) for mark in marks])
    return max(abs(edge - times[mark]) for edge, mark in zip(edges, marks, strict=True))


def mark(source: Path, segment: int | None = None) -> tuple[Path, Video]:
    """Code a video anew; return the output, and the source after its last frame."""
    output = transcode(source, source.with_name(f"{source.name}_output.mp4"), segment=segment)
    with Video.open(source) as video:
        list(video.frames())
    return output, video

"""This module decodes a stream's packets to whole pictures, each at its time, even damaged ones."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.filter import Graph
from av.packet import Packet

from pothole.media.container import DAMAGE

# Fields of different times become one picture; pictures that are none of fields stay as they are.
DEINTERLACE = "mode=send_frame:deint=interlaced"
MAX_WAITING = 64  # packets that a decoder may hold, for its threads and for the order of showing


@dataclass
class Damage:
    """`Damage` counts the damage that was met while decoding.

    Attributes:
        broken: Packets that could not be decoded, and pictures that could be in part.
        whole: Pictures that could be decoded whole.
    """

    broken: int = 0
    whole: int = 0


def decode(
    packets: Iterable[Packet[Any]], stream: av.VideoStream, damage: Damage, by_decoding: bool
) -> Iterator[av.VideoFrame]:
    """Yield the pictures of packets in the order of showing; the stamps of some may be missing.

    Args:
        packets: Of that stream alone.
        stream: What they belong to.
        damage: Is counted here.
        by_decoding: The packets' times of showing cannot be trusted: in the order of showing, pictures take
            the times of decoding.
    """
    times: list[int] = []
    for packet in packets:
        if by_decoding and packet.dts is not None:
            heapq.heappush(times, packet.dts)
        yield from _frames(stream, packet, damage, times if by_decoding else None)
    yield from _frames(stream, None, damage, times if by_decoding else None)


def _frames(
    stream: av.VideoStream, packet: Packet[Any] | None, damage: Damage, times: list[int] | None
) -> Iterator[av.VideoFrame]:
    try:
        frames = stream.decode(packet)
    except DAMAGE:
        damage.broken += 1
        if times and packet and packet.dts in times:
            times.remove(packet.dts)
            heapq.heapify(times)
        return
    for frame in frames:
        damage.broken += frame.is_corrupt
        damage.whole += not frame.is_corrupt
        if times is not None:
            frame.pts = heapq.heappop(times) if times else None
            while len(times) > MAX_WAITING:  # packets that gave no picture have left theirs
                heapq.heappop(times)
        yield frame


def deinterlace(frames: Iterable[av.VideoFrame], unit: Fraction) -> Iterator[av.VideoFrame]:
    """Make whole pictures of interlaced ones, from the first of these on; a stamp counts `unit` seconds."""
    graph: Graph | None = None
    shape: tuple[Any, ...] = ()
    for frame in frames:
        current = frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range
        if graph and current != shape:
            yield from _pull(graph, None, unit)
            graph = None
        if graph is None and frame.interlaced_frame:
            graph, shape = _graph(frame, unit), current
        if graph is None:
            yield frame
        else:
            yield from _pull(graph, frame, unit)
    if graph:
        yield from _pull(graph, None, unit)


def _graph(frame: av.VideoFrame, unit: Fraction) -> Graph:
    graph = Graph()
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base=str(unit),
        pixel_aspect="1/1",
        colorspace=str(int(frame.colorspace)),
        range=str(int(frame.color_range)),
    )
    graph.link_nodes(source, graph.add("bwdif", DEINTERLACE), graph.add("buffersink")).configure()
    return graph


def _pull(graph: Graph, frame: av.VideoFrame | None, unit: Fraction) -> Iterator[av.VideoFrame]:
    graph.push(frame)
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            whole = graph.vpull()
            if whole.pts is not None and whole.time_base:
                whole.pts, whole.time_base = round(whole.pts * whole.time_base / unit), unit
            yield whole


def on_time(frames: Iterable[av.VideoFrame], step: int, unit: Fraction) -> Iterator[av.VideoFrame]:
    """Correct the time stamps of pictures, so that each is greater than the one before.

    One without a stamp, or with one that is out of line with both neighbours, is put between them.

    Args:
        frames: In the order of showing.
        step: Usual units between two.
        unit: Seconds.
    """
    last: int | None = None
    waiting: av.VideoFrame | None = None
    for frame in frames:
        if waiting:
            last = waiting.pts = _mended(last, waiting.pts, frame.pts, step, unit)
            yield waiting
        waiting = frame
    if waiting:
        waiting.pts = _mended(last, waiting.pts, None, step, unit)
        yield waiting


def _mended(last: int | None, stamp: int | None, following: int | None, step: int, unit: Fraction) -> int:
    if last is None:
        if stamp is None or (following is not None and following < stamp):
            return 0 if following is None else following - step
        return stamp
    if stamp is not None and following is not None and last < following < stamp:
        stamp = None  # this stamp alone is ahead
    if stamp is None:
        if following is not None and following > last + 1:
            return min(last + step, (last + following) // 2)
        return last + step
    if stamp > last:
        return stamp
    return last + (step if (last - stamp) * unit > 1 else 1)

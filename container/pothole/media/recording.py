"""This module records a live stream for a while, without coding it anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

from pothole.errors import InvalidMedia, StorageUnavailable, TooLarge, reason

TIMEOUT_S = 15.0  # seconds without a packet
LATE_S = 60.0  # seconds by which a recording may take longer than it lasts
# Streams come over TCP: cameras' UDP loses packets, and gets through no firewall.
OPTIONS = {"rtsp_transport": "tcp", "protocol_whitelist": "rtsp,rtsps,rtp,tcp,tls,udp,srtp,crypto"}


def record(address: str, target: Path, seconds: float, max_bytes: int) -> float:
    """Record an RTSP stream for a while into a Matroska file, from its first key frame on.

    Args:
        address: `rtsp://` or `rtsps://`.
        target: The file.
        seconds: How long; less where the stream ends, breaks off or comes too slowly.
        max_bytes: Largest accepted recording.

    Returns:
        Seconds that were recorded.

    Raises:
        StorageUnavailable: The camera does not answer.
        InvalidMedia: It sends no pictures, or its time does not go on.
        TooLarge: It sends more than `max_bytes`.
    """
    try:
        with av.open(address, options=OPTIONS, timeout=TIMEOUT_S) as source:
            return _copy(source, target, seconds, max_bytes)
    except av.FFmpegError as exc:
        raise StorageUnavailable(f"The stream does not answer: {reason(exc)}.") from exc


def _copy(source: InputContainer, target: Path, seconds: float, max_bytes: int) -> float:
    if not source.streams.video:
        raise InvalidMedia("The stream has no pictures.")
    with av.open(target, "w", format="matroska") as output:
        copies = {
            stream.index: output.add_stream_from_template(stream)
            for stream in (source.streams.video[0], *source.streams.audio[:1])
        }
        begin, recorded = None, 0.0
        for packet in _bounded(_packets(source), seconds, max_bytes):
            if packet.stream_index not in copies or packet.dts is None or packet.time_base is None:
                continue
            due = packet.dts * packet.time_base
            if begin is None:
                if not packet.is_keyframe or packet.stream.type != "video":
                    continue
                begin = due
            recorded = max(recorded, float(due - begin))
            if recorded >= seconds:
                return seconds
            shift = round(begin / packet.time_base)
            packet.dts -= shift
            if packet.pts is not None:
                packet.pts -= shift
            if packet.dts >= 0:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
        if recorded > 0:
            return recorded
        raise InvalidMedia(
            f"The stream sent no pictures within {seconds + LATE_S:g} s that can be shown one after the"
            " other: it has no key frames, or its time stamps do not go on.",
            hint="Restart the camera, or have it send key frames more often.",
        )


def _bounded(packets: Iterator[Packet[Any]], seconds: float, max_bytes: int) -> Iterator[Packet[Any]]:
    """Yield packets until they are too late by the clock here; raise where they are too large."""
    latest, size = time.monotonic() + seconds + LATE_S, 0
    for packet in packets:
        size += packet.size
        if size > max_bytes:
            raise TooLarge(
                f"The stream has sent more than {max_bytes} bytes.",
                hint="Record for a shorter time, or raise MAX_VIDEO_BYTES.",
            )
        if time.monotonic() > latest:
            return
        yield packet


def _packets(source: InputContainer) -> Iterator[Packet[Any]]:
    """Yield packets until the stream ends or breaks off; what came before that is used."""
    came = False
    try:
        for packet in source.demux():
            came = True
            yield packet
    except av.FFmpegError:
        if not came:
            raise

"""The packets of a source are read once more, in chunks that can be copied: all pictures up to a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

from pothole.media.container import open_container, read_packets
from pothole.media.info import VideoInfo
from pothole.media.smart.parameter_sets import IDR_SLICE, KIND, units
from pothole.media.smart.plan import CopyPlan


@dataclass(frozen=True)
class Chunk:
    """A chunk is a run of packets, all shown after those before and before those behind.

    Attributes:
        number: Counted from 0.
        packets: In the order of coding.
        times: Their `pts` in the order of showing.
        begins_gop: Whether the first needs no picture before it.
    """

    number: int
    packets: tuple[Packet[Any], ...]
    times: tuple[int, ...]
    begins_gop: bool


class Chunks:
    """`Chunks` reads the chunks of a source front to back, until `close`.

    Args:
        path: The source.
        info: What it says about itself.
        plan: Where its chunks end.

    Attributes:
        stream: Their stream.
    """

    def __init__(self, path: Path, info: VideoInfo, plan: CopyPlan) -> None:
        self._container = open_container(path, info.scan.thorough)
        stream = self._container.streams[info.scan.stream]
        assert isinstance(stream, VideoStream)
        self.stream = stream
        self._plan = plan
        self._rest = self._read()
        self._chunk: Chunk | None = next(self._rest, None)

    def close(self) -> None:
        """Close the source."""
        self._container.close()

    def at(self, pts: int) -> Chunk | None:
        """Go on to the chunk that ends at a time or later; None behind the last one."""
        while self._chunk and self._chunk.times[-1] < pts:
            self._chunk = next(self._rest, None)
        return self._chunk

    def _read(self) -> Iterator[Chunk]:
        number = 0
        packets: list[Packet[Any]] = []
        for packet, is_last in zip(read_packets(self._container, self.stream), self._plan.ends, strict=False):
            packets.append(packet)
            if is_last:
                times = tuple(sorted(packet.pts for packet in packets if packet.pts is not None))
                kinds = {unit[0] & KIND for unit in units(bytes(packets[0]))}
                yield Chunk(number, tuple(packets), times, IDR_SLICE in kinds)
                number, packets = number + 1, []

"""The clips that all rows share: rendered once, and made longer or shorter without rendering again."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from pothole.media import SegmentWriter, Video, VideoWriter
from pothole.types import Image
from roads.output import write_video
from roads.trip import Trip
from roads.world import Road

RATE = Fraction(30)
SPEED_M_S = 10.0
POTHOLES_PER_M = 0.12
SEED = 4
COUNT_AREA = 400  # goes into the truth, which is not used here


@dataclass(frozen=True)
class Clip:
    """A video to measure with.

    Attributes:
        path: The file.
        width: Pixels.
        height: Pixels.
        rate: Frames a second.
        frames: How many it has.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    frames: int

    @classmethod
    def of(cls, path: Path) -> "Clip":
        """Read what a video says about itself; one that does not know its frames is counted.

        Raises:
            InvalidMedia: It is no video that can be read.
        """
        with Video.open(path) as video:
            info = video.info
        with av.open(path) as container:
            packets = sum(packet.size > 0 for packet in container.demux(video=0))
        return cls(path, info.width, info.height, info.rate, info.frame_count or packets)

    @property
    def seconds(self) -> float:
        """Return how long the clip is."""
        return float(self.frames / self.rate)


@contextmanager
def _made(path: Path) -> Iterator[Path]:
    """Yield a path to write to that becomes `path` when all went well, so that no half of a clip is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        yield Path(folder, path.name)
        Path(folder, path.name).replace(path)


def pictures(path: Path, count: int) -> list[Image]:
    """Return the first frames of a video, `(height, width, 3)` uint8 RGB."""
    with av.open(path) as container:
        return [
            np.asarray(f.to_ndarray(format="rgb24"), np.uint8)
            for f in islice(container.decode(video=0), count)
        ]


def rendered(folder: Path, size: tuple[int, int], seconds: float, has_potholes: bool = True) -> Path:
    """Render a road, `size` is `(height, width)`: H.264 with AAC, once."""
    frames = round(seconds * RATE)
    path = folder / f"{'road' if has_potholes else 'plain-road'}-{size[0]}p-{frames}.mp4"
    if not path.is_file():
        metres = seconds * SPEED_M_S
        potholes = max(1, round(POTHOLES_PER_M * metres)) if has_potholes else 0
        road = Road(SEED, size, metres, potholes)
        with _made(path) as new:
            write_video(new, road, frames, RATE, Trip(SPEED_M_S), COUNT_AREA, sound=True)
    return path


def repeated(clip: Clip, minutes: float, folder: Path) -> Path:
    """Join a clip with itself until it is so many minutes long, packets as they are."""
    path = folder / f"{clip.path.stem}-{minutes:g}-minutes.mp4"
    times = max(1, round(60 * minutes / clip.seconds))
    if path.is_file():
        return path
    with _made(path) as new, av.open(new, "w") as output:
        streams: dict[int, av.stream.Stream] = {}
        last: dict[int, int] = {}
        for turn in range(times):
            with av.open(clip.path) as source:
                used = [*source.streams.video[:1], *source.streams.audio[:1]]
                streams = streams or {s.index: output.add_stream_from_template(s) for s in used}
                for packet in source.demux(used):
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(turn * clip.frames / clip.rate / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    # Audio starts a little before the pictures and ends after them, and so meets itself.
                    if packet.dts > last.get(packet.stream_index, packet.dts - 1):
                        last[packet.stream_index] = packet.dts
                        packet.stream = streams[packet.stream_index]
                        output.mux(packet)
    return path


def mixed(marked: Clip, plain: Clip, percent: int, folder: Path) -> Path:
    """Join the begin of one road to the end of another as long, in GOPs of a second.

    Args:
        marked: A road with potholes, from which the last part comes.
        plain: One without.
        percent: How many of the GOPs in a hundred are of the first.
        folder: Where the clip goes.
    """
    path = folder / f"{marked.path.stem}-{percent}-percent.mp4"
    if path.is_file():
        return path
    gop = round(RATE)
    first = marked.frames - round(percent / 100 * marked.frames / gop) * gop
    options = {"crf": "19", "preset": "veryfast", "g": str(gop), "sc_threshold": "0"}
    with _made(path) as new, av.open(new, "w") as output, ExitStack() as sources:
        stream = output.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = marked.width, marked.height, "yuv420p"
        roads = [sources.enter_context(av.open(clip.path)).decode(video=0) for clip in (marked, plain)]
        for number, (with_potholes, without) in enumerate(zip(*roads, strict=False)):
            picture = without if number < first else with_potholes
            picture.pts, picture.time_base, picture.pict_type = number, 1 / RATE, PictureType.NONE
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return path


def shortened(clip: Clip, frames: int, folder: Path) -> Path:
    """Write the first few frames of a clip."""
    path = folder / f"{clip.path.stem}-{frames}-frames.mp4"
    if not path.is_file():
        with _made(path) as new, Video.open(clip.path) as video, VideoWriter(new, video.info) as writer:
            with SegmentWriter(folder / f"{path.stem}.nut", video.info) as segment:
                for frame in islice(video.frames(), frames):
                    segment.write(frame)
            writer.append(folder / f"{path.stem}.nut")
            (folder / f"{path.stem}.nut").unlink()
    return path

"""The I-frames of a fragment are found without decoding, and decoded one by one where they are wanted."""

from collections.abc import Callable, Iterator
from io import BytesIO

import av
import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from pothole.entrypoints.stream.live_stream import Picture
from pothole.errors import InvalidMedia, TooLarge, reason

Decode = Callable[[], Picture]


def key_frames(data: bytes, max_pixels: int) -> Iterator[Decode]:
    """Yield what decodes each I-frame of a fragment, in order; nothing of one without video.

    Each is to be called before the next one is asked for. A fragment has its codec's private data with it, so
    that a producer may change it between two.

    Args:
        data: The fragment, a Matroska document.
        max_pixels: Most pixels of a picture.

    Raises:
        InvalidMedia: It cannot be read; so do the functions.
        TooLarge: A picture has more pixels.
    """
    try:
        with av.open(BytesIO(data), format="matroska", mode="r") as container:
            if not container.streams.video:
                return
            stream = container.streams.video[0]
            if stream.width * stream.height > max_pixels:
                raise TooLarge(f"A picture of the stream has {stream.width}x{stream.height} pixels.")
            stream.codec_context.thread_type = "NONE"  # or pictures would come later than their packets
            start = None
            for packet in container.demux(stream):
                if packet.pts is None or packet.size == 0:
                    continue
                start = packet.pts if start is None else start
                if packet.is_keyframe:
                    since_ms = round(1000 * (packet.pts - start) * (packet.time_base or 0))
                    yield lambda packet=packet, since_ms=since_ms: _decode(stream, packet, since_ms)  # type: ignore[misc]
    except EOFError:  # a document without a cluster
        return
    except FFmpegError as exc:
        raise InvalidMedia(f"A fragment cannot be read: {exc.strerror}.") from exc


def _decode(stream: VideoStream, packet: "Packet[VideoStream]", since_ms: int) -> Picture:
    try:
        context = stream.codec_context
        frames = [*context.decode(packet), *context.decode(None)]
        context.flush_buffers()
    except (FFmpegError, EOFError) as exc:
        raise InvalidMedia(f"A picture cannot be decoded: {reason(exc)}.") from exc
    if not frames:
        raise InvalidMedia("A picture cannot be decoded: the decoder gives none.")
    return Picture(stream.index + 1, since_ms, np.asarray(frames[0].to_ndarray(format="rgb24"), np.uint8))

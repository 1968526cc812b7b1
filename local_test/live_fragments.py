"""Fragments of a live stream as Kinesis Video keeps them: a Matroska document for each group of pictures."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

# RFC 8794 and RFC 9559: numbers of elements, with the bits that say their length.
EBML, SEGMENT, TAGS, TAG, SIMPLE_TAG = 0x1A45DFA3, 0x18538067, 0x1254C367, 0x7373, 0x67C8
TAG_NAME, TAG_STRING, DOC_TYPE, TARGETS = 0x45A3, 0x4487, 0x4282, 0x63C0
UNKNOWN_SIZE = b"\x01" + b"\xff" * 7  # as a stream has it whose end is not known yet
PREFIX = "AWS_KINESISVIDEO_"


@dataclass(frozen=True)
class Group:
    """A group of pictures: a key frame, and all that follow it up to the next.

    Attributes:
        start_s: Its time in the video.
        length_s: For so long it is shown.
        document: Matroska with one segment.
    """

    start_s: float
    length_s: float
    document: bytes


def groups_of(video: Path, seconds: float = 1.0, codec: str = "libx264") -> Iterator[Group]:
    """Yield a video's groups of pictures, coded anew as cameras do: short, and without pictures out of order.

    Args:
        video: A file.
        seconds: Length of a group.
        codec: One of FFmpeg's encoders, libx264 or libx265.
    """
    with av.open(str(video)) as source:
        stream = source.streams.video[0]
        rate = stream.average_rate or Fraction(25)
        length = max(1, math.ceil(seconds * rate))
        pictures: list[av.VideoFrame] = []
        start = 0
        for picture in source.decode(stream):
            pictures.append(picture)
            if len(pictures) == length:
                yield _coded(pictures, start, rate, codec)
                start += len(pictures)
                pictures = []
        if pictures:
            yield _coded(pictures, start, rate, codec)


def _coded(pictures: list[av.VideoFrame], start: int, rate: Fraction, codec: str) -> Group:
    file = io.BytesIO()
    options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20"}
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    with av.open(file, "w", "matroska", options={"live": "1"}) as document:
        stream = document.add_stream(codec, rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
        stream.gop_size = len(pictures)
        stream.time_base = 1 / rate
        for number, picture in enumerate(pictures):
            picture.pts, picture.time_base = start + number, 1 / rate
            picture.pict_type = av.video.frame.PictureType.NONE
            document.mux(stream.encode(picture))
        document.mux(stream.encode(None))
    return Group(float(start / rate), float(len(pictures) / rate), file.getvalue())


def tags(values: dict[str, str]) -> bytes:
    """Return an element with tags, each with a value of text."""
    simple = b"".join(
        _element(SIMPLE_TAG, _element(TAG_NAME, name.encode()) + _element(TAG_STRING, value.encode()))
        for name, value in values.items()
    )
    return _element(TAGS, _element(TAG, _element(TARGETS, b"") + simple))


def tagged(document: bytes, before: dict[str, str], after: dict[str, str]) -> bytes:
    """Return a document with tags at the begin of its segment, and at its end."""
    segment = document.index(SEGMENT.to_bytes(4))
    return document[: segment + 4] + UNKNOWN_SIZE + tags(before) + document[segment + 12 :] + tags(after)


def without_pictures(values: dict[str, str]) -> bytes:
    """Return a document that holds tags alone, as an error is told."""
    return _element(EBML, _element(DOC_TYPE, b"matroska")) + SEGMENT.to_bytes(4) + UNKNOWN_SIZE + tags(values)


def _element(number: int, content: bytes) -> bytes:
    size = (len(content) | 1 << 56).to_bytes(8)
    return number.to_bytes((number.bit_length() + 7) // 8) + size + content

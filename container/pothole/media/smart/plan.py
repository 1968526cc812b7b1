"""A copy plan says what of a source may be copied, and is made once, before the first frame."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

from pothole.media.container import open_container, read_packets
from pothole.media.frame import PIXEL_FORMAT
from pothole.media.info import VideoInfo
from pothole.media.segment import CRF, open_encoder
from pothole.media.smart.parameter_sets import (
    BESIDE,
    IDR_SLICE,
    KIND,
    MAX_ID,
    PICTURE,
    SEQUENCE,
    SLICE,
    Buffering,
    ParameterSets,
    units,
    used_set,
)

Render = Literal["smart", "full"]
MAX_CHUNK = 17  # packets that can be copied only together; frames of so many wait

# Bits a pixel at which the usual quality is that of the source, and the bounds of the quality.
USUAL_BITS = 0.1
BEST_CRF, WORST_CRF = 16.0, 24.0


class CannotCopy(Exception):
    """`CannotCopy` says in a sentence why a source is coded whole."""


@dataclass(frozen=True)
class CopyPlan:
    """A copy plan says what of a source may go to the output as it is.

    Attributes:
        head: The avcC of the output, with the parameter sets of both kinds of frames.
        set_id: Id of the parameter sets of what is coded anew.
        crf: Its quality.
        parameters: What x264 is told of it beside the usual.
        reorder: Pictures by which decoding is ahead of showing.
        ends: For each packet of the source, whether the pictures up to it are shown before all later ones.
        begins: Indices of the frames with which GOPs begin.
    """

    head: bytes = field(repr=False)
    set_id: int
    crf: float
    parameters: str
    reorder: int
    ends: NDArray[np.bool_] = field(repr=False, compare=False)
    begins: frozenset[int] = field(repr=False)

    def is_copied(self, packet: Packet[Any]) -> bool:
        """Say whether a packet of the output is one of the source."""
        return used_set(bytes(packet)) != self.set_id


@dataclass(frozen=True)
class Rendering:
    """A rendering says how the pictures of a video come into the output.

    Attributes:
        plan: What may be copied; None to code all anew.
        coded_whole: In a sentence, why all is coded anew; None where it is not.
    """

    plan: CopyPlan | None = None
    coded_whole: str | None = None

    @classmethod
    def of(cls, render: Render, path: Path, info: VideoInfo, until: Fraction | None) -> Rendering:
        """Decide for a source.

        Args:
            render: What is asked for.
            path: The source.
            info: What it says about itself.
            until: Seconds at which the output ends; None for the whole video.
        """
        if render == "full":
            return cls(None, "It was asked for.")
        if until is not None:
            return cls(None, "Only the beginning of the video is marked.")
        try:
            return cls(make_plan(path, info))
        except CannotCopy as exc:
            return cls(None, str(exc))


def make_plan(path: Path, info: VideoInfo) -> CopyPlan:
    """Look through the packets of a source.

    Raises:
        CannotCopy: It has to be coded whole.
    """
    _check(info)
    with open_container(path, info.scan.thorough) as container:
        if "mp4" not in container.format.name.split(","):
            raise CannotCopy("It is neither an MP4 nor a MOV.")
        stream = container.streams[info.scan.stream]
        sets = _parameter_sets(stream.codec_context.extradata if stream.codec_context else None)
        seen = _Seen()
        for packet in read_packets(container, stream):
            seen.add(packet, sets)
    ends, ranks = seen.order()
    set_id = next((i for i in range(1, MAX_ID + 1) if i not in sets.ids), None)
    if set_id is None:
        raise CannotCopy("It has too many parameter sets.")
    reorder = int(np.max(np.arange(len(ranks)) - ranks))
    crf = _crf(8 * seen.bytes / (len(ends) * info.width * info.height))
    parameters = _own_parameters(set_id, sets.buffering if reorder else None)
    own = ParameterSets.of(open_encoder(info, crf, parameters).extradata or b"")
    if reorder and own.buffering != sets.buffering:
        raise CannotCopy("Its pictures wait in a way that new ones cannot.")
    return CopyPlan(sets.joined(own), set_id, crf, parameters, reorder, ends, seen.begins(ranks))


def _own_parameters(set_id: int, buffering: Buffering | None) -> str:
    """Return what x264 is told, beside the usual, of what stands beside packets of a source.

    There are no B-frames among the new pictures; but where the source has some, their parameter sets have to
    allow for as many that wait: a strict decoder drops those that wait when that number changes.
    """
    waits = ""
    if buffering and buffering.reordered:
        pyramid = "none" if buffering.reordered == 1 else "normal"
        waits = f":bframes={buffering.reordered}:b-adapt=0:b-pyramid={pyramid}:dpb-size={buffering.kept}"
    return f":sps-id={set_id}:annexb=0:keyint=infinite{waits}"


def _check(info: VideoInfo) -> None:
    """Check what is known of a source beside its packets."""
    timeline = info.scan.timeline
    size = f"{info.width}x{info.height}"
    for fits, why in (
        (
            info.codec == "h264" and info.codec_tag == "avc1",
            f"It is coded as {info.codec}, {info.codec_tag}.",
        ),
        (info.pixel_format == PIXEL_FORMAT, f"Its pixels are {info.pixel_format}."),
        (not info.width % 2 and not info.height % 2, f"Its size, {size}, is odd."),
        (info.is_as_coded, "Its pictures are turned, mirrored, interlaced, or of another range of colours."),
        (not timeline.mended and not timeline.tracks[info.scan.stream].by_decoding, "Its times are mended."),
    ):
        if not fits:
            raise CannotCopy(why)


def _parameter_sets(head: bytes | None) -> ParameterSets:
    try:
        sets = ParameterSets.of(head or b"")
        if len(sets.sequences) == 1 and sets.is_progressive:
            return sets
    except ValueError as exc:
        raise CannotCopy("Its parameter sets cannot be read.") from exc
    raise CannotCopy("Its pictures are not all progressive, 8-bit 4:2:0 and of one kind.")


@dataclass
class _Seen:
    """`_Seen` collects what the packets of a source say.

    Attributes:
        shown: When each is to be shown.
        firsts: Packets with which GOPs begin.
        hidden: Packets that are not shown.
        bytes: Of all of them.
    """

    shown: array[int] = field(default_factory=lambda: array("q"))
    firsts: list[int] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    bytes: int = 0

    def add(self, packet: Packet[Any], sets: ParameterSets) -> None:
        """Take the next packet."""
        number = len(self.shown)
        if packet.pts is None:
            raise CannotCopy("Some of its pictures have no time.")
        if _begins_gop(bytes(packet), sets):
            self.firsts.append(number)
        elif packet.is_keyframe or not number:
            raise CannotCopy("Its GOPs are open.")
        if packet.is_discard:
            self.hidden.append(number)
        self.shown.append(packet.pts)
        self.bytes += packet.size

    def order(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return `CopyPlan.ends`, and of each packet how many are shown before it."""
        shown = np.array(self.shown)
        if not len(shown):
            raise CannotCopy("It has no pictures.")
        order = np.argsort(shown)
        if not np.all(np.diff(shown[order]) > 0):
            raise CannotCopy("Several of its pictures have one time.")
        after = np.append(np.minimum.accumulate(shown[::-1])[::-1][1:], np.iinfo(np.int64).max)
        ends = np.asarray(np.maximum.accumulate(shown) < after, np.bool_)
        if not np.all(ends[np.array(self.firsts[1:], np.int64) - 1]):
            raise CannotCopy("Its GOPs are open.")
        if np.max(np.diff(np.flatnonzero(ends), prepend=-1)) > MAX_CHUNK:
            raise CannotCopy("Its pictures are shown in an order far from that of coding.")
        ranks = np.empty(len(shown), np.int64)
        ranks[order] = np.arange(len(shown))
        return ends, ranks

    def begins(self, ranks: NDArray[np.int64]) -> frozenset[int]:
        """Return the indices of the frames with which GOPs begin."""
        hidden = np.sort(ranks[np.array(self.hidden, np.int64)])
        firsts = np.array(sorted(set(self.firsts) - set(self.hidden)), np.int64)
        return frozenset((ranks[firsts] - np.searchsorted(hidden, ranks[firsts])).tolist())


def _begins_gop(packet: bytes, sets: ParameterSets) -> bool:
    """Say whether a packet begins a GOP, and check that it uses no other parameter sets than the first."""
    kinds = set()
    try:
        for unit in units(packet):
            kind = unit[0] & KIND
            kinds.add(kind)
            if kind in {SEQUENCE, PICTURE} and bytes(unit) not in sets.sequences + sets.pictures:
                raise CannotCopy("Its parameter sets change.")
    except ValueError as exc:
        raise CannotCopy("Some of its packets are damaged.") from exc
    if len(kinds & {SLICE, IDR_SLICE}) != 1 or kinds - BESIDE - {SLICE, IDR_SLICE, SEQUENCE, PICTURE}:
        raise CannotCopy("Its pictures are coded in an unusual way.")
    return IDR_SLICE in kinds


def _crf(bits: float) -> float:
    """Return the quality of new frames beside frames of so many bits a pixel: six are twice the bits."""
    return round(min(max(CRF - 6 * math.log2(bits / USUAL_BITS), BEST_CRF), WORST_CRF), 1)

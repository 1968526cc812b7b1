"""This module opens media files and reads their packets, whatever is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from pothole.errors import InvalidMedia, TooLarge

# A playlist or a concatenation script named .mp4 would make FFmpeg open other files and addresses.
DEMUXERS = "mov,matroska,avi,mpegts,mpeg,asf,flv"
# What cameras, phones and programs for videos write; the decoders of games, say, are seldom looked after.
DECODERS = ",".join(
    (
        "h264,hevc,av1,libdav1d,vp8,vp9,mpeg4,msmpeg4,msmpeg4v1,msmpeg4v2,mpeg1video,mpeg2video,mjpeg,mjpegb",
        "h263,h263i,flv,vp6,vp6a,vp6f,wmv1,wmv2,wmv3,vc1,prores,dnxhd,cfhd,dvvideo,theora,cinepak,svq1,svq3",
        "qtrle,png,jpeg2000,ffv1,huffyuv,ffvhuff,utvideo,rawvideo,v210",
        "aac,aac_latm,mp3,mp3float,mp2,mp2float,mp1float,ac3,eac3,dca,truehd,opus,libopus,vorbis,flac,alac",
        "amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,wmav1,wmav2,wmapro,wmalossless,wmavoice,speex,nellymoser",
        "adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd,pcm_u8,pcm_s8",
        "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be",
    )
)
KNOWN_DECODERS = {"codec_whitelist": DECODERS}
# FFmpeg decodes a picture of each, which takes 80 MB in 8K, and all may be the same few bytes of a file.
MAX_STREAMS = 24
KNOWN_FORMATS = "Expected an MP4, MOV, MKV, WebM, AVI, TS, MPEG, WMV or FLV video."
INDEX_MISSING = "Its index is missing or damaged, as in a recording that was cut off: send it anew."

# Decoders, demuxers and PyAV around them raise these at damaged data.
DAMAGE = (av.FFmpegError, IndexError, ValueError, OverflowError)
MAX_FAILURES = 16  # failures of the demuxer in a row, after which the rest is taken for unreadable

# FFmpeg looks for streams in the first 5 MB and seconds of a file. To look further costs as much memory.
THOROUGH = {"probesize": str(2**26), "analyzeduration": str(3600 * 1_000_000)}

HEADER_BYTES = 2**16
RIFF_UNKNOWN = 2**32 - 1
# ASF headers have Content Encryption, Extended Content Encryption, Advanced Content Encryption.
ASF_ENCRYPTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"),
)
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # File Properties
ASF_UNKNOWN = 1  # the flag of a broadcast, whose size is not known beforehand
MP4_BOX = 8  # bytes that a box has at least: its size and its kind
MAX_MP4_BOXES = 2**18  # boxes that are looked at, or a file of empty ones would be looked at for minutes
MP4_LONG = 1  # in place of a size that follows in 64 bits
# Matroska has ContentEncodings, its size, ContentEncoding, its size, and not far behind ContentEncryption.
MATROSKA_ENCRYPTION = re.compile(rb"\x6d\x80.{1,8}?\x62\x40.{1,40}?\x50\x35", re.DOTALL)
MPEGTS_PACKET = 188
MP4_ENCRYPTED = {"encv", "enca", "drmi", "drms"}
# FFmpeg says this of a stream (Matroska) or of a file (ASF) that is encrypted.
ENCRYPTION_TAGS = {"enc_key_id", "ASF_Protection_Type", "ASF_Key_ID", "ASF_License_URL"}
HEAD = 512  # bytes of a file that tell its kind
SEGMENTS = {b"styp", b"moof", b"sidx"}
BARE = b"\0\0\0\1", b"\0\0\1\x67"  # start codes of H.264 and HEVC without a container
STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def open_container(path: Path, thorough: bool = False) -> InputContainer:
    """Open a file for reading, and no other file that it may name.

    Args:
        path: The file.
        thorough: Look further for streams that begin late.

    Raises:
        InvalidMedia: Not a video or audio file that can be read; names it.
        TooLarge: It has more than `MAX_STREAMS` streams.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise InvalidMedia(f"{path.name} is empty.", KNOWN_FORMATS)
    limits = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"} | KNOWN_DECODERS
    limits |= {"max_streams": str(MAX_STREAMS)}
    if thorough:
        limits |= THOROUGH
    try:
        # An absolute path: a relative one like "concat:x" would be taken for a protocol.
        container = av.open(path.absolute(), container_options=limits, metadata_errors="replace")
    except av.error.MemoryError as exc:
        raise TooLarge(
            f"{path.name} has more than {MAX_STREAMS} streams of pictures, sound and data.",
            "Keep those that are needed: `ffmpeg -i FILE -map 0:v:0 -map 0:a? -c copy NEW.mp4`.",
        ) from exc
    except av.FFmpegError as exc:
        raise InvalidMedia(f"{path.name} is not a video that can be read.", _way_out(head)) from exc
    for stream in container.streams:
        if stream.codec_context:  # FFmpeg hands the list on to the decoders that it opens itself alone
            stream.codec_context.options = dict(KNOWN_DECODERS)
    return container


def _way_out(head: bytes) -> str:
    """Say what may be done with a file that begins so and cannot be read."""
    if head[4:8] == b"ftyp":
        return INDEX_MISSING
    if head[4:8] in SEGMENTS:
        return "It is a segment of a stream: join it behind its head, `cat init.mp4 SEGMENT > NEW.mp4`."
    if head.startswith(b"#EXTM3U") or b"<MPD" in head:
        return "It is a playlist: name the video itself."
    if head.startswith(BARE):
        return (
            "It is a bare stream without times: `ffmpeg -framerate RATE -i FILE -c copy NEW.mp4` adds them."
        )
    return KNOWN_FORMATS


def read_packets(
    container: InputContainer, *streams: Stream, on_new: Callable[[], None] = lambda: None
) -> Iterator[Packet[Any]]:
    """Yield the packets of some streams, or of all, up to the last that can be read; none is empty.

    Args:
        container: Is read from where it is.
        streams: All when there are none.
        on_new: Called at the end when streams appeared on the way, whose packets cannot be had.
    """
    failures = 0
    packets = container.demux(*streams)
    while failures < MAX_FAILURES:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except IndexError:  # PyAV does not know streams that were not there from the beginning
            on_new()
            return
        except DAMAGE:
            failures += 1
            packets = container.demux(*streams)  # this goes on behind the damage
            continue
        failures = 0
        if packet.size:  # empty ones, of dropped pictures, would tell a decoder that it is the end
            yield packet


def picture_streams(container: InputContainer) -> list[av.VideoStream]:
    """Return the streams of moving pictures that can be decoded, without a song's cover picture."""
    known = DECODERS.split(",")
    moving = (s for s in container.streams.video if s.codec_context and not s.disposition & STILL)
    return [stream for stream in moving if stream.codec_context.name in known]


def no_pictures(path: Path, container: InputContainer) -> InvalidMedia:
    """Return the error that says why a file has no stream of pictures."""
    if any(not stream.disposition & STILL for stream in container.streams.video):
        return InvalidMedia(f"{path.name} is coded in a way that is not known here.", "Convert it to H.264.")
    return InvalidMedia(f"{path.name} has no video stream.", "Use a file with pictures, not sound alone.")


def ends_early(path: Path, form: str) -> bool:
    """Say whether an AVI, WMV or MP4 ends before its header, or its last box, says that it does.

    One that was never finished says nothing.
    """
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    declared = 0
    if form == "avi":
        size = int.from_bytes(head[4:8], "little")
        declared = 0 if size == RIFF_UNKNOWN else size + 8
    elif form == "asf" and (at := head.find(ASF_FILE)) >= 0:
        flags = int.from_bytes(head[at + 88 : at + 92], "little")
        declared = 0 if flags & ASF_UNKNOWN else int.from_bytes(head[at + 40 : at + 48], "little")
    elif "mp4" in form.split(","):
        declared = _end_of_boxes(path)
    return declared > path.stat().st_size


def is_joined(path: Path, form: str) -> bool:
    """Say whether another MP4 was put behind the end of one, of which no demuxer reads anything."""
    kinds = [kind for kind, _ in _boxes(path)] if "mp4" in form.split(",") else []
    return kinds.count(b"moov") > 1


def _end_of_boxes(path: Path) -> int:
    """Return where the last box of pictures and sound in an MP4 ends by its own word."""
    return max((end for kind, end in _boxes(path) if kind in (b"moof", b"mdat")), default=0)


def _boxes(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the kind of each box of an MP4, and where it ends by its own word."""
    position, end = 0, path.stat().st_size
    with path.open("rb") as file:
        for _ in range(MAX_MP4_BOXES):
            head = file.read(16)
            if len(head) < MP4_BOX:
                break
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == MP4_LONG:
                size = int.from_bytes(head[8:], "big")
            if size < MP4_BOX:  # to the end of the file, or no box at all
                break
            position += size
            yield kind, position
            if position >= end:  # may be more than any file has
                break
            file.seek(position)


def check_encryption(path: Path, container: InputContainer) -> None:
    """Raise `InvalidMedia` when the file says that its pictures are encrypted."""
    tags = set(container.metadata).union(*(stream.metadata for stream in container.streams))
    codes = {_codec_tag(stream) for stream in container.streams}
    if tags & ENCRYPTION_TAGS or codes & MP4_ENCRYPTED or _header_says_so(path, container.format.name):
        raise encrypted(path)


def _codec_tag(stream: Stream) -> str:
    try:
        return stream.codec_context.codec_tag if stream.codec_context else ""
    except UnicodeDecodeError:  # a number, as in an AVI
        return ""


def encrypted(path: Path) -> InvalidMedia:
    """Return the error that says that a file is encrypted."""
    return InvalidMedia(f"{path.name} is encrypted (DRM).", "Use a copy without encryption.")


def _header_says_so(path: Path, form: str) -> bool:
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if form == "asf":
        return any(guid in head for guid in ASF_ENCRYPTION)
    if form == "mpegts":
        start = max(0, head.find(b"G"))
        packets = [head[i : i + 4] for i in range(start, len(head) - 4, MPEGTS_PACKET)]
        scrambled = sum(p[0] == ord("G") and p[3] >= 0x80 for p in packets)
        return 2 * scrambled > len(packets)
    return form.startswith("matroska") and bool(MATROSKA_ENCRYPTION.search(head))

"""What nobody can read is refused with a sentence that says why."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from pothole.errors import InvalidMedia, TooLarge
from pothole.media import Video
from pothole.media.container import ASF_FILE, DECODERS, ends_early, open_container, read_packets
from support.clips import make_clip
from support.recordings import marked_clip, remux


def cenc(path: Path) -> Path:
    """An MP4 with Common Encryption."""
    keys = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    clip = marked_clip(path.with_name("clip.mp4"), [10, 20])
    return remux(clip, path, lambda stamp: None, options=keys)


def matroska(path: Path) -> Path:
    """An MKV whose first track says that it is encrypted, with an AES key."""
    data = make_clip(path.with_name("clip.mkv")).read_bytes()
    segment = data.index(b"\x18\x53\x80\x67") + 4
    tracks = data.rindex(b"\x16\x54\xae\x6b") + 4  # behind its entry in the index
    content, end = element(data, tracks)
    content += 6  # its checksum
    assert data[content : content + 1] == b"\xae"
    entry, entry_end = element(data, content + 1)
    encryption = b"\x50\x35" + sized(b"\x47\xe1\x81\x05" + b"\x47\xe2" + sized(b"k" * 16))
    encoding = b"\x62\x40" + sized(b"\x50\x33\x81\x01" + encryption)
    inside = data[entry:entry_end] + b"\x6d\x80" + sized(encoding)
    track = b"\xae" + sized(inside) + data[entry_end:end]
    whole = data[:segment] + b"\x01" + b"\xff" * 7 + data[segment + 8 : tracks] + sized(track) + data[end:]
    path.write_bytes(whole)
    return path


def element(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of an EBML element begins and ends whose size is at `at`."""
    length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return at + length, at + length + size


def sized(content: bytes) -> bytes:
    return struct.pack(">Q", len(content) | 1 << 56) + content


def asf(path: Path) -> Path:
    """A WMV with a Content Encryption Object in its header."""
    data = make_clip(path.with_name("clip.wmv"), codec="wmv2").read_bytes()
    size, count = struct.unpack_from("<QI", data, 16)
    texts = b"".join(struct.pack("<I", 4) + b"abc\0" for _ in range(4))
    added = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + struct.pack("<Q", 24 + len(texts)) + texts
    header = data[:16] + struct.pack("<QI", size + len(added), count + 1) + data[28:30] + added + data[30:]
    path.write_bytes(header)
    return path


def scrambled(path: Path) -> Path:
    """A transport stream with its pictures scrambled, as on television."""
    data = bytearray(make_clip(path.with_name("clip.ts"), 30).read_bytes())
    for at in range(0, len(data), 188):
        if int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF == 0x100:
            data[at + 3] |= 0x80
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [cenc, matroska, asf, scrambled])
def test_an_encrypted_video_is_refused_as_such(tmp_path, make):
    suffix = {cenc: "mp4", matroska: "mkv", asf: "wmv", scrambled: "ts"}[make]
    path = make(tmp_path / f"secret.{suffix}")
    with pytest.raises(InvalidMedia, match=rf"secret\.{suffix} is encrypted") as caught:
        Video.open(path)
    assert "without encryption" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["noise.mp4", "noise.mkv", "noise.avi"])
def test_a_video_of_which_next_to_nothing_can_be_decoded_is_refused(tmp_path, name):
    """Its first picture is whole, all others are noise."""
    path = make_clip(tmp_path / name, 60, options={"g": "60"}, faststart=True)
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    noise = np.random.default_rng(0)
    for at, size in packets[1:]:
        data[at + 4 : at + size] = noise.bytes(size - 4)
    path.write_bytes(data)
    with (
        pytest.raises(InvalidMedia, match=rf"{name} has (60 frames|no readable frame)"),
        Video.open(path) as video,
    ):
        list(video.frames())


@pytest.mark.parametrize("name", ["a.flv", "a.ts"])
def test_a_header_without_packets_is_refused(tmp_path, name):
    """As a recording that ended at once, or whose rest is lost."""
    path = make_clip(tmp_path / name, 30)
    with av.open(path) as container:
        first = min(packet.pos for packet in container.demux(video=0) if packet.size)
    path.write_bytes(path.read_bytes()[: max(first, 600)])
    with pytest.raises(InvalidMedia, match=name):
        Video.open(path)


def test_a_decoder_that_is_on_no_list_is_never_opened(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", 3, size=(64, 48), codec="asv1", audio="adpcm_yamaha")
    with pytest.raises(InvalidMedia, match="coded in a way that is not known here"):
        Video.open(clip)
    with open_container(clip) as container:
        for kind in (container.streams.video, container.streams.audio):
            [stream] = kind
            packet = next(read_packets(container, stream))
            with pytest.raises(av.FFmpegError):
                stream.decode(packet)
            container.seek(0)


@pytest.mark.parametrize(("suffix", "streams"), [("mp4", 24), ("mp4", 25), ("mkv", 25), ("avi", 25)])
def test_a_file_of_many_streams_is_refused_before_each_is_decoded(tmp_path, suffix, streams):
    with av.open(tmp_path / f"many.{suffix}", "w") as container:
        videos = [container.add_stream("mpeg4", rate=25, width=64, height=48) for _ in range(streams)]
        for video in videos:
            container.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
            container.mux(video.encode())
    if streams <= 24 or suffix == "mkv":  # FFmpeg itself leaves out the others of an MKV
        with open_container(tmp_path / f"many.{suffix}") as container:
            assert len(container.streams) == 24
    else:
        with pytest.raises(TooLarge, match="more than 24 streams"):
            Video.open(tmp_path / f"many.{suffix}")


def test_decoders_of_the_list_are_those_of_this_build() -> None:
    for name in DECODERS.split(","):
        assert av.codec.Codec(name, "r").name == name


@pytest.mark.parametrize(("said", "early"), [(2**32 - 1, False), (10_000, True), (100, False)])
def test_an_avi_that_does_not_know_its_size_is_not_cut_short(tmp_path, said, early):
    (tmp_path / "a.avi").write_bytes(b"RIFF" + struct.pack("<I", said) + bytes(500))
    assert ends_early(tmp_path / "a.avi", "avi") == early


@pytest.mark.parametrize(("flags", "early"), [(1, False), (2, True)])
def test_a_wmv_of_a_broadcast_is_not_cut_short(tmp_path, flags, early):
    """Its header cannot know the size."""
    about = ASF_FILE + bytes(24) + struct.pack("<Q", 10_000) + bytes(40) + struct.pack("<I", flags)
    (tmp_path / "a.wmv").write_bytes(bytes(30) + about + bytes(100))
    assert ends_early(tmp_path / "a.wmv", "asf") == early


@pytest.mark.parametrize("size", [0, 7])
def test_an_mp4_ends_for_certain_where_a_box_has_no_size(tmp_path, size):
    """A box of size 0 goes to the end of the file; what lies in it is no box."""
    inside = struct.pack(">I4s", size, b"free") + struct.pack(">I4s", 10_000, b"mdat")
    (tmp_path / "a.mp4").write_bytes(inside[: size or 8] + inside[8:] + bytes(50))
    assert not ends_early(tmp_path / "a.mp4", "mov,mp4")


@pytest.mark.parametrize("size", [2**63, 2**64 - 1])
def test_a_box_may_say_that_it_is_larger_than_any_file(tmp_path, size):
    """The place behind it is none that could be asked for."""
    clip = make_clip(tmp_path / "a.mp4")
    with clip.open("ab") as file:
        file.write(struct.pack(">I4sQ", 1, b"mdat", size))
    with Video.open(clip) as video:
        assert (video.info.width, video.info.height) == (64, 48)
    assert ends_early(clip, "mov,mp4")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\0\0\0\1\x67\x64", "It is a bare stream without times: `ffmpeg -framerate RATE"),
        (b"\0\0\0\x18stypmsdh", "It is a segment of a stream: join it behind its head"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", "It is a playlist: name the video itself."),
        (b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash">', "It is a playlist: name the video itself."),
        (b"DHAV and what follows", "Expected an MP4, MOV, MKV"),
    ],
)
def test_what_is_no_video_by_itself_is_told_with_the_way_out(tmp_path: Path, head: bytes, said: str) -> None:
    path = tmp_path / "stream.bin"
    path.write_bytes(head + bytes(1000))
    with pytest.raises(InvalidMedia) as caught:
        open_container(path)
    assert str(caught.value).startswith(f"stream.bin is not a video that can be read. {said}")

"""Sound comes out so that browsers play it, or its loss is said."""

import av
import numpy as np
import pytest

from pothole.media.sound import Changes
from support.browser import CHROMIUM, play
from support.clips import audio_packets, transcode
from support.recordings import heard, mark, marked_clip, out_of_sync, remux

SYNC_S = 0.025
MARKS = [12, 24, 40, 50]


def codec(path) -> str:
    with av.open(path) as container:
        return container.streams.audio[0].codec_context.name


@pytest.mark.parametrize(
    ("name", "audio", "options", "expected"),
    [
        ("a.mp4", "aac", {}, "aac"),
        ("a.mp4", "libmp3lame", {}, "mp3float"),
        ("a.mp4", "libmp3lame", {"audio_rate": 16_000}, "mp3float"),
        ("a.mkv", "libopus", {}, "opus"),
        ("a.mkv", "flac", {}, "flac"),
    ],
)
def test_sound_that_browsers_play_is_copied(tmp_path, name, audio, options, expected):
    source = marked_clip(tmp_path / name, MARKS, audio=audio, **options)
    output, _ = mark(source)
    assert codec(output) == expected
    assert audio_packets(output) == audio_packets(source)


@pytest.mark.parametrize(
    ("name", "audio", "options"),
    [
        ("a.ts", "ac3", {}),
        ("a.mp4", "eac3", {}),
        ("a.mov", "alac", {}),
        ("a.mkv", "vorbis", {}),
        ("a.mov", "pcm_s16le", {}),
        ("a.mkv", "mp2", {}),
        ("a.wmv", "wmav2", {}),
        ("a.avi", "libmp3lame", {"audio_rate": 11_025, "layout": "mono"}),
        ("a.avi", "libmp3lame", {"audio_rate": 8000, "layout": "mono"}),
        ("a.flv", "adpcm_swf", {"audio_rate": 11_025, "layout": "mono"}),
        ("a.3gp", "libopencore_amrnb", {"audio_rate": 8000, "layout": "mono"}),
        ("a.avi", "pcm_mulaw", {"audio_rate": 8000, "layout": "mono"}),
    ],
)
def test_sound_that_browsers_do_not_play_from_an_mp4_becomes_aac(tmp_path, name, audio, options):
    source = marked_clip(tmp_path / name, MARKS, audio=audio, **options)
    output, video = mark(source)
    assert codec(output) == "aac"
    assert len(heard(output)) == len(MARKS)
    assert video.decode_warning is None


def two_parts(tmp_path, first: dict, second: dict):
    """A transport stream whose sound changes after two seconds."""
    one = marked_clip(tmp_path / "one.ts", MARKS, **first)
    two = marked_clip(tmp_path / "two.ts", MARKS, **second)
    path = tmp_path / "change.ts"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    return path


@pytest.mark.parametrize("audio", ["aac", "libmp3lame"])
@pytest.mark.parametrize(
    "second", [{"audio_rate": 44_100}, {"layout": "mono"}, {"audio_rate": 32_000, "layout": "mono"}]
)
def test_sound_that_changes_on_the_way_keeps_its_pitch(tmp_path, audio, second):
    output, _ = mark(two_parts(tmp_path, {"audio": audio}, {"audio": audio} | second))
    assert codec(output) == "aac"
    frames = [*MARKS, *(60 + m for m in MARKS)]
    assert heard(output) == pytest.approx([frame / 30 for frame in frames], abs=SYNC_S + 0.026)
    with av.open(output) as container:
        samples = [f.to_ndarray()[0] for f in container.decode(audio=0)]

    sound = np.concatenate(samples)
    for begin in (0.5, 2.5):  # seconds, within a tone
        part = sound[int(begin * 48_000) : int((begin + 0.25) * 48_000)]
        pitch = np.argmax(np.abs(np.fft.rfft(part * np.hanning(len(part))))) / 0.25
        assert pitch == pytest.approx(440, abs=8)


def test_one_odd_header_is_damage_and_two_alike_are_another_sound():
    usual, odd, odder = (av.Packet(bytes([0xFF, 0xF1, rate, 0x80])) for rate in (0x50, 0x4C, 0x58))
    changes = Changes("aac")
    for packet in (usual, odd, usual, usual, odd, odder):
        changes.look(packet)
        assert not changes.found
    changes.look(odder)
    assert changes.found


def test_sound_that_nobody_can_decode_costs_the_sound_and_a_warning(tmp_path):
    source = marked_clip(tmp_path / "clip.mkv", MARKS, audio="libopus")
    data = source.read_bytes()
    assert b"A_OPUS" in data
    source.write_bytes(data.replace(b"A_OPUS", b"A_XXXX"))
    output, video = mark(source)
    with av.open(output) as container:
        assert not container.streams.audio
        assert container.streams.video[0].frames == 60
    assert "sound" in video.decode_warning
    assert video.missing_frames == 0


def test_sound_of_noise_costs_the_sound_and_a_warning(tmp_path):
    """Its packets say AC-3 and are none, from the first to the last."""
    source = marked_clip(tmp_path / "clip.mkv", MARKS, audio="ac3")
    data = bytearray(source.read_bytes())
    begin = 0
    while (begin := data.find(b"\x0b\x77", begin)) >= 0:
        data[begin : begin + 64] = bytes(range(64))
        begin += 64
    source.write_bytes(data)
    output, video = mark(source)
    assert video.missing_frames == 0
    with av.open(output) as container:
        assert container.streams.video[0].frames == 60
        assert not container.streams.audio
    assert "sound" in (video.decode_warning or "")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_does_not_stop_at_damaged_sound(tmp_path):
    source = marked_clip(tmp_path / "clip.mp4", MARKS)
    data = bytearray(source.read_bytes())
    with av.open(source) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size][30:32]
    for packet in packets:
        data[packet.pos : packet.pos + packet.size] = (bytes([255, 3, 129]) * packet.size)[: packet.size]
    source.write_bytes(data)
    transcode(source, tmp_path / "out.mp4")
    whole, damaged = play(tmp_path, ["out.mp4", "clip.mp4"])
    assert whole["error"] is None and whole["audioBytes"] > 0
    assert whole["time"] == pytest.approx(2, abs=0.1)
    assert damaged["error"] is not None  # or nothing would be tested here


def test_damage_that_makes_no_sense_of_sound_costs_that_sound_alone(tmp_path):
    """Floats that are no numbers, at which the encoder would end, and the job with it."""
    source = marked_clip(tmp_path / "clip.mkv", MARKS, audio="pcm_f32le")
    data = bytearray(source.read_bytes())
    with av.open(source) as container:
        packet = [packet for packet in container.demux(audio=0) if packet.size][20]
        begin = data.index(bytes(packet))
    data[begin : begin + 400] = b"\x00\x00\xc0\x7f" * 100
    source.write_bytes(data)
    output, video = mark(source)
    assert out_of_sync(output, MARKS) < SYNC_S
    assert video.missing_frames == 0


@pytest.mark.parametrize(("packets", "kept"), [(1, 1), (4, 2)])
def test_a_track_that_damage_alone_made_is_left_out(tmp_path, packets, kept):
    """Another track that begins with the first one, and has few or very few packets beside its 94."""
    clip = marked_clip(tmp_path / "clip.mp4", MARKS)
    source = tmp_path / "stray.mkv"
    with av.open(clip) as inputs, av.open(source, "w") as output:
        copies = {s.index: output.add_stream_from_template(s) for s in inputs.streams}
        stray = output.add_stream_from_template(inputs.streams.audio[0])
        left = packets
        for packet in inputs.demux():
            if packet.dts is None:
                continue
            index = packet.stream_index
            if packet.stream.type == "audio" and left:
                left -= 1
                twin = av.Packet(bytes(packet))
                twin.pts, twin.dts, twin.time_base = packet.pts, packet.dts, packet.time_base
                twin.stream = stray
                output.mux(twin)
            packet.stream = copies[index]
            output.mux(packet)
    output, _ = mark(source)
    with av.open(output) as container:
        assert len(container.streams.audio) == kept


@pytest.mark.parametrize("first", [0, 50])
def test_sound_far_behind_the_pictures_is_no_reason_for_hours_of_silence(tmp_path, first):
    clip = marked_clip(tmp_path / "clip.mp4", MARKS)

    def change(stamp):
        if stamp.kind == "audio" and stamp.number >= 50:
            stamp.shown, stamp.decoded = stamp.shown + 30_000, stamp.decoded + 30_000
        return stamp.kind == "video" or stamp.number in {first, 50}

    output, _ = mark(remux(clip, tmp_path / "far.mkv", change))
    with av.open(output) as container:
        assert container.duration / av.time_base == pytest.approx(2, abs=0.3)

"""Pictures and sound stay together, whatever the time stamps of the source say."""

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pothole.media.stamps import UNKNOWN, Stamps
from pothole.media.timeline import Timeline
from support.clips import make_clip, transcode
from support.recordings import heard, mark, marked_clip, moved, out_of_sync, remux, shown

SYNC_S = 0.025
MARKS = [12, 30, 40, 50]


def times(path: Path) -> list[float]:
    return [time for time, _ in shown(path)]


def even(count: int, rate: int = 30, start: float = 0.0) -> object:
    return pytest.approx([start + i / rate for i in range(count)], abs=0.0011)


@pytest.mark.parametrize("name", ["far.mkv", "far.ts", "far.flv", "far.mpg", "far.mov"])
def test_stamps_may_begin_anywhere(tmp_path, name):
    old = {"audio": "mp2", "codec": "mpeg2video"} if name.endswith("mpg") else {}
    clip = marked_clip(tmp_path / "clip.mp4", MARKS, **old)
    source = moved(clip, tmp_path / name, 30_000)
    output, video = mark(source)
    assert times(output) == even(60)
    assert out_of_sync(output, MARKS) < SYNC_S
    assert video.info.duration_s == pytest.approx(2, abs=0.05)
    assert (video.missing_frames, video.decode_warning) == (0, None)


def joined(tmp_path: Path, ahead: int) -> Path:
    """A short part, and one twice as long whose stamps begin again, or far ahead."""
    first = marked_clip(tmp_path / "first.ts", MARKS)
    second = marked_clip(tmp_path / "second.mp4" if ahead else tmp_path / "second.ts", [20, 70], 80)
    second = moved(second, tmp_path / "moved.ts", ahead) if ahead else second
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


@pytest.mark.parametrize("ahead", [0, 5000])
def test_joined_recordings_run_on_together(tmp_path, ahead):
    output, video = mark(joined(tmp_path, ahead))
    assert times(output) == even(140)
    edges, frames = heard(output), [*MARKS, 80, 130]
    assert edges == pytest.approx([frame / 30 for frame in frames], abs=SYNC_S)
    assert video.info.duration_s == pytest.approx(140 / 30, abs=0.01)
    assert (video.missing_frames, video.decode_warning) == (0, None)


def test_sound_that_is_missing_in_one_part_is_silence_there(tmp_path):
    """The second of three recordings has no packets of sound; that of the third stays with its pictures."""
    parts = [marked_clip(tmp_path / f"{i}.ts", [20, 40]) for i in range(3)]
    mute = moved(make_clip(tmp_path / "mute.mp4", 60), tmp_path / "1.ts", Fraction(7, 5))
    path = tmp_path / "joined.ts"
    path.write_bytes(parts[0].read_bytes() + mute.read_bytes() + parts[2].read_bytes())
    output, _ = mark(path)
    assert times(output) == even(180)
    assert heard(output) == pytest.approx([20 / 30, 40 / 30, 140 / 30, 160 / 30], abs=SYNC_S)


@pytest.mark.parametrize(
    ("name", "by"),
    [(f"wild.{form}", by) for form in ("mp4", "mkv", "ts") for by in (9800, 3, Fraction(2, 5))]
    + [("wild.ts", -1)],
)
def test_a_picture_whose_stamp_is_nonsense_is_put_between_its_neighbours(tmp_path, name, by):
    def change(stamp):
        if (stamp.kind, stamp.number) == ("video", 20):
            stamp.shown += by
            stamp.decoded = min(stamp.decoded, stamp.shown)

    clip = marked_clip(tmp_path / "clip.mp4", MARKS, options={"bf": "0"})
    if by < 0:  # no file can show a picture before it is decoded: all others are decoded that much earlier
        source = remux(clip, tmp_path / name, lambda s: early(s, by))
    else:
        source = remux(clip, tmp_path / name, change)
    output, video = mark(source)
    assert times(output) == even(60)
    assert out_of_sync(output, MARKS) < SYNC_S
    assert (video.missing_frames, video.decode_warning) == (0, None)


def early(stamp, by: int) -> None:
    if stamp.kind == "video":
        stamp.decoded += by
        stamp.shown += by if stamp.number == 20 else 0


@pytest.mark.parametrize("audio", ["pcm_s16le", "libmp3lame"])
@pytest.mark.parametrize("rate", [5, 30])
def test_pictures_of_an_avi_are_shown_in_their_order(tmp_path, audio, rate):
    """An AVI says when pictures are decoded, and not when they are shown."""
    source = marked_clip(tmp_path / "old.avi", [12, 20], 40, rate=rate, audio=audio, options={"bf": "3"})
    with av.open(source) as container:
        assert container.streams.video[0].codec_context.has_b_frames
    output, _ = mark(source)
    assert shown(output) == [(pytest.approx(i / rate, abs=0.0011), i) for i in range(40)]
    assert out_of_sync(output, [12, 20]) < SYNC_S


@pytest.mark.parametrize("name", ["clip.mp4", "clip.flv"])
def test_pictures_that_are_reordered_without_a_stamp_that_says_so_are_shown_in_their_order(tmp_path, name):
    """Some cameras and screen recorders give each packet the time of its place in the file."""
    clip = marked_clip(tmp_path / "source.mp4", [12, 30], 40, options={"bf": "3"})

    def as_coded(stamp):
        if stamp.kind == "video":
            stamp.shown = stamp.decoded = Fraction(stamp.number, 30)

    output, _ = mark(remux(clip, tmp_path / name, as_coded))
    assert [number for _, number in shown(output)] == list(range(40))
    assert [time for time, _ in shown(output)] == pytest.approx([i / 30 for i in range(40)], abs=0.001)
    assert out_of_sync(output, [12, 30]) < SYNC_S


def test_the_last_frame_is_shown_as_long_as_in_the_source(tmp_path):
    def change(stamp):
        if stamp.number == 19:
            stamp.length = Fraction(3)

    clip = make_clip(tmp_path / "clip.mp4", 20, options={"bf": "0"})
    source = remux(clip, tmp_path / "hold.mp4", change)
    output, video = mark(source, segment=7)
    assert video.info.duration_s == pytest.approx(19 / 30 + 3, abs=0.001)
    with av.open(output) as container:
        assert container.duration / av.time_base == pytest.approx(19 / 30 + 3, abs=0.002)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts", "late.flv"])
def test_sound_from_before_the_first_picture_is_heard(tmp_path, name):
    clip = marked_clip(tmp_path / "clip.mp4", [0, 12, 70, 80], 90)
    late = remux(clip, tmp_path / f"cut{name}", lambda stamp: stamp.kind == "audio" or stamp.number >= 30)
    output, video = mark(late)
    assert heard(output) == pytest.approx([0, 12 / 30, 70 / 30, 80 / 30], abs=SYNC_S)
    assert shown(output)[0] == (pytest.approx(1, abs=SYNC_S), 30)
    assert shown(output)[40][0] == pytest.approx(70 / 30, abs=SYNC_S)
    assert (video.missing_frames, video.decode_warning) == (0, None)
    assert video.info.duration_s == pytest.approx(2, abs=0.05)


def test_a_sample_of_a_video_whose_pictures_begin_late_has_one_frame_and_its_sound(tmp_path):
    clip = marked_clip(tmp_path / "clip.mp4", [0, 12], 60)
    late = remux(clip, tmp_path / "late.mp4", lambda stamp: stamp.kind == "audio" or stamp.number >= 30)
    output = transcode(late, tmp_path / "out.mp4", Fraction(1, 100))
    assert len(shown(output)) == 1
    assert heard(output) == pytest.approx([0, 12 / 30], abs=SYNC_S)


def test_a_gap_in_the_sound_stays_a_gap(tmp_path):
    """Players go on with the sound at once, and from there on it would be early."""
    clip = marked_clip(tmp_path / "clip.mp4", [10, 20, 50, 55])
    source = remux(
        clip, tmp_path / "gap.mkv", lambda s: s.kind == "video" or not 1 < s.shown < Fraction(3, 2)
    )
    output, _ = mark(source)
    assert out_of_sync(output, [10, 20, 50, 55]) < SYNC_S
    with av.open(output) as container:
        ends = [(p.pts + p.duration, p.pts) for p in container.demux(audio=0) if p.size]
    assert [begin for _, begin in ends[1:]] == [end for end, _ in ends[:-1]]


def test_a_pause_of_the_pictures_in_which_the_sound_goes_on_is_none_of_the_time(tmp_path):
    def change(stamp):
        if stamp.kind == "video" and stamp.number >= 10:
            stamp.shown, stamp.decoded = stamp.shown + 20, stamp.decoded + 20
        return stamp.kind == "audio" or not 10 <= stamp.number < 12

    clip = marked_clip(tmp_path / "clip.mp4", [5, 650], 700, options={"bf": "0"})
    source = remux(
        clip, tmp_path / "pause.mkv", lambda s: change(s) if s.number < 30 or s.kind == "audio" else False
    )
    output, _ = mark(source)
    assert times(output)[9:11] == [pytest.approx(9 / 30, abs=0.002), pytest.approx(12 / 30 + 20, abs=0.002)]
    assert heard(output) == pytest.approx([5 / 30, 650 / 30], abs=SYNC_S)


@pytest.mark.parametrize(
    ("name", "options"),
    [("cut.mkv", {}), ("cut.mp4", {}), ("cut.mp4", {"use_editlist": "0"}), ("cut.ts", {})],
)
def test_pictures_that_need_one_from_before_a_cut_are_no_damage(tmp_path, name, options):
    clip = tmp_path / ("clip.ts" if name == "cut.ts" else "clip.mp4")
    marked_clip(clip, [], 90, audio=None, options={"g": "15", "x264-params": "open-gop=1:bframes=3"})
    source = remux(clip, tmp_path / name, lambda stamp: stamp.number >= 28, options=options)
    with av.open(source) as container:
        packets = sum(bool(packet.size) for packet in container.demux(video=0))
    output, video = mark(source)
    assert 20 < len(shown(output)) < packets
    assert (video.missing_frames, video.decode_warning) == (0, None)


def test_sound_that_goes_on_longer_than_the_pictures_is_no_damage(tmp_path):
    clip = marked_clip(tmp_path / "clip.mp4", [10, 230], 240)
    source = remux(clip, tmp_path / "long.flv", lambda stamp: stamp.kind == "audio" or stamp.number < 60)
    output, video = mark(source)
    assert (video.missing_frames, video.decode_warning) == (0, None)
    assert video.info.duration_s == pytest.approx(2, abs=0.05)
    assert heard(output)[-1] == pytest.approx(230 / 30, abs=SYNC_S)


def check_that_half_of_it_is_told(source):
    _, whole = mark(source)
    assert (whole.missing_frames, whole.decode_warning) == (0, None)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    _, video = mark(source)
    assert video.missing_frames is None
    assert video.decode_warning == "The file is cut short: what is in it was used."


@pytest.mark.parametrize(
    ("name", "audio"),
    [("clip.flv", "aac"), ("clip.avi", "pcm_s16le"), ("clip.avi", None), ("clip.wmv", "wmav2")],
)
def test_a_file_that_is_cut_short_and_does_not_say_how_many_frames_it_had_says_no_number(
    tmp_path, name, audio
):
    source = marked_clip(tmp_path / name, [10, 20], 300, audio=audio)
    check_that_half_of_it_is_told(source)


def test_of_a_recording_in_fragments_that_is_cut_short_it_is_said(tmp_path):
    clip = marked_clip(tmp_path / "clip.mp4", [10, 20], 300, options={"g": "15", "bf": "0"})
    options = {"movflags": "frag_keyframe+empty_moov"}
    source = remux(clip, tmp_path / "parts.mp4", lambda stamp: None, options=options)
    check_that_half_of_it_is_told(source)


def test_of_an_mp4_with_another_one_behind_its_end_it_is_said(tmp_path):
    """As `cat` joins them; every demuxer reads the first alone."""
    clip = marked_clip(tmp_path / "clip.mp4", [10, 20], 30)
    _, alone = mark(clip)
    assert alone.decode_warning is None
    clip.write_bytes(2 * clip.read_bytes())
    _, joined = mark(clip)
    assert joined.missing_frames == 0
    assert "lies another one, which was not used" in joined.decode_warning


def stamps(kind, values, **options) -> Stamps:
    result = Stamps(kind, Fraction(1, 10), 1, **options)
    for number, value in enumerate(values):
        result.places.append(2 * number + (kind == "sound"))
        result.decoded.append(UNKNOWN if value is None else value)
        result.shown.append(UNKNOWN if value is None else value)
        result.lengths.append(1)
    return result


def test_packets_of_many_hours_take_a_few_bytes_each() -> None:
    noted, packet = Stamps("sound", Fraction(1, 48_000), 1024), av.Packet()
    tracemalloc.start()
    try:
        for place in range(100_000):
            packet.dts = packet.pts = 2**32 + 1024 * place
            packet.duration = 1024
            noted.add(place, packet)
        timeline = Timeline.of({0: noted})
        assert tracemalloc.get_traced_memory()[1] < 100 * 100_000
    finally:
        tracemalloc.stop()
    assert timeline.tracks[0].end - timeline.tracks[0].begin == Fraction(1024 * 100_000, 48_000)


@pytest.mark.parametrize("far", [2**63 - 1, -(2**63) + 1])
def test_stamps_at_the_ends_of_64_bits_are_nonsense(far: int) -> None:
    timeline = Timeline.of({0: stamps("pictures", [0, 1, 2, far, 4, 5, 6])})
    track = timeline.tracks[0]
    assert (track.wild, track.begin, track.end) == ({3}, 0, Fraction(7, 10))
    for values in ([far, far], [far, None]):
        track = Timeline.of({0: stamps("pictures", values)}).tracks[0]
        assert (track.packets, track.begin <= track.last < track.end) == (2, True)


def due(timeline: Timeline, index: int, values: list[int]) -> list[int | None]:
    track = timeline.tracks[index]
    shifts = [
        next(units for first, units in reversed(track.shifts) if n >= first) for n in range(len(values))
    ]
    return [None if n in track.wild else value + shifts[n] for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ([*range(100, 120), 9999, *range(121, 140)], [*range(100, 120), None, *range(121, 140)]),
        ([*range(100, 120), 3, 4, *range(122, 140)], [*range(100, 120), None, None, *range(122, 140)]),
        ([*range(100, 120), 150, *range(121, 140)], [*range(100, 120), None, *range(121, 140)]),
        ([7777, *range(100, 140)], [None, *range(100, 140)]),
        ([*range(100, 120), *range(7, 27)], [*range(100, 140)]),
        ([*range(100, 120), *range(7007, 7027)], [*range(100, 140)]),
        ([*range(20), *range(60, 80)], [*range(20), *range(60, 80)]),  # 4 s: a pause
    ],
)
def test_jumps_and_nonsense_are_told_apart(pictures, expected):
    timeline = Timeline.of({0: stamps("pictures", pictures), 1: stamps("sound", pictures)})
    assert due(timeline, 0, pictures) == expected
    assert due(timeline, 1, pictures) == expected


def test_a_part_whose_sound_is_longer_loses_none_of_it():
    timeline = Timeline.of(
        {0: stamps("pictures", [*range(20), *range(20)]), 1: stamps("sound", [*range(25), *range(25)])}
    )
    assert due(timeline, 0, [*range(20), *range(20)]) == [*range(20), *range(25, 45)]
    assert due(timeline, 1, [*range(25), *range(25)]) == list(range(50))

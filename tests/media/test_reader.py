from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from pothole.errors import InvalidMedia, SourceIsOutput, TooLarge
from pothole.media import Frame, SegmentWriter, Video, VideoInfo, VideoWriter
from pothole.media.container import open_container
from pothole.media.frame import rgb_to_yuv
from pothole.media.segment import check_segment, open_segment
from pothole.types import Image
from support import clips
from support.clips import audio_packets, make_clip, number_of, numbered_image

NTSC = Fraction(30000, 1001)


def transcode(source: Path, until: Fraction | None = None, segment: int | None = None) -> Path:
    return clips.transcode(source, source.with_name(f"{source.stem}_output.mp4"), until, segment)


def read(path: Path) -> tuple[VideoInfo, list[Frame]]:
    with Video.open(path) as video:
        return video.info, list(video.frames())


def shown_times(path: Path) -> list[Fraction]:
    """Times as any player sees them, from the first frame."""
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    return [(f.pts - frames[0].pts) * f.time_base for f in frames]


def numbers(path: Path) -> list[int]:
    return [number_of(frame.rgb()) for frame in read(path)[1]]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.mp4", {"audio": "aac", "rate": NTSC}),
        ("clip.mp4", {"codec": "libx265", "pix_fmt": "yuv420p10le", "audio": "libmp3lame"}),
        ("clip.mov", {"audio": "aac", "rate": 25}),
        ("clip.mkv", {"audio": "flac", "rate": NTSC}),
        ("clip.webm", {"codec": "libvpx-vp9", "audio": "libopus", "rate": 24}),
        ("clip.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "rate": NTSC}),
        ("clip.ts", {"rate": 50}),
        ("clip.mpg", {"codec": "mpeg2video"}),
        ("clip.wmv", {"codec": "wmv2"}),
        ("clip.flv", {"codec": "flv"}),
    ],
)
def test_every_frame_arrives_at_its_time_with_the_audio_untouched(tmp_path, name, options):
    source = make_clip(tmp_path / name, frames=14, **options)
    output = transcode(source)

    assert numbers(output) == list(range(14))
    assert shown_times(output) == shown_times(source)
    with av.open(output) as container:
        stream = container.streams.video[0]
        assert (container.format.name[:7], stream.codec_context.name, stream.pix_fmt) == (
            "mov,mp4",
            "h264",
            "yuv420p",
        )
        assert stream.start_time == 0
        assert stream.frames == 14
        if source.suffix in {".mp4", ".mov", ".avi", ".ts"}:  # the others round to milliseconds
            assert stream.average_rate == options.get("rate", 30)
    if "audio" in options:
        assert audio_packets(output) == audio_packets(source)


def test_index_is_in_front_so_that_browsers_start_at_once(tmp_path):
    data = transcode(make_clip(tmp_path / "clip.mp4", audio="aac")).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("name", "time_base", "pts"),
    [
        (
            "phone.mp4",
            Fraction(1, 90_000),
            [0, 2999, 6004, 9003, 30_011, 30_012, 60_001, 90_000],
        ),
        ("screen.mkv", Fraction(1, 1000), [0, 7, 40, 41, 500, 533, 567, 600, 1600, 1601]),
    ],
)
def test_varying_frame_times_are_exact(tmp_path, name, time_base, pts):
    source = make_clip(tmp_path / name, pts=pts, time_base=time_base)
    output = transcode(source)

    assert shown_times(output) == [p * time_base for p in pts]
    assert [f.time for f in read(source)[1]] == [p * time_base for p in pts]
    assert numbers(output) == list(range(len(pts)))


def corners(number: int) -> Image:
    """Red, green, blue and yellow corners, clockwise from the top left."""
    image = numbered_image(number, (96, 64))
    image[:32, :48], image[:32, 48:] = (200, 30, 30), (30, 200, 30)
    image[32:, 48:], image[32:, :48] = (30, 30, 200), (200, 200, 30)
    return image


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_output_shows_the_way_up_that_players_show_the_source(tmp_path, rotation, mirrored):
    source = make_clip(
        tmp_path / "phone.mp4", rotation=rotation, size=(96, 64), mirrored=mirrored, picture=corners
    )
    shown = np.rot90(corners(0), rotation // 90)
    if mirrored:
        shown = shown[:, ::-1]

    info, frames = read(source)
    assert (info.height, info.width) == shown.shape[:2]
    assert np.abs(frames[0].rgb().astype(int) - shown).mean() < 3
    info, frames = read(transcode(source))
    assert np.abs(frames[0].rgb().astype(int) - shown).mean() < 4
    assert info.rotation == 0


def test_rotation_is_reported_counter_clockwise(tmp_path):
    assert read(make_clip(tmp_path / "phone.mp4", rotation=90))[0].rotation == 90
    assert read(make_clip(tmp_path / "phone2.mp4", rotation=-90))[0].rotation == 270


def test_odd_sizes_gain_a_pixel_at_the_far_edges_only(tmp_path):
    source = make_clip(tmp_path / "odd.mkv", size=(65, 47), codec="ffv1", pix_fmt="yuv444p")
    info, frames = read(transcode(source))
    assert (info.width, info.height) == (66, 48)
    assert np.abs(frames[3].rgb().astype(int) - numbered_image(3, (66, 48))).max() <= 3


def patches(_: int) -> Image:
    """Smooth colours of every kind."""
    small = np.random.default_rng(1).integers(40, 215, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (320, 192), interpolation=cv2.INTER_CUBIC)


BT709, BT601, LIMITED, FULL = 1, 6, 1, 2


@pytest.mark.parametrize(
    ("color", "pix_fmt"),
    [
        ((BT709, LIMITED), "yuv420p"),
        ((BT601, LIMITED), "yuv420p"),
        ((BT601, FULL), "yuvj420p"),
        ((BT709, FULL), "yuv420p"),
        ((BT709, LIMITED), "yuv420p10le"),
        (None, "yuv420p"),
    ],
)
def test_colours_and_brightness_stay(tmp_path, color, pix_fmt):
    codec = "libx265" if pix_fmt.endswith("10le") else "libx264"
    source = make_clip(
        tmp_path / "clip.mp4", 3, size=(320, 192), picture=patches, color=color, pix_fmt=pix_fmt, codec=codec
    )
    info, frames = read(source)
    assert info.color_matrix == (color[0] if color else BT601)
    before = frames[1].rgb().astype(float)
    after = read(transcode(source))[1][1].rgb().astype(float)
    assert np.abs((before - patches(0)).mean((0, 1))).max() < 1.2
    assert np.abs((after - before).mean((0, 1))).max() < 0.5
    assert np.abs(after - before).mean() < 2
    with av.open(transcode(source)) as container:
        first = next(container.decode(video=0))
        assert (first.colorspace, first.color_range) == (info.color_matrix, LIMITED)


def test_key_frames_are_the_encoders_choice_and_not_the_sources(tmp_path):
    """Else a source of key frames alone, as cameras write, would make an output several times as large."""
    source = make_clip(tmp_path / "clip.avi", 12, codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(transcode(source)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [True] + [False] * 11


@pytest.mark.parametrize(("width", "matrix"), [(640, BT601), (1280, BT709)])
def test_untagged_pictures_are_read_with_the_matrix_that_players_assume(tmp_path, width, matrix):
    """BT.601 for standard definition, BT.709 for high definition, whatever the coder left out."""

    def picture(number):
        return np.full((width * 9 // 16, width, 3), (180, 60, 40), np.uint8)

    _, (frame,) = read(make_clip(tmp_path / "clip.mp4", 1, size=(width, width * 9 // 16), picture=picture))
    coded = [np.median(plane) for plane in frame.planes]
    seen = np.median(frame.rgb(), axis=(0, 1), keepdims=True).astype(np.uint8)
    assert rgb_to_yuv(seen, matrix)[0, 0] == pytest.approx(coded, abs=1)


@pytest.mark.parametrize(("rotation", "expected"), [(0, Fraction(4, 3)), (90, Fraction(3, 4))])
def test_pixel_shape_is_kept(tmp_path, rotation, expected):
    source = make_clip(tmp_path / "wide.mp4", sample_aspect_ratio=Fraction(4, 3), rotation=rotation)
    with av.open(transcode(source)) as container:
        assert container.streams.video[0].sample_aspect_ratio == expected


@pytest.mark.parametrize(("until", "count"), [(Fraction(1, 100), 1), (Fraction(1, 2), 15), (Fraction(0), 1)])
def test_until_takes_the_frames_before_a_time_and_cuts_the_audio(tmp_path, until, count):
    source = make_clip(tmp_path / "clip.mp4", frames=60, audio="aac")
    output = transcode(source, until)
    assert numbers(output) == list(range(count))
    assert len(audio_packets(output)) == 1 + -(-until * 48_000 // 1024)  # 1: before time 0, for the decoder
    with Video.open(source) as video:
        list(video.frames(until))
        assert video.decode_warning is None


def test_one_frame_lasts_as_long_as_its_rate_says(tmp_path):
    output = transcode(make_clip(tmp_path / "clip.mp4", rate=5), Fraction(1, 100))
    assert read(output)[0].duration_s == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mov", "pcm_s16le"), ("a.mkv", "mp2"), ("a.avi", "pcm_mulaw")]
)
def test_audio_that_players_do_not_take_from_an_mp4_becomes_aac(tmp_path, name, codec):
    source = make_clip(tmp_path / name, 30, audio=codec, codec="mpeg4")
    with av.open(transcode(source)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert sound.shape[1] / 48_000 == pytest.approx(1, abs=0.06)
    assert np.sqrt((sound**2).mean()) == pytest.approx(0.2 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts"])
def test_audio_stays_in_step_with_the_pictures(tmp_path, name):
    source = make_clip(tmp_path / name, 30, audio="aac", audio_delay=Fraction(1, 4))

    def audio_lead(path: Path) -> float:
        with av.open(path) as container:
            picture = next(container.decode(video=0)).time
        with av.open(path) as container:
            return next(container.decode(audio=0)).time - picture

    assert audio_lead(transcode(source)) == pytest.approx(audio_lead(source), abs=0.001)


def test_aac_of_a_transport_stream_loses_its_packet_headers_only(tmp_path):
    source = make_clip(tmp_path / "clip.ts", audio="aac")
    adts_header = 7
    assert audio_packets(transcode(source)) == [p[adts_header:] for p in audio_packets(source)]


def test_every_audio_track_comes_along(tmp_path):
    one = make_clip(tmp_path / "one.mp4", audio="aac")
    two = tmp_path / "two.mp4"
    with av.open(one) as a, av.open(one) as b, av.open(two, "w") as out:
        tracks = [a.streams.video[0], a.streams.audio[0], b.streams.audio[0]]
        streams = [out.add_stream_from_template(stream, opaque=True) for stream in tracks]
        for packet in a.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
        for packet in b.demux(audio=0):
            if packet.size:
                packet.stream = streams[2]
                out.mux(packet)
    with av.open(transcode(two)) as container:
        assert len(container.streams.audio) == 2


def test_failed_work_leaves_no_file(tmp_path):
    source = make_clip(tmp_path / "clip.mp4", audio="aac")
    before = source.read_bytes()
    with pytest.raises(RuntimeError), Video.open(source) as video:
        with SegmentWriter(tmp_path / "out.nut", video.info) as segment:
            for frame in video.frames():
                segment.write(frame)
                if frame.index == 5:
                    raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    with pytest.raises(RuntimeError), Video.open(source) as video:
        with VideoWriter(tmp_path / "out.mp4", video.info, source) as writer:
            with SegmentWriter(tmp_path / "out.nut", video.info) as segment:
                for frame in video.frames():
                    segment.write(frame)
            writer.append(tmp_path / "out.nut")
            (tmp_path / "out.nut").unlink()
            raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    assert source.read_bytes() == before


def test_output_never_overwrites_its_source(tmp_path):
    source = make_clip(tmp_path / "clip.mp4")
    before = source.read_bytes()
    with Video.open(source) as video, pytest.raises(SourceIsOutput, match=r"clip\.mp4"):
        VideoWriter(source, video.info, source)
    assert source.read_bytes() == before


def text_file(path: Path) -> None:
    path.write_text("not a video\n" * 100)


def sound_only(path: Path) -> None:
    with av.open(path, "w", format="mp4") as container:
        track = container.add_stream("aac", rate=48_000)
        for i in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            frame.sample_rate, frame.pts = 48_000, i * 1024
            container.mux(track.encode(frame))
        container.mux(track.encode())


def song_with_cover(path: Path) -> None:
    with av.open(path, "w", format="mp4") as container:
        track = container.add_stream("aac", rate=48_000)
        cover = container.add_stream("png", rate=1)
        cover.codec_context.width, cover.codec_context.height, cover.codec_context.pix_fmt = 64, 48, "rgb24"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered_image(1, (64, 48)), format="rgb24")))
        container.mux(cover.encode())
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        silence.sample_rate = 48_000
        container.mux(track.encode(silence))
        container.mux(track.encode())


def unknown_codec(path: Path) -> None:
    clip = make_clip(path.with_name("clip.mkv")).read_bytes()
    path.write_bytes(clip.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))


def cut_before_its_index(path: Path) -> None:
    make_clip(path, 30)
    path.write_bytes(path.read_bytes()[:2000])


def playlist(path: Path) -> None:
    other = make_clip(path.with_name("other.ts"))
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n")


def script(path: Path) -> None:
    other = make_clip(path.with_name("other.ts"))
    path.write_text(f"ffconcat version 1.0\nfile {other.name}\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.touch, "is empty"),
        (text_file, "not a video that can be read.*MP4"),
        (sound_only, "no video stream"),
        (song_with_cover, "no video stream"),
        (unknown_codec, "not known here"),
        (cut_before_its_index, "index is missing"),
        (playlist, "not a video"),
        (script, "not a video"),
    ],
)
def test_what_is_no_video_is_refused_by_name(tmp_path, make, message):
    path = tmp_path / "upload.mp4"
    make(path)
    with pytest.raises(InvalidMedia, match=rf"upload\.mp4.*{message}"):
        Video.open(path)
    assert path not in {link.resolve() for link in Path("/proc/self/fd").iterdir()}


def test_pictures_above_the_limit_are_refused(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", size=(64, 48))
    with pytest.raises(TooLarge, match=r"clip\.mp4.*64x48"):
        Video.open(path, max_pixels=64 * 48 - 1)
    with Video.open(path, max_pixels=64 * 48) as video:
        assert video.info.width == 64


def test_cut_file_gives_what_is_readable_and_says_what_is_missing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), dtype=np.uint8)
    path = make_clip(tmp_path / "clip.mp4", 60, faststart=True, audio="aac", picture=lambda i: noise[i])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    output = transcode(path)
    with Video.open(path) as video:
        read_frames = len(list(video.frames()))
        assert 20 < read_frames < 40
        assert video.info.frame_count == 60
        assert video.missing_frames == 60 - read_frames
        assert f"{read_frames} of 60 frames" in (video.decode_warning or "")
    assert len(read(output)[1]) == read_frames


def test_cut_matroska_says_about_how_much_is_missing(tmp_path):
    path = make_clip(tmp_path / "clip.mkv", 60, rate=10)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with Video.open(path) as video:
        read_frames = len(list(video.frames()))
        assert video.missing_frames == pytest.approx(60 - read_frames, abs=1)
        assert "About" in (video.decode_warning or "")


def test_damage_in_the_middle_is_skipped_over(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    path = make_clip(tmp_path / "clip.mp4", 40, faststart=True, picture=lambda i: noise[i])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = bytes(6000)
    path.write_bytes(data)
    with Video.open(path) as video:
        frames = list(video.frames())
        assert len(frames) >= 35
        assert frames[-1].time > 1.2
        assert video.decode_warning


def test_damaged_audio_costs_no_picture(tmp_path):
    source = make_clip(tmp_path / "clip.ts", 20, audio="aac")
    adts_header = audio_packets(source)[9][:7]
    data = source.read_bytes()
    assert adts_header in data
    source.write_bytes(data.replace(adts_header, bytes(7), 1))
    output = transcode(source)
    assert numbers(output) == list(range(20))
    assert len(audio_packets(output)) >= 20


def test_joined_streams_keep_one_size_and_run_on(tmp_path):
    small = make_clip(tmp_path / "small.ts", 60, size=(64, 48))
    large = make_clip(tmp_path / "large.ts", 60, size=(128, 96))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    _, frames = read(joined)
    assert len(frames) == 120
    assert {f.size for f in frames} == {(48, 64)}
    assert frames[-1].time == pytest.approx(119 / 30, abs=0.1)
    assert len(read(transcode(joined))[1]) == 120


def test_larger_pictures_later_on_are_refused_too(tmp_path):
    small = make_clip(tmp_path / "small.ts", size=(64, 48))
    large = make_clip(tmp_path / "large.ts", size=(128, 96))
    small.write_bytes(small.read_bytes() + large.read_bytes())
    with Video.open(small, max_pixels=64 * 48) as video, pytest.raises(TooLarge, match="128x96"):
        list(video.frames())


@pytest.mark.parametrize("tag", [b"xx:00:00.400000000", b"\xff" * 18])
def test_tags_that_make_no_sense_are_no_trouble(tmp_path, tag):
    path = make_clip(tmp_path / "clip.mkv")
    data = path.read_bytes()
    assert b"00:00:00.400000000" in data
    path.write_bytes(data.replace(b"00:00:00.400000000", tag))
    assert read(path)[0].duration_s == pytest.approx(0.4)
    assert len(read(transcode(path))[1]) == 12


def test_video_without_declared_length_has_none(tmp_path):
    info, _ = read(make_clip(tmp_path / "clip.ts"))
    assert info.frame_count is None
    assert not info.scan.sounds


@pytest.mark.parametrize("name", ["even.mp4", "phone.mkv"])
def test_a_video_of_many_segments_is_that_of_one(tmp_path, name):
    """Its frames, their times and the audio; only that each segment starts with a key frame."""
    pts = (
        {"pts": [7 * i * i for i in range(30)], "time_base": Fraction(1, 1000)} if name == "phone.mkv" else {}
    )
    source = make_clip(tmp_path / name, 30, rate=NTSC, audio="aac", audio_delay=Fraction(1, 5), **pts)
    seen = []
    for segment in (None, 7, 1):
        output = transcode(source, segment=segment)
        with av.open(output) as container:
            packets = [p for p in container.demux(video=0) if p.size]
        keys = {i for i, packet in enumerate(packets) if packet.is_keyframe}
        assert keys == set(range(0, 30, segment or 30))
        seen.append((numbers(output), shown_times(output), audio_packets(output), read(output)[0]))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][:2] == (list(range(30)), shown_times(source))


def test_a_segment_opens_nothing_but_itself(tmp_path):
    for name, content in (
        ("video.nut", make_clip(tmp_path / "clip.mp4").read_bytes()),
        ("list.nut", b"ffconcat version 1.0\nfile clip.mp4\n"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(av.FFmpegError):
            open_segment(path)


def test_a_segment_that_was_coded_in_another_way_is_noticed(tmp_path):
    source = make_clip(tmp_path / "clip.mp4")
    other = make_clip(tmp_path / "other.mp4", size=(96, 64))
    with Video.open(source) as video, SegmentWriter(tmp_path / "0.nut", video.info) as segment:
        for frame in video.frames():
            segment.write(frame)
    with Video.open(source) as video:
        check_segment(tmp_path / "0.nut", video.info, 12)
        with pytest.raises(ValueError, match="has 12 frames, expected 11"):
            check_segment(tmp_path / "0.nut", video.info, 11)
    with Video.open(other) as video, pytest.raises(ValueError, match=r"0\.nut is coded in another way"):
        check_segment(tmp_path / "0.nut", video.info, 12)


def test_frames_are_the_same_from_any_of_them_on(tmp_path):
    source = make_clip(
        tmp_path / "clip.mkv", 20, pts=[3 * i * i for i in range(20)], time_base=Fraction(1, 1000)
    )
    skipped = []
    with Video.open(source) as video:
        rest = list(video.frames(first=13, on_skipped=lambda: skipped.append(1)))
        assert video.missing_frames == 0
    assert len(skipped) == 13
    assert [(f.index, f.pts, f.time) for f in rest] == [
        (f.index, f.pts, f.time) for f in read(source)[1][13:]
    ]
    assert [number_of(frame.rgb()) for frame in rest] == list(range(13, 20))


def test_no_other_protocol_than_files_is_spoken(tmp_path: Path) -> None:
    """Also where a name got to the demuxer as it is: these bytes alone would be a video that is read."""
    clip = make_clip(tmp_path / "clip.mp4", 2)
    name = f"subfile,,start,0,end,{clip.stat().st_size},,:{clip}"
    with av.open(name) as container:
        assert container.streams.video

    class Named(type(clip)):  # type: ignore[misc]
        def absolute(self) -> str:
            return name

    with pytest.raises(InvalidMedia, match="not a video that can be read"):
        open_container(Named(clip))

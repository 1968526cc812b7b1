"""Videos that change on the way, have more than one stream, or more than pictures and sound."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pothole.errors import InvalidMedia
from pothole.media import Video
from support.clips import make_clip, numbered_image
from support.recordings import camera_clip, heard, mark, marked_clip, out_of_sync, remux, shown
from support.telemetry import with_payloads

BT709, BT601, LIMITED, FULL = 1, 6, 1, 2
GREEN = (20, 190, 20)


def green(size):
    return lambda number: np.full((size[1], size[0], 3), GREEN, np.uint8)


def join(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def pictures(path: Path) -> list[np.ndarray]:
    with Video.open(path) as video:
        return [frame.rgb().astype(int) for frame in video.frames()]


@pytest.mark.parametrize(
    ("first", "second", "bars"),
    [((96, 54), (54, 96), (slice(None), slice(0, 30))), ((96, 64), (96, 32), (slice(0, 14), slice(None)))],
)
def test_pictures_of_another_shape_are_shown_whole_between_black_bars(tmp_path, first, second, bars):
    parts = [
        make_clip(tmp_path / f"{i}.ts", 15, size=size, picture=green(size))
        for i, size in enumerate((first, second))
    ]
    output, video = mark(join(tmp_path / "turned.ts", *parts))
    seen = pictures(output)
    assert len(seen) == 30
    assert {picture.shape[:2] for picture in seen} == {first[::-1]}
    assert seen[20][bars].max() < 12
    middle = seen[20][first[1] // 2 - 3 : first[1] // 2 + 3, first[0] // 2 - 3 : first[0] // 2 + 3]
    assert np.abs(middle - GREEN).max() < 6
    # In proportion: as much of the picture is green as the smaller of both ratios leaves.
    shape = min(first[0] / first[1], second[0] / second[1]) / max(first[0] / first[1], second[0] / second[1])
    share = (np.abs(seen[20] - GREEN).max(axis=2) < 30).mean()
    assert share == pytest.approx(shape, abs=0.05)
    assert video.decode_warning is None


def test_pictures_of_the_same_shape_fill_the_first_ones_size(tmp_path):
    parts = [
        make_clip(tmp_path / f"{i}.ts", 15, size=size, picture=green(size))
        for i, size in enumerate([(96, 54), (192, 108)])
    ]
    seen = pictures(mark(join(tmp_path / "larger.ts", *parts))[0])
    assert np.abs(seen[20] - GREEN).max() < 8


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((BT601, LIMITED), (BT709, LIMITED)),
        ((BT709, LIMITED), (BT601, LIMITED)),
        ((BT709, LIMITED), (BT709, FULL)),
    ],
)
def test_each_part_is_read_in_its_own_colours(tmp_path, first, second):
    parts = [
        make_clip(tmp_path / f"{i}.ts", 15, size=(64, 48), picture=green((64, 48)), color=color)
        for i, color in enumerate((first, second))
    ]
    seen = pictures(mark(join(tmp_path / "colours.ts", *parts))[0])
    for picture in (seen[5], seen[25]):
        assert np.abs(np.median(picture, axis=(0, 1)) - GREEN).max() <= 4


def combs(picture: np.ndarray) -> float:
    """By how much rows differ from those above and below, which are alike."""
    grey = picture.mean(axis=2)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


@pytest.mark.parametrize("interlaced", [True, False])
def test_interlaced_pictures_become_whole_ones_and_no_others_are_touched(tmp_path, interlaced):
    source = camera_clip(tmp_path / "camera.mts", interlaced)
    output, _ = mark(source)
    with av.open(source) as container:
        before = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]
    after = pictures(output)
    assert [time for time, _ in shown(output)] == pytest.approx([i / 25 for i in range(16)], abs=0.001)
    if interlaced:
        assert combs(after[8]) < combs(before[8]) / 4
    else:
        assert combs(after[8]) == pytest.approx(combs(before[8]), rel=0.1)


def test_interlaced_pictures_stay_as_they_are_where_that_is_asked_for(tmp_path):
    source = camera_clip(tmp_path / "camera.mts", interlaced=True)
    with Video.open(source) as whole, Video.open(source, deinterlace=False) as fields:
        after, before = (list(video.frames())[8].rgb().astype(int) for video in (whole, fields))
    assert combs(after) < combs(before) / 4


def two_views(path: Path) -> Path:
    """Front and rear, the rear one larger, in one file."""
    front = marked_clip(path.with_name("front.mp4"), [12, 30], 40)
    rear = make_clip(
        path.with_name("rear.mp4"), 40, size=(128, 96), picture=lambda i: numbered_image(70 - i, (128, 96))
    )
    with av.open(front) as a, av.open(rear) as b, av.open(path, "w") as output:
        streams = [output.add_stream_from_template(s, opaque=True) for s in (*a.streams, *b.streams)]
        for container, offset in ((a, 0), (b, 2)):
            for packet in container.demux():
                if packet.size:
                    packet.stream = streams[offset + packet.stream_index]
                    output.mux(packet)
    return path


@pytest.mark.parametrize("name", ["both.mp4", "both.mkv", "both.ts"])
def test_of_two_video_streams_the_first_is_marked_and_the_other_named(tmp_path, name):
    source = two_views(tmp_path / name)
    output, video = mark(source)
    assert [number for _, number in shown(output)] == list(range(40))
    assert out_of_sync(output, [12, 30]) < 0.025
    assert video.decode_warning == "The file has 2 video streams: 0 (64x48) was marked, not 1 (128x96)."
    with Video.open(source, stream=1) as rear:
        assert [f.size for f in rear.frames()] == [(96, 128)] * 40
        assert "1 (128x96) was marked, not 0 (64x48)" in (rear.decode_warning or "")


@pytest.mark.parametrize("stream", [2, -1])
def test_a_video_stream_that_is_not_there_is_refused(tmp_path, stream):
    with pytest.raises(InvalidMedia, match=f"no video stream {stream}.*counted from 0"):
        Video.open(two_views(tmp_path / "both.mp4"), stream=stream)


def test_what_a_video_says_of_itself_comes_along(tmp_path):
    clip = marked_clip(tmp_path / "clip.mp4", [10, 20])
    source = tmp_path / "tags.mov"
    tags = {
        "creation_time": "2024-05-01T10:00:00.000000Z",
        "location": "+46.0500+014.5000/",
        "title": "A road",
    }
    with av.open(clip) as inputs, av.open(source, "w", format="mp4") as output:
        output.metadata.update(tags)
        output.set_chapters(
            [
                {
                    "id": i,
                    "start": 1000 * i,
                    "end": 1000 * i + 1000,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": t},
                }
                for i, t in enumerate("AB")
            ]
        )
        streams = [output.add_stream_from_template(s, opaque=True) for s in inputs.streams]
        streams[0].metadata.update({"language": "slv", "timecode": "01:02:03:04"})
        streams[1].metadata["language"] = "deu"
        for packet in inputs.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                output.mux(packet)
    output, _ = mark(source)
    with av.open(output) as container:
        assert {key: container.metadata.get(key) for key in tags} == tags
        assert [s.language for s in (*container.streams.video, *container.streams.audio)] == ["slv", "deu"]
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
        found = [
            (c["metadata"]["title"], c["start"] * c["time_base"], c["end"] * c["time_base"])
            for c in container.chapters()
        ]
        assert found == [("A", 0, 1), ("B", 1, 2)]


def test_telemetry_of_a_camera_comes_along_at_its_times(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 60)
    payloads = [b"DEVC" + bytes([i]) * 12 for i in range(2)]
    marked, video = mark(with_payloads(clip, payloads, tmp_path / "camera.mp4"))
    with av.open(marked) as container:
        [telemetry] = container.streams.data
        packets = [p for p in container.demux(telemetry) if p.size]
        assert [bytes(p) for p in packets] == payloads
        assert [p.pts * p.time_base for p in packets] == [0, 1]
    assert b"gpmd" in marked.read_bytes()
    assert video.decode_warning is None


@pytest.mark.parametrize("suffix", [".ts", ".flv"])
def test_sound_that_is_switched_on_on_the_way_is_found_or_said_to_be_left_out(tmp_path, suffix):
    """FFmpeg looks for streams at the beginning of a file, and at the end of some."""
    noise = np.random.default_rng(0).integers(0, 255, (80, 240, 320, 3), dtype=np.uint8)
    clip = marked_clip(
        tmp_path / "clip.mp4",
        [200, 230],
        270,
        rate=30,
        size=(320, 240),
        picture=lambda i: noise[i % 80],
        options={"bf": "0"},
    )
    source = tmp_path / f"late{suffix}"
    spans = [(0, 6, False), (6, Fraction(39, 5), True), (Fraction(39, 5), 9, False)]
    if suffix == ".flv":
        remux(clip, source, lambda stamp: stamp.kind == "video" or 6 <= stamp.shown < 8)
    else:
        join(
            source,
            *(part(clip, tmp_path / f"{float(begin)}.ts", begin, end, loud) for begin, end, loud in spans),
        )
    output, video = mark(source)
    with av.open(output) as container:
        assert container.streams.video[0].frames == 270
        audible = bool(container.streams.audio)
    if audible:
        assert heard(output) == pytest.approx([200 / 30, 230 / 30], abs=0.025)
    assert audible == (suffix == ".flv")
    assert video.missing_frames == 0
    assert ("begins in the middle" in (video.decode_warning or "")) == (not audible)


def part(clip: Path, path: Path, begin: Fraction, end: Fraction, loud: bool) -> Path:
    """Some seconds of a clip, with its sound or as if it had none."""
    with av.open(clip) as inputs, av.open(path, "w") as output:
        chosen = inputs.streams if loud else inputs.streams.video
        streams = {s.index: output.add_stream_from_template(s, opaque=True) for s in chosen}
        for packet in inputs.demux(*chosen):
            if packet.size and begin <= packet.dts * packet.time_base < end:
                packet.stream = streams[packet.stream_index]
                output.mux(packet)
    return path

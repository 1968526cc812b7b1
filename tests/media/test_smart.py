"""Smart rendering: what was not changed is copied packet for packet, and the whole plays."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pothole.media import Video, VideoWriter
from pothole.media.segment import check_frames_of
from pothole.media.smart.chunks import Chunks
from pothole.media.smart.parameter_sets import ParameterSets
from pothole.media.smart.plan import Rendering
from pothole.media.smart.segment import CopyingSegmentWriter
from support.browser import CHROMIUM, show
from support.clips import make_clip, number_of

FRAMES = 60
GOP = 12
PLAIN = {"g": str(GOP), "crf": "20", "sc_threshold": "0"}
# A whole GOP is changed, a frame in the middle of one, the last frame of one, and nothing in the others.
CHANGED = {*range(12, 24), 29, 47}


def render(
    source: Path, output: Path, changed: set[int] = CHANGED, segment: int = FRAMES, first: int = 0
) -> int:
    """Mark some frames of a clip by a change; return how many frames were copied."""
    with Video.open(source) as video:
        plan = Rendering.of("smart", source, video.info, None).plan
        assert plan
        packets = Chunks(source, video.info, plan)
        with VideoWriter(output, video.info, source, plan=plan) as writer:
            frames = list(video.frames())
            for start in range(first, len(frames), segment):
                piece = output.with_name(f"{start}.nut")
                with CopyingSegmentWriter(piece, video.info, plan, packets) as coded:
                    for frame in frames[start : start + segment]:
                        coded.write(frame.copy() if frame.index in changed else frame, frame.index in changed)
                check_frames_of(piece, plan.head, len(frames[start : start + segment]))
                writer.append(piece)
        packets.close()
        return writer.copied_frames


def packets_of(path: Path, moved: int = 0) -> set[tuple[Fraction, bytes]]:
    """Times in seconds and bytes of the coded pictures of a clip, moved to later by so many 30ths."""
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        return {(p.pts * p.time_base + Fraction(moved, 30), bytes(p)) for p in packets if not p.is_discard}


def decoded(path: Path) -> tuple[list[int], list[Fraction]]:
    """Numbers and times of the pictures of a clip, decoded by one that takes no damage and says nothing."""
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as messages:
            numbers, times = _decoded(path)
    finally:
        av.logging.set_level(None)
    assert messages == []
    return numbers, times


def _decoded(path: Path) -> tuple[list[int], list[Fraction]]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1  # other threads cannot be heard
        frames = list(container.decode(stream))
        assert stream.time_base
        assert not any(frame.is_corrupt for frame in frames)
        return (
            [number_of(frame.to_ndarray(format="rgb24")) for frame in frames],
            [(frame.pts or 0) * stream.time_base for frame in frames],
        )


@pytest.mark.parametrize(
    ("options", "copied"),
    [
        ({"options": PLAIN | {"bf": "0"}}, 12 + 5 + 11 + 12),
        ({"options": PLAIN | {"bf": "2"}, "audio": "aac"}, 12 + 4 + 10 + 12),
        ({"options": PLAIN | {"bf": "5", "b-pyramid": "normal", "refs": "4"}}, None),
        ({"options": PLAIN | {"g": "30", "bf": "3"}}, None),
        (
            {"options": PLAIN | {"g": "6", "preset": "slow"}, "audio": "aac", "audio_delay": Fraction(1, 5)},
            None,
        ),
        ({"options": PLAIN | {"profile": "baseline"}}, None),
        (
            {
                "options": PLAIN | {"bf": "2"},
                "time_base": Fraction(1, 600),
                "pts": [20 * i + (7 * i) % 13 for i in range(FRAMES)],
            },
            None,
        ),
    ],
    ids=["plain", "b-frames", "pyramid", "long", "short", "baseline", "uneven"],
)
def test_what_was_not_changed_is_copied_and_all_can_be_decoded(
    tmp_path: Path, options: dict[str, Any], copied: int | None
) -> None:
    source = make_clip(tmp_path / "clip.mp4", FRAMES, **options)
    count = render(source, tmp_path / "out.mp4")
    same = packets_of(source) & packets_of(tmp_path / "out.mp4")
    assert len(same) == count
    assert count == copied if copied else 0 < count <= FRAMES - len(CHANGED)
    numbers, times = decoded(tmp_path / "out.mp4")
    assert numbers == list(range(FRAMES))
    expected = decoded(source)[1]
    assert [t - times[0] for t in times] == [t - expected[0] for t in expected]
    with av.open(tmp_path / "out.mp4") as container:
        context = container.streams.video[0].codec_context
        assert context.codec_tag == "avc1"
        sets = ParameterSets.of(context.extradata or b"")
    # A strict decoder, such as OpenH264, drops pictures that wait when this changes on the way.
    reordered, new = (replace(sets, sequences=(unit,)).buffering for unit in sets.sequences)
    assert reordered and (new == reordered or not reordered.reordered)


def test_without_a_mark_all_packets_are_the_sources(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mov", FRAMES, options=PLAIN | {"bf": "2"})
    assert render(source, tmp_path / "out.mp4", set()) == FRAMES
    assert packets_of(source) == packets_of(tmp_path / "out.mp4")


def test_with_marks_everywhere_no_packet_is_the_sources(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", FRAMES, options=PLAIN)
    assert render(source, tmp_path / "out.mp4", set(range(FRAMES))) == 0
    assert decoded(tmp_path / "out.mp4")[0] == list(range(FRAMES))


@pytest.mark.parametrize("segment", [7, 12, 17])
def test_segments_may_end_anywhere(tmp_path: Path, segment: int) -> None:
    source = make_clip(tmp_path / "clip.mp4", FRAMES, options=PLAIN | {"bf": "2"})
    copied = render(source, tmp_path / "out.mp4", segment=segment)
    assert copied == (38 if segment == GOP else copied)
    assert copied == len(packets_of(source) & packets_of(tmp_path / "out.mp4"))
    assert decoded(tmp_path / "out.mp4")[0] == list(range(FRAMES))


def cut_by_an_edit_list(folder: Path) -> Path:
    """A clip whose first five frames are hidden, as programs write it that cut without coding."""
    source, path = make_clip(folder / "whole.mp4", FRAMES, options=PLAIN | {"bf": "2"}), folder / "clip.mp4"
    with av.open(source) as whole, av.open(path, "w") as output:
        stream = output.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.pts is not None and packet.dts is not None:
                shift = round(5 / 30 / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                output.mux(packet)
    return path


def test_what_an_edit_list_hides_stays_hidden(tmp_path: Path) -> None:
    source = cut_by_an_edit_list(tmp_path)
    shown, _ = decoded(source)
    assert len(shown) < FRAMES
    copied = render(source, tmp_path / "out.mp4", {29})
    numbers, times = decoded(tmp_path / "out.mp4")
    assert numbers == shown and times[0] == 0
    assert copied == len(packets_of(source) & packets_of(tmp_path / "out.mp4")) >= 3 * GOP


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("clip.mp4", {"codec": "libx265"}, "It is coded as hevc, hev1."),
        ("clip.mp4", {"rotation": 90}, "Its pictures are turned"),
        ("clip.mp4", {"mirrored": True}, "Its pictures are turned"),
        ("clip.mp4", {"size": (63, 47), "pix_fmt": "yuv444p"}, "Its pixels are yuv444p."),
        ("clip.mp4", {"pix_fmt": "yuv420p10le"}, "Its pixels are yuv420p10le."),
        ("clip.mp4", {"options": PLAIN | {"x264-params": "open-gop=1:bframes=3"}}, "Its GOPs are open."),
        ("clip.mp4", {"interlaced": True}, "Its pictures are not all progressive"),
        ("clip.mp4", {"color": (1, 2)}, ""),
        ("clip.mkv", {}, "It is "),
        ("clip.ts", {}, "It is "),
    ],
)
def test_what_does_not_fit_is_coded_whole_and_it_says_why(
    tmp_path: Path, name: str, options: dict[str, Any], why: str
) -> None:
    source = make_clip(tmp_path / name, FRAMES, **options)
    with Video.open(source) as video:
        rendering = Rendering.of("smart", source, video.info, None)
    assert rendering.plan is None
    assert rendering.coded_whole and rendering.coded_whole.startswith(why)


def test_a_better_source_is_coded_better(tmp_path: Path) -> None:
    crfs = []
    for crf in (10, 40):
        rng = np.random.default_rng(1)
        source = make_clip(
            tmp_path / f"{crf}.mp4",
            size=(320, 240),
            picture=lambda number, rng=rng: rng.integers(0, 255, (240, 320, 3), np.uint8),
            options={"crf": str(crf)},
        )
        with Video.open(source) as video:
            plan = Rendering.of("smart", source, video.info, None).plan
        assert plan
        crfs.append(plan.crf)
    assert 16 <= crfs[0] < crfs[1] <= 24


# Plays to the end, then seeks into each place; reports what it drew there, as grey levels.
SEEKER = """<!doctype html><video muted src="out.mp4"></video><script>
const video = document.querySelector("video"), places = %s, seen = [];
const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
canvas.width = canvas.height = 1;
const report = more => fetch("/report", {method: "POST", body: JSON.stringify({seen, ...more})});
let played = null;
video.oncanplaythrough = () => { video.oncanplaythrough = null; video.play(); };
video.onerror = () => report({error: video.error.message});
video.onended = () => {
  const quality = video.getVideoPlaybackQuality();
  played = {frames: quality.totalVideoFrames, corrupted: quality.corruptedVideoFrames,
            time: video.currentTime};
  video.currentTime = places[0];
};
video.onseeked = () => {
  context.drawImage(video, 0, 0, 1, 1);
  seen.push(context.getImageData(0, 0, 1, 1).data[0]);
  if (seen.length == places.length) report({error: null, ...played});
  else video.currentTime = places[seen.length];
};
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_plays_it_to_the_end_and_seeks_into_both_kinds(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", FRAMES, options=PLAIN | {"bf": "2"}, audio="aac")
    assert 0 < render(source, tmp_path / "out.mp4") < FRAMES
    numbers = [40, 16, 5, 34, 29, 59]  # copied, coded, copied, coded on the way, its first, copied
    places = [(number + 0.5) / 30 for number in numbers]
    seen, _ = show(tmp_path, (SEEKER % places).encode())
    assert seen["error"] is None
    assert (seen["frames"], seen["corrupted"]) == (FRAMES, 0)
    assert seen["time"] == pytest.approx(FRAMES / 30, abs=0.1)
    assert [round((grey - 20) / 3) for grey in seen["seen"]] == numbers

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pothole.detections import Detections
from pothole.media import Frame, Video
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.report import ReportSink
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracker import Track
from support.clips import make_clip

BOX = (10.25, 20.5, 30.0, 28.0)
TRACK = Track(1, 1, 2, Fraction(1001, 30000), Fraction(2002, 30000), 2, 0.98762, 2, BOX)


def pothole(track_id: int) -> Detections:
    return Detections(
        image_size=(48, 64),
        boxes=np.array([BOX], np.float32),
        scores=np.array([0.98762], np.float32),
        masks=(np.ones((8, 20), bool),),
        track_ids=np.array([track_id], np.int32),
    )


def add(report: ReportSink, path: Path, frames: Sequence[tuple[Frame, Detections]]) -> None:
    """Append a part."""
    part = path.with_name("part.jsonl")
    with report.open_part(part) as writer:
        for frame, detections in frames:
            writer.write(MarkedFrame(frame, detections))
    report.check_part(part, len(frames))
    report.append(part)


def open_report(
    path: Path, video: Video, output: str | None = "s3://b/straße/a clip_output.mp4"
) -> ReportSink:
    source = Source(
        path=path,
        info=video.info,
        until=None,
        address="s3://b/straße/a clip.mp4",
        output=output,
        model="mask-rcnn",
        min_confidence=0.5,
        class_names=("pothole",),
        settings={"frame_interval": 2},
    )
    return ReportSink(path, source)


def written(path: Path, frames: int = 4, cut_to: float = 1.0) -> dict:
    clip = make_clip(path.with_name("clip.mp4"), frames, rate=Fraction(30000, 1001), faststart=True)
    clip.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * cut_to)])
    with Video.open(clip) as video, open_report(path, video) as report:
        found = [
            (f, pothole(f.index and 1) if f.index < 3 else Detections.empty((48, 64))) for f in video.frames()
        ]
        add(report, path, found[:2])
        add(report, path, found[2:])
        report.finish(Summary(1, 3, len(found), 3), [TRACK], video)
    return json.loads(path.read_text(encoding="utf-8"))


def test_report_tells_everything(tmp_path):
    data = written(tmp_path / "clip_output.json")
    record = {"label": "pothole", "score": 0.9876, "box": [10.2, 20.5, 30.0, 28.0], "area": 160}
    polygons = [[10, 20, 10, 27, 29, 27, 29, 20]]
    assert data == {
        "schema": 1,
        "source": "s3://b/straße/a clip.mp4",
        "output": "s3://b/straße/a clip_output.mp4",
        "model": {"name": "mask-rcnn", "min_confidence": 0.5},
        "settings": {"frame_interval": 2},
        "frames": [
            {"index": 0, "time_s": 0.0, "potholes": [record | {"track_id": None, "polygons": polygons}]},
            {"index": 1, "time_s": 0.033367, "potholes": [record | {"track_id": 1, "polygons": polygons}]},
            {"index": 2, "time_s": 0.066733, "potholes": [record | {"track_id": 1, "polygons": polygons}]},
            {"index": 3, "time_s": 0.1001, "potholes": []},
        ],
        "tracks": [
            {
                "id": 1,
                "first_frame": 1,
                "last_frame": 2,
                "first_time_s": 0.033367,
                "last_time_s": 0.066733,
                "hits": 2,
                "max_score": 0.9876,
                "best_frame": 2,
                "best_box": [10.2, 20.5, 30.0, 28.0],
            }
        ],
        "video": {
            "width": 64,
            "height": 48,
            "fps": "30000/1001",
            "fps_float": 29.97003,
            "duration_s": pytest.approx(4 * 1001 / 30000, abs=1e-3),
            "frames_declared": 4,
            "frames_written": 4,
            "copied_frames": 0,
            "coded_whole": None,
            "missing_frames": 0,
            "warning": None,
        },
        "summary": {"potholes": 1, "detections": 3, "frames": 4, "frames_with_potholes": 3, "seen_once": 0},
    }


def test_report_says_what_was_missing(tmp_path):
    data = written(tmp_path / "clip_output.json", frames=40, cut_to=0.8)
    video = data["video"]
    assert video["frames_declared"] == 40
    assert video["missing_frames"] == 40 - video["frames_written"] > 0
    assert "of 40 frames" in video["warning"]


@pytest.mark.parametrize("frames", [0, 1])
def test_report_without_potholes_is_valid_too(tmp_path, frames):
    clip = make_clip(tmp_path / "clip.mp4", 1)
    path = tmp_path / "clip_output.json"
    with Video.open(clip) as video, open_report(path, video, output=None) as report:
        for frame in list(video.frames())[:frames]:
            add(report, path, [(frame, Detections.empty((48, 64)))])
        report.finish(Summary(0, 0, frames, 0), [], video)
    data = json.loads(path.read_text())
    assert (len(data["frames"]), data["tracks"], data["output"]) == (frames, [], None)


@pytest.mark.parametrize("finished", [False, True])
def test_failed_work_leaves_no_report(tmp_path, finished):
    path = tmp_path / "clip_output.json"
    clip = make_clip(tmp_path / "clip.mp4", 1)
    with pytest.raises(RuntimeError), Video.open(clip) as video, open_report(path, video) as report:
        add(report, path, [(next(video.frames()), pothole(1))])
        if finished:
            report.finish(Summary(1, 1, 1, 1), [], video)
        raise RuntimeError
    assert not path.exists()


def test_report_that_was_not_finished_is_removed(tmp_path):
    with Video.open(make_clip(tmp_path / "clip.mp4", 1)) as video:
        with open_report(tmp_path / "clip_output.json", video):
            pass
    assert not (tmp_path / "clip_output.json").exists()


def test_what_json_cannot_say_is_an_error_and_leaves_no_report(tmp_path):
    path = tmp_path / "clip_output.json"
    frame = Frame(0, 0, Fraction(0), av.VideoFrame(64, 48, "yuv420p"))
    broken = pothole(1)
    broken.scores[0] = np.nan
    with Video.open(make_clip(tmp_path / "clip.mp4", 1)) as video:
        with pytest.raises(ValueError, match="JSON"), open_report(path, video) as report:
            add(report, path, [(frame, broken)])
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_frames_are_on_disk_while_the_video_is_worked_on(tmp_path):
    """So memory does not grow with the video."""
    path = tmp_path / "clip_output.json"
    clip = make_clip(tmp_path / "clip.mp4", 1)
    with Video.open(clip) as video, open_report(path, video) as report:
        (frame,) = video.frames()
        part = path.with_name("part.jsonl")
        with report.open_part(part) as writer:
            for index in range(2000):
                writer.write(MarkedFrame(replace(frame, index=index), pothole(1)))
            assert part.stat().st_size > 200_000
        report.append(part)
        assert path.stat().st_size > 200_000
        report.finish(Summary(1, 2000, 2000, 2000), [TRACK], video)


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "no JSON",
        '{"index": 0, "time_s": 0.0}',
        '{"index": -1, "time_s": 0.0, "potholes": []}',
        '{"index": 0, "time_s": 0.0, "potholes": [{"label": "pothole"}]}',
        '{"index": 0, "time_s": 0.0, "potholes": [], "more": 1}',
        '{"index": 0, "time_s": 0.0, "potholes": [], "index": "0"}',
    ],
)
def test_what_is_no_part_of_a_report_is_refused(tmp_path, line):
    part = tmp_path / "part.jsonl"
    part.write_text(line + "\n")
    with Video.open(make_clip(tmp_path / "clip.mp4", 1)) as video:
        with open_report(tmp_path / "clip_output.json", video) as report, pytest.raises(ValueError):
            report.check_part(part, 1)


def test_a_disk_that_is_full_at_the_very_end_leaves_no_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.symlink_to("/dev/full")  # takes what is written, and refuses it when the file is closed
    with Video.open(make_clip(tmp_path / "clip.mp4", 2)) as video:
        with pytest.raises(OSError, match="No space left"), open_report(path, video) as report:
            report.finish(Summary(0, 0, 0, 0), [], video)
    assert not path.is_symlink()

"""The main job on local files; each fault of the system that this one replaces has a test of its name."""

import json
from collections import namedtuple
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pothole.detections import Detections
from pothole.errors import (
    DiskFull,
    InvalidMedia,
    ModelError,
    RequestError,
    SourceIsOutput,
    StorageUnavailable,
    TooLarge,
)
from pothole.files import is_output
from pothole.job import run_job
from pothole.job_order import Job
from pothole.job_result import JobResult, Progress
from pothole.jobs.request import JobRequest
from pothole.media import Video
from pothole.settings import Settings
from pothole.storage import Confirm, LocalStorage
from pothole.types import Image
from support.clips import audio_packets, make_clip
from support.fakes import MAGENTA, MagentaDetector

SIZE = (160, 96)
Usage = namedtuple("Usage", "total used free")


def road(number: int) -> Image:
    """A grey picture on which one magenta pothole comes nearer."""
    image = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    top = 20 + number
    image[top : top + 16, 60:92] = MAGENTA
    return image


def open_folder(bucket: str) -> LocalStorage:
    return LocalStorage(Path(bucket))


class CountingDetector(MagentaDetector):
    """Keeps how many pictures it was given, and the lowest score asked for."""

    def __init__(self) -> None:
        self.pictures = 0
        self.asked: list[float | None] = []

    def predict(
        self, images: Sequence[Image], min_confidence: float | None = None, *sizes: Any
    ) -> list[Detections]:
        self.pictures += len(images)
        self.asked.append(min_confidence)
        return super().predict(images, min_confidence, *sizes)


Mark = Callable[..., JobResult]


@pytest.fixture
def mark(tmp_path: Path, settings: Settings) -> Mark:
    """Runs a job on a file of `tmp_path`, and checks that no temporary file is left."""

    def run(key: str, detector: MagentaDetector | None = None, **options: Any) -> JobResult:
        options = {"is_live": True} | options
        progress = options.pop("on_progress", lambda progress: None)
        job = Job(str(tmp_path), key, **options)
        try:
            return run_job(job, detector or MagentaDetector(), open_folder, settings, progress)
        finally:
            assert not list(settings.temp_dir.iterdir())

    return run


def test_a_video_goes_in_and_the_marked_video_and_its_data_come_out(tmp_path: Path, mark: Mark) -> None:
    source = make_clip(tmp_path / "clip.mp4", 10, size=SIZE, picture=road)
    before = source.read_bytes()
    result = mark("clip.mp4")

    marked, data = tmp_path / "clip_output.mp4", tmp_path / "clip_output.json"
    assert result.outputs == (str(marked), str(data))
    assert (result.frames, result.frames_with_potholes, result.missing_frames) == (10, 10, 0)
    assert result.warning is None
    with Video.open(marked) as video:
        frames = list(video.frames())
    assert len(frames) == 10
    inside = frames[5].rgb()[20 + 5 + 8, 76]
    assert np.abs(inside.astype(int) - MAGENTA).max() > 30, "the pothole is not tinted"
    report = json.loads(data.read_text())
    assert report["source"] == str(source)
    assert report["output"] == str(marked)
    assert report["model"] == {"name": "magenta", "min_confidence": 0.5}
    assert len(report["frames"]) == 10
    assert source.read_bytes() == before


def test_potholes_are_counted_and_not_their_detections(tmp_path: Path, mark: Mark) -> None:
    make_clip(tmp_path / "clip.mp4", 10, size=SIZE, picture=road)
    assert mark("clip.mp4").potholes == 1


def test_is_live_false_marks_the_first_hundredth_of_a_second(tmp_path: Path, mark: Mark) -> None:
    make_clip(tmp_path / "fast.mp4", 10, rate=250, size=SIZE, picture=road)
    assert mark("fast.mp4", is_live=False).frames == 3  # at 0, 4 and 8 ms
    make_clip(tmp_path / "hundred.mp4", 10, rate=100, size=SIZE, picture=road)
    assert mark("hundred.mp4", is_live=False).frames == 1  # 10 ms is too late


def test_is_live_true_marks_the_whole_video(tmp_path: Path, mark: Mark) -> None:
    make_clip(tmp_path / "clip.mp4", 10, rate=250, size=SIZE, picture=road)
    assert mark("clip.mp4", is_live=True).frames == 10


def test_frame_interval_detects_on_every_nth_frame_and_marks_all(tmp_path: Path, mark: Mark) -> None:
    make_clip(tmp_path / "clip.mp4", 10, size=SIZE, picture=road)
    detector = CountingDetector()
    result = mark("clip.mp4", detector, frame_interval=4)
    assert detector.pictures == 4  # frames 0, 4 and 8, and the last
    assert result.frames_with_potholes == 10


def test_min_confidence_reaches_the_detector_and_the_report(tmp_path: Path, mark: Mark) -> None:
    make_clip(tmp_path / "clip.mp4", 2, size=SIZE, picture=road)
    detector = CountingDetector()
    assert mark("clip.mp4", detector, min_confidence=0.95).potholes == 0
    assert detector.asked == [0.95, 0.95]
    report = json.loads((tmp_path / "clip_output.json").read_text())
    assert report["model"]["min_confidence"] == 0.95


def test_outputs_go_to_another_bucket_and_below_a_prefix(tmp_path: Path, mark: Mark) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "clip.mp4", 2, size=SIZE, picture=road)
    elsewhere = tmp_path / "elsewhere"
    mark("in/clip.mp4", output_bucket=str(elsewhere), output_prefix="/marked/")
    assert sorted(p.name for p in (elsewhere / "marked" / "in").iterdir()) == [
        "clip_output.json",
        "clip_output.mp4",
    ]
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["clip.mp4"]


def test_progress_is_told_frame_by_frame_while_the_job_runs(tmp_path: Path, mark: Mark) -> None:
    make_clip(tmp_path / "clip.mp4", 200, size=SIZE, picture=road)
    detector = CountingDetector()
    told: list[tuple[Progress, int]] = []

    def tell(progress: Progress) -> None:
        told.append((progress, detector.pictures))

    mark("clip.mp4", detector, is_live=True, frame_interval=1, on_progress=tell)
    assert [p.frames for p, _ in told] == list(range(1, 201))
    assert all(p.total == 200 for p, _ in told)
    ahead = max(pictures - progress.frames for progress, pictures in told)
    assert ahead < 100, "frames are gathered in place of streamed"
    assert told[-1][0] == Progress(200, 200, 1)


def test_a_job_that_is_ended_on_the_way_leaves_nothing(
    tmp_path: Path, mark: Mark, settings: Settings
) -> None:
    make_clip(tmp_path / "clip.mp4", 5, size=SIZE, picture=road)

    def end(progress: Progress) -> None:
        assert len(list(settings.temp_dir.iterdir())) == 1
        if progress.frames == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mark("clip.mp4", on_progress=end)
    assert [p.name for p in tmp_path.glob("clip*")] == ["clip.mp4"]


def test_the_marked_video_appears_last(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 2, size=SIZE, picture=road)
    published = []

    class Recorder(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            published.append((key, content_type))
            return super().publish(path, key, content_type, confirm)

    run_job(Job(str(tmp_path), "clip.mp4"), MagentaDetector(), lambda _: Recorder(tmp_path), settings)
    assert published == [("clip_output.json", "application/json"), ("clip_output.mp4", "video/mp4")]


def test_a_failed_upload_leaves_no_marked_video_and_no_temporary_file(
    tmp_path: Path, settings: Settings
) -> None:
    make_clip(tmp_path / "clip.mp4", 2, size=SIZE, picture=road)

    class Broken(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            raise StorageUnavailable("S3 is down.")

    with pytest.raises(StorageUnavailable):
        run_job(Job(str(tmp_path), "clip.mp4"), MagentaDetector(), lambda _: Broken(tmp_path), settings)
    assert not (tmp_path / "clip_output.mp4").exists()
    assert not list(settings.temp_dir.iterdir())


def test_a_truncated_video_is_marked_as_far_as_it_goes_and_the_answer_says_how_far(
    tmp_path: Path, mark: Mark
) -> None:
    whole = make_clip(tmp_path / "whole.mp4", 60, size=SIZE, picture=_noise, faststart=True).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    result = mark("cut.mp4")
    assert 0 < result.frames < 60
    assert result.missing_frames == 60 - result.frames
    assert f"{result.frames} of 60 frames" in str(result.to_json()["warning"])


def test_frames_above_the_limit_are_refused(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 2, size=SIZE, picture=road)
    small = replace(settings, max_image_pixels=1000)
    with pytest.raises(TooLarge, match=r"clip\.mp4 has frames of 160x96"):
        run_job(Job(str(tmp_path), "clip.mp4"), MagentaDetector(), open_folder, small)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])  # the first declares its frames, the second does not
@pytest.mark.parametrize(("setting", "least"), [("max_video_pixels", 12 * 64 * 48), ("max_video_frames", 12)])
def test_a_video_of_more_than_a_job_may_cost_is_refused(
    tmp_path: Path, settings: Settings, suffix: str, setting: str, least: int
) -> None:
    make_clip(tmp_path / f"clip.{suffix}", 12, size=(64, 48))
    job = Job(str(tmp_path), f"clip.{suffix}", is_live=True)
    for value, fits in ((least, True), (least - 1, False)):
        limited = replace(settings, **{setting: value})
        with nullcontext() if fits else pytest.raises(TooLarge, match=setting.upper()):
            run_job(job, MagentaDetector(), open_folder, limited)


def test_a_job_leaves_room_on_the_disk_before_and_while_it_works(
    tmp_path: Path, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = make_clip(tmp_path / "clip.mp4", 12, size=SIZE, picture=road).stat().st_size
    spare = Settings().min_free_bytes
    free = [spare + size]

    def usage(_: Path) -> Usage:
        return Usage(2**40, 0, free[0])

    def fill(_: Progress) -> None:
        free[0] = 1000

    monkeypatch.setattr("pothole.storage.disk.shutil.disk_usage", usage)
    with pytest.raises(DiskFull, match=f"needs {2 * size} beside"):
        mark("clip.mp4")
    free[0] = spare + 2 * size
    with pytest.raises(DiskFull, match="1000 bytes left"):
        mark("clip.mp4", on_progress=fill)
    assert [path.name for path in tmp_path.glob("clip*")] == ["clip.mp4"]


def test_tiny_frames_are_held_by_number_not_by_their_pixels(tmp_path: Path) -> None:
    with Video.open(make_clip(tmp_path / "clip.mp4", 2, size=(16, 16))) as video:
        assert video.info.frames_in(2**30, most=1024) == 1024
        assert video.info.frames_in(16 * 16 * 15, most=1024) == 10


def test_fewer_frames_are_held_where_a_setting_says_so(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 24, size=(64, 48))

    def looked_at(most: int) -> int:
        detector = CountingDetector()
        job = Job(str(tmp_path), "clip.mp4", is_live=True, output_prefix=str(most))
        run_job(job, detector, open_folder, replace(settings, max_held_frames=most))
        return detector.pictures

    assert looked_at(2) > looked_at(24)


def test_errors_name_the_file_of_the_source_and_not_a_temporary_one(tmp_path: Path, mark: Mark) -> None:
    (tmp_path / "note.mp4").write_text("not a video")
    with pytest.raises(InvalidMedia, match=r"note\.mp4 is not a video"):
        mark("note.mp4")


# The request


def body(**fields: object) -> dict[str, Any]:
    return {"input": {"s3_bucket": "roads", "s3_source_filename": "dir/clip.mp4", **fields}}


def test_the_body_of_the_original_system_is_valid_field_for_field() -> None:
    original = {"input": {"s3_source_filename": "/dir/clip.mp4", "s3_bucket": "roads", "is_live": True}}
    assert JobRequest.from_json(original).job == Job("roads", "/dir/clip.mp4", is_live=True)
    assert JobRequest.from_json(body()).job == Job("roads", "dir/clip.mp4", is_live=False)


def test_every_further_field_reaches_the_job() -> None:
    options = {
        "is_live": True,
        "frame_interval": 3,
        "min_confidence": 0,
        "output_bucket": "out",
        "output_prefix": "a/b",
        "video_stream": 1,
        "deinterlace": False,
        "short_labels": True,
        "render": "smart",
    }
    assert JobRequest.from_json(body(**options)).job == Job("roads", "dir/clip.mp4", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "The body is [], expected a JSON object."),
        (None, "The body is null, expected a JSON object."),
        ({}, "input is missing."),
        ({"input": "x"}, 'input is "x", expected a JSON object.'),
        ({"input": {}, "output": 1}, "input.s3_bucket is missing."),
        ({**body(), "inputs": 1}, "inputs is not a known field."),
        ({"input": {"s3_bucket": "b"}}, "input.s3_source_filename is missing."),
        (body(is_live="False"), 'input.is_live is "False", expected a JSON boolean (true or false).'),
        (body(is_live=0), "input.is_live is 0, expected a JSON boolean (true or false)."),
        (body(is_live=None), "input.is_live is null, expected a JSON boolean (true or false)."),
        (body(frame_intervall=2), "input.frame_intervall is not a known field."),
        (body(video_stream=-1), "input.video_stream is -1, expected at least 0."),
        (body(deinterlace="no"), 'input.deinterlace is "no", expected a JSON boolean (true or false).'),
        (body(render="fast"), "input.render is \"fast\", expected 'smart' or 'full'."),
        (body(frame_interval=0), "input.frame_interval is 0, expected at least 1."),
        (body(frame_interval=1.5), "input.frame_interval is 1.5, expected a whole number."),
        (body(frame_interval=True), "input.frame_interval is true, expected a whole number."),
        (body(min_confidence=1.1), "input.min_confidence is 1.1, expected at most 1"),
        (body(min_confidence=-1), "input.min_confidence is -1, expected at least 0"),
        (body(min_confidence=float("nan")), "input.min_confidence is NaN, expected"),
        (body(min_confidence="0.5"), 'input.min_confidence is "0.5", expected a number.'),
        (body(min_confidence=False), "input.min_confidence is false, expected a number."),
        (body(s3_bucket=""), 'input.s3_bucket is "", expected at least 1 character.'),
        (body(s3_bucket="\ud800"), "expected Unicode text."),
        (body(s3_bucket=7), "input.s3_bucket is 7, expected a string."),
        (body(s3_source_filename="x" * 1025), "expected at most 1024 characters."),
        (body(s3_source_filename="/"), "'/' names nothing."),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence_that_names_the_field(wrong: object, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        JobRequest.from_json(wrong)
    assert message in caught.value.message
    assert len(caught.value.message) < 200
    assert caught.value.hint


# The faults of the system that this one replaces


def test_fault_the_string_false_counted_as_true() -> None:
    with pytest.raises(RequestError, match="is_live"):
        JobRequest.from_json(body(is_live="False"))


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("dir/clip.mp4", "dir/clip_output.mp4"),
        ("clip", "clip_output.mp4"),
        ("dir.d/clip", "dir.d/clip_output.mp4"),
        ("clip.x", "clip_output.mp4"),
        ("clip.matroska", "clip_output.mp4"),
        ("clip.", "clip_output.mp4"),
        (".mp4", ".mp4_output.mp4"),
        ("a//b/ c+ü .MOV", "a//b/ c+ü _output.mp4"),
        ("a/../clip.mp4", "a/../clip_output.mp4"),
    ],
)
def test_fault_the_output_overwrote_a_source_of_an_unusual_extension(source: str, output: str) -> None:
    assert Job("b", source).output_key("video") == output
    assert output != source


def test_fault_a_second_dot_lost_track_of_the_extension() -> None:
    assert Job("b", "a/clip.b.mp4").output_key("video") == "a/clip.b_output.mp4"


def test_fault_two_videos_of_one_name_collided(tmp_path: Path, settings: Settings) -> None:
    for folder, frames in (("a", 3), ("b", 7)):
        (tmp_path / folder).mkdir()
        make_clip(tmp_path / folder / "clip.mp4", frames, size=SIZE, picture=road)

    class Copying(LocalStorage):
        """Downloads as S3 does, so that the copies of one name could meet."""

        def fetch(self, key: str, folder: Path, max_bytes: int, version: str | None = None) -> Path:
            folder.mkdir()
            path = folder / key.rpartition("/")[2]
            path.write_bytes(super().fetch(key, folder, max_bytes, version).read_bytes())
            return path

    def run(key: str) -> int:
        job = Job("b", key, is_live=True)
        return run_job(job, MagentaDetector(), lambda _: Copying(tmp_path), settings).frames

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, ["a/clip.mp4", "b/clip.mp4"])) == [3, 7]
    for folder, frames in (("a", 3), ("b", 7)):
        report = json.loads((tmp_path / folder / "clip_output.json").read_text())
        assert len(report["frames"]) == frames


def test_fault_the_audio_was_dropped(tmp_path: Path, mark: Mark) -> None:
    source = make_clip(tmp_path / "clip.mp4", 12, size=SIZE, picture=road, audio="aac")
    mark("clip.mp4")
    assert audio_packets(tmp_path / "clip_output.mp4") == audio_packets(source)


def test_fault_a_hundredth_of_a_second_of_30_frames_a_second_gave_no_frame(
    tmp_path: Path, mark: Mark
) -> None:
    make_clip(tmp_path / "clip.mp4", 5, rate=30, size=SIZE, picture=road)
    assert mark("clip.mp4", is_live=False).frames == 1
    with Video.open(tmp_path / "clip_output.mp4") as video:
        assert len(list(video.frames())) == 1


def test_fault_a_folder_named_like_an_output_was_skipped() -> None:
    assert not is_output("my_output.files/clip.mp4")
    assert not is_output("clip_output.d/clip")
    assert not is_output("clip_output.old.mp4")


@pytest.mark.parametrize("key", ["clip_output.mp4", "a/clip_output.json", "clip.b_output.mp4", "_output.mov"])
def test_an_output_is_no_source(key: str) -> None:
    with pytest.raises(SourceIsOutput, match="already is an output"):
        Job("b", key)


def _noise(number: int) -> Image:
    """Hard to compress, so that half of the file is about half of the frames."""
    return np.random.default_rng(number).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)


@pytest.mark.parametrize(
    "asked",
    [
        {"frame_interval": 0},
        {"frame_interval": -1},
        {"frame_interval": "3"},
        {"min_confidence": "0.5"},
        {"outputs": "json"},
        {"min_confidence": 1.5},
        {"min_confidence": float("nan")},
    ],
)
def test_a_job_in_python_refuses_what_the_api_refuses(asked: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=f"{next(iter(asked))} is "):
        Job("bucket", "clip.mp4", **asked)


def test_an_answer_of_a_detector_that_is_none_leaves_no_output(tmp_path: Path) -> None:
    class Careless(MagentaDetector):
        def predict(self, images: Sequence[Image], *_: Any) -> Any:
            return [None for _ in images]

    make_clip(tmp_path / "clip.mp4", size=SIZE)
    with pytest.raises(ModelError, match="The detector 'magenta' answered frame 0"):
        run_job(
            Job(str(tmp_path), "clip.mp4", is_live=True), Careless(), open_folder, Settings(temp_dir=tmp_path)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def packets_of(path: Path) -> set[tuple[int, bytes]]:
    with av.open(path) as container:
        return {(p.pts, bytes(p)) for p in container.demux(video=0) if p.pts is not None}


def test_smart_rendering_codes_anew_what_is_marked_alone(tmp_path: Path, mark: Mark) -> None:
    def some_potholes(number: int) -> Image:
        return road(number) if 8 <= number < 14 else np.full((*SIZE[::-1], 3), 90 + number, np.uint8)

    source = make_clip(tmp_path / "clip.mp4", 48, size=SIZE, picture=some_potholes)  # GOPs of 6 frames
    mark("clip.mp4", is_live=True, render="smart", frame_interval=1)
    report = json.loads((tmp_path / "clip_output.json").read_text())
    marked = {frame["index"] for frame in report["frames"] if frame["potholes"]}
    same = packets_of(source) & packets_of(tmp_path / "clip_output.mp4")
    assert report["video"]["copied_frames"] == len(same)
    assert 6 + 6 <= len(same) <= 48 - len(marked) and marked >= set(range(8, 14))
    assert report["video"]["coded_whole"] is None


def test_without_smart_rendering_all_is_coded_anew(tmp_path: Path, mark: Mark) -> None:
    source = make_clip(tmp_path / "clip.mp4", 10, size=SIZE)
    for asked in ({"render": "full", "is_live": True}, {"render": "smart", "is_live": False}):
        mark("clip.mp4", **asked)
        report = json.loads((tmp_path / "clip_output.json").read_text())
        assert report["video"]["copied_frames"] == 0 and report["video"]["coded_whole"]
        assert not packets_of(source) & packets_of(tmp_path / "clip_output.mp4")

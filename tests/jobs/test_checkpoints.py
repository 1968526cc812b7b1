"""A job that is ended on its way and taken up again: its outputs are those of an undisturbed one."""

import errno
import json
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pothole.detections import Detections
from pothole.errors import DiskFull, GivenUp, Interrupted, LeaseLost, SourceChanged, StorageUnavailable
from pothole.files import file_digest
from pothole.job_order import Job
from pothole.jobs.checkpoints import StoredCheckpoints
from pothole.jobs.lease import Lease
from pothole.jobs.record import Record, record_key, segments_folder
from pothole.jobs.shutdown import ShutdownSignal
from pothole.jobs.worker import Worker
from pothole.media import Video
from pothole.metrics import Metrics
from pothole.outputs.report import ReportSink
from pothole.outputs.sink import Source
from pothole.outputs.video import VideoSink
from pothole.settings import Settings
from pothole.storage import Confirm, LocalStorage, Stat
from pothole.tracking.state import TrackerState
from pothole.types import Image
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector
from support.moving_road import MovingRoad

FRAMES = 90
RATE = 15
SEGMENTS = 4  # that are stored, of a second each and a little more; the fifth ends the video
POTHOLES = [(0.6 * (i % 3) - 0.6, 4.0 + 1.5 * i, 0.4) for i in range(16)]


def picture(index: int) -> Image:
    """A slow drive, so that key frames lie apart, past many potholes, with the camera on its side."""
    frame, potholes = MovingRoad(POTHOLES, rate=RATE, speed=3, size=(97, 161)).picture(index)
    image = frame.rgb()
    for mask, (left, top, right, bottom) in zip(potholes.masks, potholes.mask_boxes, strict=True):
        image[top:bottom, left:right][mask] = MAGENTA
    return np.rot90(image, -1)


class Wavering(MagentaDetector):
    """Misses some potholes, as detectors do, but the same ones of the same picture."""

    def __init__(self) -> None:
        self.pictures = 0

    def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
        self.pictures += len(images)
        found = super().predict(images, *args, **kwargs)
        return [d[[bool(zlib.crc32(box.tobytes()) % 4) for box in d.boxes]] for d in found]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of an odd size, turned, of varying rate, with sound."""
    path = make_clip(
        tmp_path_factory.mktemp("clip") / "clip.mp4",
        FRAMES,
        RATE,
        (97, 161),
        audio="aac",
        pix_fmt="yuv444p",
        rotation=90,
        pts=[66 * i + 20 * (i % 3) for i in range(FRAMES)],
        time_base=Fraction(1, 1000),
        picture=picture,
    )
    return path.read_bytes()


class Road:
    """A folder with the clip, and what workers make of it."""

    def __init__(self, folder: Path, clip: bytes, settings: Settings) -> None:
        folder.mkdir()
        self.folder, self.settings = folder, settings
        (folder / "clip.mp4").write_bytes(clip)
        self.job = Job(str(folder), "clip.mp4", is_live=True)

    def worker(self, store: type[LocalStorage] = LocalStorage, **options: Any) -> Worker:
        options = {"detector": Wavering(), "settings": self.settings} | options
        return Worker(model="model", open_store=lambda name: store(Path(name)), **options)

    def work(self, store: type[LocalStorage] = LocalStorage, **options: Any) -> tuple[Record, int]:
        """Work on the clip; return the record and the number of frames that were worked on."""
        worker = self.worker(store, metrics=Metrics(), **options)
        lease = worker.claim(self.job)
        assert isinstance(lease, Lease)
        try:
            record = worker.run(self.job, lease)
        finally:
            lease._ended.set()
            assert not list(self.settings.temp_dir.iterdir())
        [line] = [
            t for t in worker.metrics.text().decode().splitlines() if t.startswith("pothole_frames_total")
        ]
        return record, int(float(line.split()[1]))

    def record(self) -> Record:
        """The record of the job as it is, of this source or, after a change, the one before."""
        [path] = self.folder.glob(".pothole/*/record.json")
        return Record.model_validate_json(path.read_bytes())

    def stored(self) -> list[Path]:
        return sorted(self.folder.glob(".pothole/*/segments/*"))

    def outputs(self) -> tuple[bytes, bytes]:
        """The marked video, and its data but for where it is."""
        data = (self.folder / "clip_output.json").read_bytes()
        return (self.folder / "clip_output.mp4").read_bytes(), data.replace(str(self.folder).encode(), b"")


@pytest.fixture
def road(tmp_path: Path, clip: bytes, settings: Settings) -> Road:
    return Road(tmp_path / "road", clip, replace(settings, segment_s=1))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, clip: bytes) -> tuple[bytes, bytes]:
    """What is made of the clip at once."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "temporary").mkdir()
    road = Road(folder / "road", clip, Settings(segment_s=1, temp_dir=folder / "temporary"))
    record, frames = road.work()
    assert (record.frames, frames, record.segments) == (FRAMES, FRAMES, SEGMENTS)
    assert record.potholes > 3
    return road.outputs()


def ending(after: int, stopping: ShutdownSignal) -> type[LocalStorage]:
    """A storage that sees the process being told to end when so many segments are stored."""

    class Ending(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            if key.endswith(f"/segments/{after - 1:04}.json"):
                stopping.soon.set()
            return super().publish(path, key, content_type, confirm)

    return Ending


def interrupt(road: Road, after: int) -> None:
    """Work until so many segments are stored, and end."""
    stopping = ShutdownSignal()
    with pytest.raises(Interrupted):
        road.work(ending(after, stopping), shutdown=stopping)
    assert (road.record().state, road.record().segments) == ("interrupted", after)
    assert len(road.stored()) == 3 * after


def test_a_job_goes_on_from_its_last_checkpoint_as_if_nothing_had_happened(
    road: Road, undisturbed: tuple[bytes, bytes]
) -> None:
    interrupt(road, 2)
    record, frames = road.work()
    assert (record.state, record.attempt, record.frames) == ("done", 2, FRAMES)
    assert record.resumed_at == FRAMES - frames > 0
    assert road.outputs() == undisturbed
    assert not road.stored(), "what is done needs no checkpoints"
    assert record.result
    assert record.result["frames"] == FRAMES


def test_a_job_may_be_ended_after_each_segment_and_goes_on_from_every_checkpoint(
    road: Road, undisturbed: tuple[bytes, bytes]
) -> None:
    for after in range(1, SEGMENTS + 1):
        interrupt(road, after)
    record, _ = road.work()
    assert record.attempt == SEGMENTS + 1
    assert road.outputs() == undisturbed


def test_a_contact_sheet_is_the_same_whether_a_job_was_interrupted_or_not(
    road: Road, tmp_path: Path, clip: bytes
) -> None:
    undisturbed = Road(tmp_path / "undisturbed", clip, road.settings)
    for each in (road, undisturbed):
        each.job = replace(each.job, outputs=("contact_sheet",))
    undisturbed.work()
    stopping = ShutdownSignal()
    with pytest.raises(Interrupted):
        road.work(ending(2, stopping), shutdown=stopping)
    assert road.work()[0].resumed_at > 0
    sheets = [each.folder / "clip_output.jpg" for each in (road, undisturbed)]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()


def test_places_are_the_same_whether_a_job_was_interrupted_or_not(
    road: Road, tmp_path: Path, clip: bytes
) -> None:
    undisturbed = Road(tmp_path / "undisturbed", clip, road.settings)
    for each in (road, undisturbed):
        each.job = replace(each.job, track="clip.csv")
        rows = [f"{t},{48 + 2.7e-5 * t},11.5" for t in range(9)]
        (each.folder / "clip.csv").write_text("\n".join(["time_s,lat,lon", *rows]))
    undisturbed.work()
    stopping = ShutdownSignal()
    with pytest.raises(Interrupted):
        road.work(ending(2, stopping), shutdown=stopping)
    assert road.work()[0].resumed_at > 0
    assert road.outputs() == undisturbed.outputs()
    assert b'"position":{"lat":48.' in road.outputs()[1]


def test_a_job_is_another_one_with_another_track(road: Road) -> None:
    road.job = replace(road.job, track="clip.csv")
    track = road.folder / "clip.csv"
    ids = []
    for shift in ("0", "0.001"):
        track.write_text(f"time_s,lat,lon\n0,48.{shift[2:]}1,11.5\n9,48.{shift[2:]}1,11.5\n")
        ids.append(road.work()[0].id)
    assert ids[0] != ids[1]


def test_a_job_may_be_ended_between_checkpoints(road: Road, undisturbed: tuple[bytes, bytes]) -> None:
    class Ended(Wavering):
        """Slow, and told to end some frames after each checkpoint."""

        def predict(self, *args: Any, **kwargs: Any) -> list[Detections]:
            time.sleep(0.01)
            if road.record().segments > stored:
                stopping.now.set()
            return super().predict(*args, **kwargs)

    stored = attempts = 0
    while not (road.folder / "clip_output.mp4").exists():
        attempts += 1
        stopping = ShutdownSignal()
        with suppress(Interrupted):
            road.work(detector=Ended(), shutdown=stopping)
        stored, before = road.record().segments, stored
        assert stored > before or road.record().state == "done"
    assert attempts > 2
    assert road.outputs() == undisturbed


def test_a_worker_that_dies_between_the_files_of_a_checkpoint_costs_that_one_alone(
    road: Road, undisturbed: tuple[bytes, bytes]
) -> None:
    class Killed(BaseException):
        pass

    class Dying(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            if key.endswith("/0002.json"):
                raise Killed
            return super().publish(path, key, content_type, confirm)

    class Later(LocalStorage):
        def read(self, key: str) -> tuple[bytes, Stat]:
            data, stat = super().read(key)
            return data, replace(stat, age_s=3600)

    with pytest.raises(Killed):
        road.work(Dying)
    assert (road.record().state, road.record().segments) == ("running", 2)
    assert [path.name for path in road.stored()][-1] == "0002-video.nut"
    record, frames = road.work(Later)
    assert (record.attempt, record.segments) == (2, SEGMENTS)
    assert frames < 0.7 * FRAMES
    assert road.outputs() == undisturbed


def swap(stored: list[Path]) -> None:
    for name in (".nut", ".jsonl", ".json"):
        first, second = (path for path in stored if path.suffix == name)
        other = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(other)


def change(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def flip(data: bytearray) -> None:
    data[len(data) // 2] ^= 1


def without_masks(data: bytearray) -> None:
    content = json.loads(data)
    content["tracker"]["masks"] = []
    data[:] = json.dumps(content).encode()


def one_frame_less(data: bytearray) -> None:
    content = json.loads(data)
    content["counts"]["frames"] -= 1
    data[:] = json.dumps(content).encode()


def negative_counts(data: bytearray) -> None:
    content = json.loads(data)
    content["counts"]["detections"] = -1
    data[:] = json.dumps(content).encode()


def another_report(stored: list[Path]) -> None:
    """Of one record less, with the digest to it."""
    stored[0].write_text("".join(stored[0].read_text().splitlines(keepends=True)[:-1]))
    content = json.loads(stored[2].read_bytes())
    content["parts"]["json"] = file_digest(stored[0])
    stored[2].write_text(json.dumps(content))


def rewritten(stored: list[Path]) -> None:
    """The first segment anew and whole, as by a worker that has lost the job: the second is no part of it."""
    stored[0].write_text(stored[0].read_text().replace('"label":"pothole"', '"label":"another"'))
    content = json.loads(stored[2].read_bytes())
    content["parts"]["json"] = file_digest(stored[0])
    stored[2].write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        # Of each of two segments: the report's part, the video's, and the data.
        lambda stored: stored[2].unlink(),
        lambda stored: stored[4].unlink(),
        lambda stored: stored[3].unlink(),
        lambda stored: change(stored[1], flip),
        lambda stored: change(stored[0], flip),
        lambda stored: change(stored[4], lambda data: data.__delitem__(slice(100, None))),
        lambda stored: stored[2].write_text('{"hello": 1}'),
        lambda stored: stored[5].write_text("[" * 100_000),
        lambda stored: change(stored[5], without_masks),
        lambda stored: change(stored[5], one_frame_less),
        lambda stored: change(stored[5], negative_counts),
        another_report,
        rewritten,
        swap,
    ],
    ids=[
        *("no data", "no pictures", "no report", "damaged", "report damaged", "cut"),
        *("other", "deep", "no masks", "frames", "negative", "other report", "rewritten", "swapped"),
    ],
)
def test_segments_that_are_not_as_they_were_stored_are_not_used(
    road: Road, damage: Callable[[list[Path]], None], caplog: pytest.LogCaptureFixture
) -> None:
    interrupt(road, 2)
    assert resumed(road).released > 0
    damage(road.stored())
    assert resumed(road) == TrackerState()
    assert "the job starts over" in caplog.text


def test_segments_coded_in_another_way_are_not_joined_with_ours(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setattr("pothole.media.segment.PARAMETERS", "cabac=0")
        interrupt(road, 1)
        assert resumed(road).released > 0
    assert resumed(road) == TrackerState()


class _Enough(Exception):
    """Leaves the sinks without outputs."""


def resumed(road: Road) -> TrackerState:
    """Where a worker would go on, and that it finds as much to put before."""
    worker = road.worker()
    lease = worker.claim(road.job)
    assert isinstance(lease, Lease)
    folder = segments_folder(record_key("clip_output", lease.record.id))
    checkpoints = StoredCheckpoints(LocalStorage(road.folder), folder, lease, 2**20, lambda: None)
    stored = lease.record.segments
    with Video.open(road.folder / "clip.mp4") as video:
        source = Source(
            road.folder / "clip.mp4", video.info, None, "clip", None, "model", 0.5, ("pothole",), {}
        )
        with VideoSink(road.settings.temp_dir / "a", source) as first, suppress(_Enough):
            with ReportSink(road.settings.temp_dir / "b", source) as second:
                state = checkpoints.resume({"video": first, "json": second}, road.settings.temp_dir)
                raise _Enough
    assert sum(s.counts.frames for s in checkpoints.save(())) == state.released
    lease.end("interrupted", segments=stored)
    return state


def test_a_job_whose_checkpoints_do_not_fit_starts_over(road: Road, undisturbed: tuple[bytes, bytes]) -> None:
    interrupt(road, 2)
    change(road.stored()[1], flip)
    record, frames = road.work()
    assert (record.state, record.resumed_at, frames) == ("done", 0, FRAMES)
    assert road.outputs() == undisturbed
    assert not road.stored()


def test_a_replaced_source_has_no_checkpoints(road: Road) -> None:
    interrupt(road, 2)
    source = road.folder / "clip.mp4"
    make_clip(source, 4, size=(64, 48))
    record, frames = road.work()
    assert (record.attempt, record.resumed_at, frames) == (1, 0, 4)


def test_copies_of_segments_make_room_as_the_marked_video_grows(
    road: Road, undisturbed: tuple[bytes, bytes]
) -> None:
    interrupt(road, 3)
    left: list[list[str]] = []

    class Copying(LocalStorage):
        """Downloads, as S3 does."""

        def fetch(self, key: str, folder: Path, *options: Any) -> Path:
            folder.mkdir(exist_ok=True)
            return Path(shutil.copy(super().fetch(key, folder, *options), folder))

        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            left.append(sorted(p.name for p in road.settings.temp_dir.rglob("*.nut")))
            return super().publish(path, key, content_type, confirm)

    assert road.work(Copying)[0].resumed_at > 0
    assert all(len(names) <= 3 for names in left), "more than those in work"
    assert left[-1] == []
    assert road.outputs() == undisturbed


def test_a_disk_that_fills_up_costs_no_segment(road: Road, undisturbed: tuple[bytes, bytes]) -> None:
    class Full(Wavering):
        def predict(self, *args: Any, **kwargs: Any) -> list[Detections]:
            time.sleep(0.01)
            if road.record().segments == 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().predict(*args, **kwargs)

    with pytest.raises(DiskFull):
        road.work(detector=Full())
    assert (road.record().state, road.record().error["code"]) == ("failed", "disk_full")  # type: ignore[index]
    assert road.work()[0].resumed_at > 0
    assert road.outputs() == undisturbed


def test_a_storage_that_fails_in_the_end_costs_no_segment(
    road: Road, undisturbed: tuple[bytes, bytes]
) -> None:
    class Down(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            if "_output" in key:
                raise StorageUnavailable("S3 is down.")
            return super().publish(path, key, content_type, confirm)

    with pytest.raises(StorageUnavailable):
        road.work(Down)
    assert (road.record().state, road.record().segments) == ("failed", SEGMENTS)
    record, frames = road.work()
    assert frames == FRAMES - record.resumed_at < FRAMES / 2
    assert road.outputs() == undisturbed


def test_a_job_that_fails_for_a_reason_of_its_own_leaves_no_segments(road: Road) -> None:
    class Replaced(LocalStorage):
        """The source is another one once the first segments are stored."""

        def stat(self, key: str) -> Stat:
            stat = super().stat(key)
            return replace(stat, version="other") if road.stored() and key == "clip.mp4" else stat

    with pytest.raises(SourceChanged):
        road.work(Replaced)
    assert (road.record().state, road.record().segments) == ("failed", 0)
    assert not road.stored()


def test_a_worker_that_has_lost_its_job_meanwhile_stops_at_its_next_checkpoint(
    road: Road, undisturbed: tuple[bytes, bytes]
) -> None:
    class Overtaken(LocalStorage):
        def publish(
            self, path: Path, key: str, content_type: str, confirm: Confirm | None = None
        ) -> str | None:
            if key.endswith("/0001.json"):
                [record] = road.folder.glob(".pothole/*/record.json")
                record.write_text(record.read_text() + " ")
            return super().publish(path, key, content_type, confirm)

    with pytest.raises(LeaseLost):
        road.work(Overtaken)
    assert road.record().segments == 1
    assert not list(road.folder.glob("*_output*"))


def test_what_a_worker_left_that_died_right_after_its_job_goes_with_the_next_request(road: Road) -> None:
    class Undeletable(LocalStorage):
        def delete(self, folder: str) -> None:
            raise StorageUnavailable("S3 is down.")

    assert road.work(Undeletable)[0].state == "done"
    assert road.stored()
    assert isinstance(road.worker().claim(road.job), Record)
    assert not road.stored()


def test_a_video_of_which_worker_after_worker_dies_is_given_up_and_tried_anew_when_asked_for(
    road: Road,
) -> None:
    class Killed(BaseException):
        pass

    class Dying(Wavering):
        def __init__(self, segments: int) -> None:
            super().__init__()
            self._segments = segments

        def predict(self, *args: Any, **kwargs: Any) -> list[Detections]:
            time.sleep(0.01)
            if road.record().segments >= self._segments:
                raise Killed
            return super().predict(*args, **kwargs)

    class Later(LocalStorage):
        def read(self, key: str) -> tuple[bytes, Stat]:
            data, stat = super().read(key)
            return data, replace(stat, age_s=3600)

    road.settings = replace(road.settings, max_crashes=3)
    for segments, crashes in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2)):
        with pytest.raises(Killed):
            road.work(Later, detector=Dying(segments))
        assert road.record().crashes == crashes
    assert road.stored()
    with pytest.raises(GivenUp, match=f"^{road.folder}/clip.mp4 is given up: 3 workers died of it"):
        road.work(Later, detector=Dying(1))
    record = road.record()
    assert (record.state, record.segments) == ("failed", 0)
    assert record.error
    assert record.error["code"] == "given_up"
    assert not road.stored()
    assert road.worker().claim(road.job) == record
    lease = road.worker().claim(road.job, retry=True)
    assert isinstance(lease, Lease)
    assert road.worker().run(road.job, lease).state == "done"


def test_a_sample_of_a_video_stores_nothing(road: Road) -> None:
    road.job = replace(road.job, is_live=False)
    record, frames = road.work()
    assert (record.state, frames, record.segments) == ("done", 1, 0)
    assert not list(road.folder.glob(".pothole/*/segments"))


@pytest.fixture(scope="module")
def half_marked(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip that can be copied: potholes in its first part alone, B-frames, GOPs of less than a second."""

    def picture(index: int) -> Image:
        frame, potholes = MovingRoad(POTHOLES[:4], rate=RATE, speed=3, size=(96, 160)).picture(index)
        image = frame.rgb()
        for mask, (left, top, right, bottom) in zip(potholes.masks, potholes.mask_boxes, strict=True):
            image[top:bottom, left:right][mask] = MAGENTA
        return image

    options = {"g": "10", "bf": "2", "sc_threshold": "0"}
    path = tmp_path_factory.mktemp("half") / "clip.mp4"
    return make_clip(
        path, FRAMES, RATE, (160, 96), audio="aac", picture=picture, options=options
    ).read_bytes()


def smart_road(folder: Path, clip: bytes, segment_s: int) -> Road:
    folder.mkdir()
    (folder / "temporary").mkdir()
    road = Road(folder / "road", clip, Settings(segment_s=segment_s, temp_dir=folder / "temporary"))
    road.job = replace(road.job, render="smart")
    return road


def test_a_job_that_copies_frames_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, half_marked: bytes
) -> None:
    once = smart_road(tmp_path / "once", half_marked, 1)
    stored = once.work()[0].segments
    again = smart_road(tmp_path / "again", half_marked, 1)
    assert stored >= 3
    for after in range(1, stored + 1):
        interrupt(again, after)
    record, frames = again.work()
    assert (record.state, record.frames) == ("done", FRAMES) and frames < FRAMES
    assert again.outputs() == once.outputs()


def test_checkpoints_cost_no_copied_frame(tmp_path: Path, half_marked: bytes) -> None:
    copied = []
    for segment_s in (1, 20):
        road = smart_road(tmp_path / f"{segment_s}", half_marked, segment_s)
        road.work()
        copied.append(json.loads(road.outputs()[1])["video"]["copied_frames"])
    assert copied[0] == copied[1] >= 3 * 10

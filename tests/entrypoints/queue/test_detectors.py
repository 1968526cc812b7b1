"""What looks at the videos of a queue, as its variables say it: one detector or several, on one decode."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pothole.detection.registry import load_detector
from pothole.detections import Detections
from pothole.entrypoints.queue.detectors import load_detectors
from pothole.entrypoints.queue.variables import Detection
from pothole.errors import ConfigError
from pothole.job import run_job
from pothole.job_order import Job
from pothole.media import Video
from pothole.metrics import Metrics
from pothole.settings import Settings
from pothole.storage import LocalStorage
from pothole.types import Image
from support.box_networks import write_face_network
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector
from support.jobs import content
from support.queues import Pipeline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FRAMES = 12


class Counting(MagentaDetector):
    """Keeps how many pictures it saw in each call, and the lowest score asked for."""

    def __init__(self, class_name: str = "pothole") -> None:
        self.class_names, self.name = (class_name,), class_name
        self.calls: list[tuple[int, float | None]] = []

    def predict(
        self, images: Sequence[Image], min_confidence: float | None = None, *sizes: Any
    ) -> list[Detections]:
        self.calls.append((len(images), min_confidence))
        return [
            replace(found, class_names=self.class_names)
            for found in super().predict(images, min_confidence, *sizes)
        ]


def picture(number: int) -> Image:
    """A grey road with a magenta pothole and a white face."""
    image = np.full((96, 160, 3), 90, np.uint8)
    image[60:76, 20 + number : 52 + number] = MAGENTA
    image[20:32, 96:108] = 255
    return image


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with the folder of a detector, `Other`, beside the server's model."""
    for name in ("model", "detectors/Other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "detectors" / "Other" / "detector.json").write_text("[]")
    return replace(settings, model_dir=tmp_path / "model", detectors_dir=tmp_path / "detectors")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each frame that is decoded."""
    numbers: list[int] = []
    frames = Video.frames

    def counted(video: Video, *args: Any) -> Iterator[Any]:
        for frame in frames(video, *args):
            numbers.append(frame.index)
            yield frame

    monkeypatch.setattr(Video, "frames", counted)
    return numbers


def looked(settings: Settings, named: dict[str, Counting], **detection: Any) -> Any:
    """Mark a clip as the variables say it; return the result file."""
    wanted = Detection.model_validate(detection)

    def load(folder: Path) -> Counting:
        return named["PotholeDetector" if folder == settings.model_dir else folder.name]

    detector, _ = load_detectors(wanted, settings, load, Metrics())
    folder = settings.model_dir.parent
    make_clip(folder / "clip.mp4", FRAMES, size=(160, 96), picture=picture)
    job = Job(
        str(folder),
        "clip.mp4",
        is_live=True,
        outputs=("result_file",),
        frame_interval=wanted.frame_interval,
        min_confidence=wanted.min_score,
    )
    run_job(
        job,
        detector,
        lambda bucket: LocalStorage(Path(bucket)),
        replace(settings, batch_size=wanted.batch_size),
    )
    return json.loads((folder / job.output_key("result_file")).read_text())


@pytest.mark.parametrize(
    ("ratio", "batch", "calls"),
    [(1.0, 1, [1] * 12), (0.25, 1, [1, 1, 1, 1]), (1.0, 5, [5, 5, 2]), (0.25, 2, [2, 2])],
)
def test_so_many_frames_are_looked_at_in_calls_of_that_size(
    settings: Settings, ratio: float, batch: int, calls: list[int]
) -> None:
    """Of twelve frames, the last one is looked at in any case."""
    detector = Counting()
    options = {"max_batch_size": batch, "min_detection_score": 0.4}
    looked(
        settings,
        {"PotholeDetector": detector},
        detectors=(("PotholeDetector", options),),
        frame_ratio=ratio,
    )
    assert detector.calls == [(pictures, 0.4) for pictures in calls]


def test_two_detectors_look_at_frames_that_are_decoded_once(settings: Settings, decoded: list[int]) -> None:
    roads, others = Counting(), Counting("other")
    found = looked(
        settings,
        {"PotholeDetector": roads, "Other": others},
        detectors=(
            ("PotholeDetector", {"max_batch_size": 6, "min_detection_score": 0.3}),
            ("Other", {"max_batch_size": 4, "min_detection_score": 0.6}),
        ),
        frame_ratio=1,
    )
    assert decoded == list(range(FRAMES))
    assert roads.calls == [(4, 0.3)] * 3
    assert others.calls == [(4, 0.6)] * 3
    for frame in found["frames"]:
        assert frame["Pothole"]["boxes"] == frame["Other"]["boxes"]
        assert len(frame["Other"]["scores"]) == 1


def test_another_choice_is_another_job(settings: Settings) -> None:
    def digest(*detectors: tuple[str, dict[str, Any]]) -> str:
        names = iter(["pothole", "other"])
        detection = Detection.model_validate({"detectors": detectors})
        return load_detectors(detection, settings, lambda folder: Counting(next(names)), Metrics())[1]

    road: tuple[str, dict[str, Any]] = ("PotholeDetector", {})
    other = "Other", {"min_detection_score": 0.4}
    digests = [digest(road), digest(other), digest(road, other), digest(road, ("Other", {}))]
    assert len(set(digests)) == 4
    assert digest(road, other) == digests[2]


@pytest.mark.parametrize("name", ["Dog", "../model", ""])
def test_an_unknown_detector_is_refused_with_the_known_ones(settings: Settings, name: str) -> None:
    detection = Detection.model_validate({"detectors": ((name, {}),)})
    with pytest.raises(ConfigError, match="Known are PotholeDetector, Other;"):
        load_detectors(detection, settings, load_detector, Metrics())


@pytest.mark.usefixtures("aws")
def test_a_worker_finds_potholes_and_faces(tmp_path: Path, s3: "S3Client", bucket: str) -> None:
    folder = tmp_path / "detectors" / "FaceDetector"
    folder.mkdir(parents=True)
    write_face_network(folder / "network.xml", (40, 40), (0, 0))
    (folder / "detector.json").write_text('["center_face", {}]')
    clip = make_clip(tmp_path / "clip.mp4", FRAMES, size=(160, 96), picture=picture)
    s3.put_object(Bucket=bucket, Key="project/split/clip.mp4", Body=clip.read_bytes())
    pipeline = Pipeline(tmp_path)
    pipeline.send_video(1, bucket, "project/split/clip.mp4")
    detectors = [["PotholeDetector", {"max_batch_size": 4}], ["FaceDetector", {"max_batch_size": 3}]]
    try:
        pipeline.start(
            detection={"detectors": detectors, "frame_ratio": 0.5}, DETECTORS_DIR=str(folder.parent)
        )
        pipeline.wait(lambda: pipeline.state(1) == "done")
    finally:
        pipeline.stop()
    found = json.loads(content(s3, bucket, "project/human_detection/clip.json"))["frames"]
    assert [frame["frame_index"] for frame in found] == [1, 3, 5, 7, 9, 11]
    assert [frame["Pothole"]["classes"] for frame in found] == [["pothole"]] * 6
    # Of white cells side by side, each a face of 40 × 40, one is left.
    assert [frame["Face"]["classes"] for frame in found] == [["face"]] * 6

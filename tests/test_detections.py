"""A detector of several classes, from the model to the video and the report."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.registry import load_detector
from pothole.detections import Detections
from pothole.job import run_job
from pothole.job_order import Job
from pothole.media import Video
from pothole.outputs.annotate import label
from pothole.settings import Settings
from pothole.storage import open_folder
from pothole.tracking.association import associate
from pothole.tracking.tracks import TrackState
from pothole.types import Image, Size
from support.clips import make_clip
from support.fakes import MAGENTA, MagentaDetector
from support.networks import SMALL
from support.pictures import SIZE

NAMES = ("pothole", "crack", "patch", "manhole", "puddle")


class Sorting(MagentaDetector):
    """Takes the class of a magenta patch from where it lies, left to right."""

    class_names = NAMES

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        return [self._sorted(d) for d in super().predict(images, min_confidence, sizes)]

    def _sorted(self, found: Detections) -> Detections:
        ids = (found.boxes[:, 0] * len(NAMES) / found.image_size[1]).astype(np.int32)
        return replace(found, class_ids=ids, class_names=NAMES)


def five_patches(_: int) -> Image:
    image = np.full((*SIZE, 3), 128, np.uint8)
    width = SIZE[1] // 5
    for i in range(5):
        image[20:40, i * width + 4 : (i + 1) * width - 4] = MAGENTA
    return image


def test_five_classes_show_five_labels(tmp_path: Path, settings: Settings) -> None:
    make_clip(tmp_path / "clip.mp4", 8, 4, SIZE, picture=five_patches)
    run_job(Job(str(tmp_path), "clip.mp4", is_live=True), Sorting(), open_folder, settings)
    report = json.loads((tmp_path / "clip_output.json").read_text())
    assert [sorted(p["label"] for p in f["potholes"]) for f in report["frames"]] == [sorted(NAMES)] * 8
    assert sorted(track["label"] for track in report["tracks"]) == sorted(NAMES)
    of_track = {track["id"]: track["label"] for track in report["tracks"]}
    for frame in report["frames"]:
        assert all(of_track[p["track_id"]] == p["label"] for p in frame["potholes"])
    with Video.open(tmp_path / "clip_output.mp4") as video:
        assert len(list(video.frames())) == 8


def test_a_model_of_five_classes_tells_them_apart(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    MaskRCNN(replace(SMALL, class_names=NAMES)).save_folder(tmp_path)
    detector = load_detector(tmp_path)
    assert detector.class_names == NAMES
    noise = np.random.default_rng(0).integers(0, 255, (3, 64, 96, 3), np.uint8)
    found = detector.predict(list(noise), 0.0)
    assert len({name for detections in found for name in detections.labels}) > 1
    assert all(detections.class_names == NAMES for detections in found)


def test_an_object_of_another_class_is_another_object() -> None:
    box = np.array([[10, 10, 30, 30]], np.float32)
    one = Detections((48, 64), box, np.ones(1, np.float32), (np.ones((20, 20), bool),), class_names=NAMES)
    other = replace(one, class_ids=np.array([1], np.int32))
    track = TrackState.of(1, one, 0, 0, 0, None)  # type: ignore[arg-type]
    assert associate([track], one) == [0]
    assert associate([track], other) == [None]


@pytest.mark.parametrize("ids", [[1], [-1]])
def test_a_class_without_a_name_is_refused(ids: list[int]) -> None:
    with pytest.raises(ValueError, match=r"class_ids: expected 0 to 0, got \["):
        Detections(
            (48, 64),
            np.array([[0, 0, 2, 2]], np.float32),
            np.ones(1, np.float32),
            (np.ones((2, 2), bool),),
            class_ids=np.array(ids, np.int32),
        )


def test_labels_of_pictures_are_the_names_of_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    from pothole.outputs import annotate

    shown: list[str] = []
    monkeypatch.setattr(annotate, "label", lambda text, *rest: (shown.append(text), label(text, *rest))[1])
    annotate._label.cache_clear()
    image = five_patches(0)
    annotate.draw(image, Sorting().predict([image])[0])
    assert sorted(shown) == sorted(f"{name} 0.90" for name in NAMES)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 7.0])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="scores: expected 0 to 1"):
        Detections(
            (9, 9), np.zeros((1, 4), np.float32), np.array([score], np.float32), (np.zeros((0, 0), bool),)
        )


def test_a_box_that_has_no_place_is_refused() -> None:
    box = np.array([[0, 0, np.inf, np.nan]], np.float32)
    with pytest.raises(ValueError, match="boxes: expected finite numbers"):
        Detections((9, 9), box, np.array([0.9], np.float32), (np.zeros((9, 9), bool),))

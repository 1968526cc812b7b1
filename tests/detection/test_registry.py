import json
from pathlib import Path

import keras
import numpy as np
import pytest

from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.mask_rcnn_detector import MaskRCNNDetector
from pothole.detection.registry import load_detector
from pothole.errors import ModelError
from support.networks import SMALL

MODULE = """
from pothole.detection.registry import Arguments, DetectorKind
from pothole.detections import Detections
import numpy as np

class Told(Arguments):
    score: float = 0.5

class Whole:
    name, min_confidence, class_names = "whole", 0.1, ("road",)
    def __init__(self, folder, score):
        self.folder, self.score = folder, score
    def input_size(self, size):
        return size
    def predict(self, images, min_confidence=None, sizes=None):
        return [self._find(image) for image in images]
    def _find(self, image):
        height, width = image.shape[:2]
        boxes = np.array([[0, 0, width, height]], np.float32)
        masks = (np.ones((height, width), bool),)
        scores = np.array([self.score], np.float32)
        return Detections((height, width), boxes, scores, masks, class_names=self.class_names)

KIND = DetectorKind(Told, lambda folder, told: Whole(folder, told.score))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of a user's, installed: a module, and what pip writes beside it."""
    site = tmp_path / "site-packages"
    information = site / "whole_road-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "whole_road.py").write_text(MODULE)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: whole-road\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[pothole.detectors]\nwhole = whole_road:KIND\n"
        "none = whole_road:Whole\nbroken = no_such_module:KIND\n"
    )
    monkeypatch.syspath_prepend(str(site))


def folder_of(path: Path, content: object) -> Path:
    path.mkdir(exist_ok=True)
    (path / "detector.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.usefixtures("package")
def test_a_package_of_users_adds_a_kind_of_detector(tmp_path: Path) -> None:
    detector = load_detector(folder_of(tmp_path / "model", ["whole", {"score": 0.7}]))
    [found] = detector.predict([np.zeros((4, 6, 3), np.uint8)])
    assert (found.labels, found.boxes.tolist()) == (["road"], [[0, 0, 6, 4]])
    assert found.scores[0] == pytest.approx(0.7)
    assert load_detector(folder_of(tmp_path / "model", ["whole", {}])).predict(
        [np.zeros((4, 6, 3), np.uint8)]
    )[0].scores == pytest.approx(0.5)


def test_a_mask_rcnn_may_say_what_runs_it(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    MaskRCNN(SMALL).save_folder(tmp_path)
    assert isinstance(load_detector(tmp_path, "tensorflow"), MaskRCNNDetector)
    folder_of(tmp_path, ["mask_rcnn", {"runtime": "openvino"}])
    with pytest.raises(ModelError, match=r"no openvino\.xml"):  # in its own words, whatever is asked for
        load_detector(tmp_path, "tensorflow")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            ["yolo", {}],
            "'yolo', which is not installed. Known are broken, center_face, mask_rcnn, none, ssd, whole;",
        ),
        (["whole", {"scores": 1}], "scores of whole: .*Known are score"),
        (["whole", {"score": "high"}], "score of whole: "),
        (["broken", {}], "'broken' cannot be imported: ModuleNotFoundError"),
        (["none", {}], "'none' of pothole.detectors is no DetectorKind"),
        ({"kind": "whole"}, 'is not a kind and its arguments.*"mask_rcnn"'),
        ("[", r"detector\.json cannot be read"),
    ],
    ids=["unknown", "argument", "value", "import", "no kind", "form", "no JSON"],
)
def test_what_cannot_be_loaded_is_named(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_detector(folder_of(tmp_path / "model", content))

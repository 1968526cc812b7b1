from collections.abc import Sequence

import numpy as np
import pytest

from pothole.detection.combined import CombinedDetector
from pothole.detections import Detections
from pothole.errors import ModelError
from pothole.types import Image, Size


class Fixed:
    """Finds one object of its last class at a place of its own, and remembers what it was asked."""

    min_confidence = 0.5

    def __init__(self, name: str, class_names: tuple[str, ...], left: float, size: Size) -> None:
        self.name, self.class_names, self._left, self._size = name, class_names, left, size
        self.asked: list[tuple[int, float | None]] = []
        self.answers: int | None = None

    def input_size(self, size: Size) -> Size:
        return self._size

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        self.asked.append((len(images), min_confidence))
        box = np.array([[self._left, 0, self._left + 10, 10]], np.float32)
        last = np.array([len(self.class_names) - 1], np.int32)
        found = [
            Detections(
                size,
                box,
                np.array([0.9], np.float32),
                (np.ones((10, 10), bool),),
                class_ids=last,
                class_names=self.class_names,
            )
            for size in sizes or [(40, 60)] * len(images)
        ]
        return found[: self.answers]


@pytest.fixture
def roads() -> Fixed:
    return Fixed("roads", ("pothole", "crack"), 0, (20, 60))


@pytest.fixture
def faces() -> Fixed:
    return Fixed("faces", ("face",), 30, (40, 30))


PICTURES = [np.zeros((40, 60, 3), np.uint8)] * 3


def test_what_each_finds_stands_side_by_side_with_its_own_class(roads: Fixed, faces: Fixed) -> None:
    detector = CombinedDetector([roads, faces], [None, None])
    answers = detector.predict(PICTURES, sizes=[(80, 120)] * 3)
    assert [found.labels for found in answers] == [["crack", "face"]] * 3
    assert answers[0].boxes[:, 0].tolist() == [0, 30]
    assert answers[0].image_size == (80, 120)
    assert detector.class_names == ("pothole", "crack", "face")
    assert detector.name == "roads + faces"


def test_each_is_asked_once_for_all_pictures_with_its_own_threshold(roads: Fixed, faces: Fixed) -> None:
    detector = CombinedDetector([roads, faces], [0.7, None])
    detector.predict(PICTURES)
    detector.predict(PICTURES, 0.2)
    assert roads.asked == [(3, 0.7), (3, 0.2)]
    assert faces.asked == [(3, 0.5), (3, 0.2)]
    assert detector.min_confidence == 0.5


def test_pictures_are_as_large_as_one_of_them_asks_for(roads: Fixed, faces: Fixed) -> None:
    assert CombinedDetector([roads, faces], [None, None]).input_size((40, 60)) == (40, 60)


def test_two_that_find_the_same_are_refused(roads: Fixed) -> None:
    with pytest.raises(ModelError, match=r"roads \+ roads find crack, pothole\. Leave one"):
        CombinedDetector([roads, roads], [None, None])


def test_one_that_answers_for_other_pictures_is_named(roads: Fixed, faces: Fixed) -> None:
    faces.answers = 2
    with pytest.raises(ModelError, match="'faces' gave 2 answers for 3 pictures"):
        CombinedDetector([roads, faces], [None, None]).predict(PICTURES)

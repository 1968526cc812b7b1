from pathlib import Path

import numpy as np
import pytest

from pothole.detection.box_networks.ssd import SSD
from pothole.detection.registry import load_detector
from pothole.errors import ModelError
from support.box_networks import ANCHORS, write_ssd_network

LABELS = "???", "Car", "Person", "Dog"
CAR, PERSON, DOG = 1, 2, 3
WHITE = np.full((90, 120, 3), 255, np.uint8)
SECOND_LAYER = 19 * 19 * 3  # number of its first anchor


def ssd(folder: Path, found: dict[tuple[int, int], float], classes: str = '["Person"]', names: int = 4):
    write_ssd_network(folder / "network.xml", names, found)
    (folder / "labels.txt").write_text("\n".join(LABELS))
    (folder / "detector.json").write_text(f'["ssd", {{"classes": {classes}}}]')
    return load_detector(folder)


def test_an_object_stands_at_its_anchor(tmp_path: Path) -> None:
    """The last anchor is a square of √0.95 in the middle, the second layer's first one of 0.35 at 0.05."""
    detector = ssd(tmp_path, {(ANCHORS - 1, PERSON): 2, (SECOND_LAYER, PERSON): 4})
    [found] = detector.predict([WHITE])
    assert found.labels == ["person", "person"]
    assert found.scores == pytest.approx([0.982, 0.881], abs=1e-3)
    half = np.sqrt(0.95) / 2
    corner = [0, 0, 0.225 * 120, 0.225 * 90]
    middle = [(0.5 - half) * 120, (0.5 - half) * 90, (0.5 + half) * 120, (0.5 + half) * 90]
    assert found.boxes == pytest.approx(np.array([corner, middle]), abs=1e-2)


def test_an_object_is_moved_and_resized_from_its_anchor(tmp_path: Path) -> None:
    write_ssd_network(tmp_path / "network.xml", 4, {(0, PERSON): 3}, (10, 5, 5 * np.log(2), 5 * np.log(3)))
    # Of the first anchor, 0.1 high and wide, the height doubles and the width trebles.
    [found] = SSD(tmp_path / "network.xml", LABELS, ["Person"]).predict([WHITE])
    y, x = 0.5 / 19 + 0.1, 0.5 / 19 + 0.05
    expected = [max(0, x - 0.15) * 120, (y - 0.1) * 90, (x + 0.15) * 120, (y + 0.1) * 90]
    assert found.boxes == pytest.approx(np.array([expected]), abs=1e-2)


def test_classes_are_those_that_are_asked_for(tmp_path: Path) -> None:
    found = {(ANCHORS - 1, PERSON): 2.0, (SECOND_LAYER, CAR): 4.0, (0, DOG): 4.0}
    assert ssd(tmp_path, found).predict([WHITE])[0].labels == ["person"]
    [answer] = ssd(tmp_path, found, '["Dog", "Car"]').predict([WHITE])
    assert sorted(answer.labels) == ["car", "dog"]


def test_of_two_anchors_at_an_object_one_counts_but_of_two_classes_both(tmp_path: Path) -> None:
    square, almost = ANCHORS - 1, ANCHORS - 6  # of the last layer, 0.97 and 0.95 wide
    [found] = ssd(tmp_path, {(square, PERSON): 2, (almost, PERSON): 3}).predict([WHITE])
    assert found.scores == pytest.approx([0.953], abs=1e-3)
    both = ssd(tmp_path, {(square, PERSON): 2, (square, DOG): 3}, '["Person", "Dog"]')
    assert sorted(both.predict([WHITE])[0].labels) == ["dog", "person"]


def test_a_network_for_one_picture_takes_several_at_once(tmp_path: Path) -> None:
    detector = ssd(tmp_path, {(ANCHORS - 1, PERSON): 2})
    black = np.zeros_like(WHITE)
    answers = detector.predict([black, WHITE, black], sizes=[(90, 120), (180, 240), (90, 120)])
    assert [len(found) for found in answers] == [0, 1, 0]
    assert answers[1].image_size == (180, 240)
    assert detector.input_size((1080, 200)) == (300, 200)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no class Cat\. Known are Car, Person, Dog"):
        ssd(tmp_path, {}, '["Cat"]')
    with pytest.raises(ModelError, match=r"expected \[\(1, 1917, 4\), \(1, 1917, 4\)\]"):
        ssd(tmp_path, {}, names=5)
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(ModelError, match=r"labels\.txt cannot be read"):
        load_detector(tmp_path)

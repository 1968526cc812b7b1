from pathlib import Path

import numpy as np
import pytest

from pothole.detection.box_networks.center_face import CenterFace
from pothole.detection.registry import load_detector
from pothole.errors import ModelError
from pothole.types import Image
from support.box_networks import write_face_network, write_ssd_network

FACE = 24.0, 16.0  # height and width
OFFSET = 0.25, -0.5  # one pixel down and two to the left


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("FaceDetector") / "network.xml"
    write_face_network(path, FACE, OFFSET)
    (path.parent / "detector.json").write_text('["center_face", {}]')
    return path


def picture(*cells: tuple[int, int], size: tuple[int, int] = (64, 96), white: int = 255) -> Image:
    image = np.zeros((*size, 3), np.uint8)
    for row, column in cells:
        image[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = white
    return image


def test_a_face_stands_around_its_cell(network: Path) -> None:
    [found] = load_detector(network.parent).predict([picture((8, 11))])
    assert found.labels == ["face"]
    # The middle of the cell is at y 34, x 46.
    assert found.boxes.tolist() == [[36, 23, 52, 47]]
    assert found.masks[0].shape == (24, 16)
    assert found.masks[0].all()


def test_cells_side_by_side_are_one_face_and_others_are_others(network: Path) -> None:
    sure, unsure = picture((8, 5)), picture((8, 6), white=200)
    [found] = CenterFace(network, 640).predict([sure + unsure + picture((8, 18))])
    assert sorted(found.boxes[:, 0].tolist()) == [12, 64]
    assert found.scores.tolist() == [1, 1]


def test_a_face_that_is_less_sure_than_asked_for_is_left_out(network: Path) -> None:
    detector, faint = CenterFace(network, 640), picture((8, 11), white=153)  # a score of 0.6
    counts = [len(detector.predict([faint], score)[0]) for score in (None, 0.55, 0.65)]
    assert counts == [1, 1, 0]


def test_pictures_of_any_size_go_together_and_boxes_are_in_the_pixels_asked_for(network: Path) -> None:
    detector = CenterFace(network, 640)
    pictures = [picture((8, 11)), picture((4, 5), size=(40, 50))]
    first, second = detector.predict(pictures, sizes=[(128, 192), (40, 50)])
    assert first.boxes.tolist() == [[72, 46, 104, 94]]
    assert second.boxes == pytest.approx(np.array([[12, 7, 28, 31]]), abs=1e-3)
    assert (first.image_size, second.image_size) == ((128, 192), (40, 50))


def test_a_large_picture_is_scaled_down(network: Path) -> None:
    detector = CenterFace(network, 48)
    assert detector.input_size((64, 96)) == (32, 48)
    assert detector.batch([picture()]).shape == (1, 3, 32, 64)
    [found] = detector.predict([picture((8, 10), (8, 11), (9, 10), (9, 11))])
    assert found.boxes.tolist() == [[24, 14, 56, 62]]  # twice as large as in the picture that it sees


@pytest.mark.parametrize("content", ["none", "no network", "another"])
def test_a_network_that_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "network.xml"
    if content == "no network":
        path.write_text("<net/>")
    elif content == "another":
        write_ssd_network(path, 3, {})
    said = {"none": "no network", "no network": "cannot be read", "another": "has 1 inputs and 2 outputs"}
    with pytest.raises(ModelError, match=said[content]) as error:
        CenterFace(path, 640)
    assert str(path) in str(error.value)

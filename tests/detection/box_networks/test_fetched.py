"""The networks that are fetched, with a photograph: NASA's portrait of Eileen Collins, public domain."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pothole.detection.combined import CombinedDetector
from pothole.detection.registry import load_detector
from support.servers import ROOT

pytestmark = pytest.mark.detectors
FACE, PERSON = [90, 28, 136, 89], [10, 8, 186, 255]  # as seen in the picture, xyxy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("detectors")
    environment = os.environ | {"PYTHON": sys.executable}
    subprocess.run([ROOT / "container" / "fetch_detectors.sh", path], check=True, env=environment)
    return path


def test_a_face_and_a_person_are_found_in_a_photograph_and_nothing_beside_it(folder: Path) -> None:
    read = cv2.imread(str(Path(__file__).parent / "astronaut.jpg"))
    assert read is not None
    photograph = np.asarray(read[..., ::-1], np.uint8)
    detectors = [load_detector(folder / name) for name in ("FaceDetector", "HumanDetector")]
    grey = np.full_like(photograph, 120)
    found, nothing = CombinedDetector(detectors, [None, None]).predict([photograph, grey])
    assert found.labels == ["face", "person"]
    assert found.boxes == pytest.approx(np.array([FACE, PERSON]), abs=8)
    assert len(nothing) == 0


def test_what_is_fetched_can_be_read_by_all_and_says_its_licence(folder: Path) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"FaceDetector/LICENSE", "HumanDetector/LICENSE.json"} <= files
    assert all((folder / name).stat().st_mode & 0o004 for name in files)

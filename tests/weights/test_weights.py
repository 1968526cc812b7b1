"""The shipped weights find potholes, on roads where it is known what there is to find."""

import pytest

from pothole.detection.registry import load_detector
from pothole.settings import SHIPPED_MODEL
from pothole.training.evaluate import evaluate
from roads.output import write_dataset


@pytest.mark.slow
def test_the_shipped_weights_find_the_potholes_of_roads_they_have_not_seen(tmp_path):
    write_dataset(tmp_path / "roads", pictures=16, negatives=0.25, seed=901, size=(384, 640))
    figures = evaluate(load_detector(SHIPPED_MODEL), tmp_path / "roads")
    assert figures["mask_ap50"] >= 0.5
    assert figures["false_positives_per_negative_image"] <= 0.5

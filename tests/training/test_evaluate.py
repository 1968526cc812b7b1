import json
from dataclasses import replace

import numpy as np
import pytest

from pothole.detections import Detections
from pothole.training.comparison import Comparison, precision_recall_curve
from pothole.training.evaluate import Evaluation, evaluate, fairness, groups, rule
from pothole.training.regions import Regions
from support.datasets import write_dataset, write_regions
from support.fakes import Oracle


def test_a_perfect_detector_scores_one(tmp_path):
    figures = evaluate(Oracle(), write_dataset(tmp_path))
    assert [figures[k] for k in ("mask_ap", "mask_ap50", "box_ap", "box_ap50")] == [1.0] * 4
    assert figures["false_positives_per_negative_image"] == 0.0
    assert set(figures["by_source"]) == {"a", "b"}
    assert figures["by_source"]["a"]["instances"] == 2


def test_a_detector_that_is_off_passes_at_half_overlap_only(tmp_path):
    figures = evaluate(Oracle(shift=8), write_dataset(tmp_path))  # 22 of 38 columns shared: overlap 0.58
    assert figures["mask_ap50"] == 1.0 and figures["mask_ap"] == pytest.approx(0.2, abs=0.01)


def test_false_positives_count_from_the_default_confidence(tmp_path):
    figures = evaluate(Oracle(score_of_false=0.6), write_dataset(tmp_path))
    assert figures["false_positives_per_negative_image"] == 1.0


def square(x, y, side):
    """A square's polygon, as COCO writes it."""
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def truth(image_id, x, y, side, **more):
    record = {"image_id": image_id, "segmentation": [square(x, y, side)], "bbox": [x, y, side, side]}
    return {"id": 0, **record, "area": side * side, "iscrowd": 0, **more}


def squares(*found):
    """Detections of `(x, y, side, score)`."""
    return Detections(
        (300, 300),
        np.array([(x, y, x + side, y + side) for x, y, side, _ in found], np.float32).reshape(-1, 4),
        np.array([score for *_, score in found], np.float32),
        tuple(np.ones((side, side), bool) for _, _, side, _ in found),
    )


ROADS = {
    "images": [{"id": i, "height": 300, "width": 300} for i in (7, 8)],
    "annotations": [truth(7, 10, 10, 20), truth(7, 50, 10, 50), truth(7, 10, 150, 120)],  # of each size one
}
MARKED = [
    (7, squares((10, 10, 20, 0.9), (50, 10, 50, 0.6), (200, 10, 60, 0.95))),  # the last is none
    (8, squares((100, 100, 20, 0.9))),  # on the negative picture
]


def at(figures, *keys):
    return [figures[key] for key in keys]


def test_figures_at_the_operating_point_are_those_counted_by_hand():
    figures = Comparison(ROADS, MARKED).figures(0.5)
    keys = ("precision", "recall", "f1", "false_positives_per_negative_image")
    assert at(figures, *keys) == [0.5, 0.6667, 0.5714, 1.0]
    sizes = figures["by_size"]
    assert at(sizes["small"], "instances", *keys) == [1, 0.5, 1.0, 0.6667, 1.0]
    assert at(sizes["medium"], "instances", *keys) == [1, 0.5, 1.0, 0.6667, 0.0]
    assert at(sizes["large"], "instances", *keys) == [1, None, 0.0, 0.0, 0.0]
    for kind in ("mask_ap50", "box_ap50"):
        assert [s[kind] for s in sizes.values()] == pytest.approx([1.0, 0.5, 0.0])
    higher = Comparison(ROADS, MARKED).figures(0.7)
    assert at(higher, "precision", "recall") == [0.3333, 0.3333]
    assert higher["mask_ap"] == figures["mask_ap"]  # which no confidence cuts


def test_a_set_without_potholes_or_without_detections_has_figures():
    clean = {**ROADS, "annotations": []}
    figures = Comparison(clean, MARKED).figures(0.5)
    assert at(figures, "mask_ap", "recall", "precision") == [None, None, 0.0]
    nothing = Comparison(ROADS, [(i, squares()) for i in (7, 8)]).figures(0.5)
    assert at(nothing, "mask_ap", "recall", "precision") == [0.0, 0.0, None]


def test_a_detection_on_a_crowd_is_neither_right_nor_wrong():
    crowd = {**ROADS, "annotations": [truth(7, 10, 10, 20), truth(7, 190, 0, 100, iscrowd=1)]}
    figures = Comparison(crowd, MARKED[:1]).figures(0.8)
    assert at(figures, "instances", "precision", "recall") == [1, 1.0, 1.0]


def test_boxes_on_a_crowd_are_known_by_its_mask():
    ring = [[180, 0, 300, 0, 300, 300, 0, 300, 0, 280, 180, 280]]  # its box is the whole picture
    around = {**truth(7, 0, 0, 300, iscrowd=1), "segmentation": ring}
    lane = {**ROADS, "annotations": [*ROADS["annotations"], around]}
    doubtful = [(7, squares((10, 10, 20, 0.6), (200, 10, 60, 0.95), (100, 20, 20, 0.9)))]
    figures = Comparison(lane, doubtful).figures(0.5)  # the second is on the ring, the third a false one
    assert at(figures, "instances", "precision") == [3, 0.5]
    assert figures["box_ap50"] == figures["mask_ap50"] == pytest.approx(0.5 / 3, abs=0.01)


def test_a_picture_with_a_crowd_alone_is_a_negative():
    crowd = {**ROADS, "annotations": [*ROADS["annotations"], truth(8, 0, 0, 50, iscrowd=1)]}
    assert Comparison(crowd, MARKED).figures(0.5)["false_positives_per_negative_image"] == 1.0


def test_the_curve_falls_from_the_surest_to_the_last_pothole():
    curve = precision_recall_curve(Comparison(ROADS, MARKED).matches())
    assert [s for s, *_ in curve] == pytest.approx([0.9, 0.6])  # where a score finds another pothole
    assert [p for _, *p in curve] == [pytest.approx([1 / 3, 1 / 3]), pytest.approx([2 / 3, 1 / 2])]
    assert precision_recall_curve(Comparison({**ROADS, "annotations": []}, MARKED).matches()) == []


@pytest.mark.parametrize(
    ("best", "passed", "said"),
    [
        (None, None, "Each of these pictures shows a pothole"),
        (0.05, 26.0, "These pictures are too few to choose a score threshold on"),
        (0.61, 0.048, "These pictures ask for a score threshold of 0.61"),
    ],
)
def test_what_pictures_say_of_the_score_threshold_is_told_in_words(best, passed, said):
    assert rule({"best_min_confidence": best, "held_out_false_positives": passed}).startswith(said)


def test_an_evaluation_takes_the_confidence_that_is_asked_for_and_says_the_rule(tmp_path):
    folder = write_dataset(tmp_path / "roads")
    asked = Evaluation.run(Oracle(), folder, min_confidence=0.95).figures()
    assert at(asked, "min_confidence", "recall", "mask_ap50") == [0.95, 0.0, 1.0]
    assert rule(asked).startswith("These pictures ask for a score threshold of 0.31: the lowest with which")
    assert asked["sensitivities"] == {"low": 0.3001, "normal": 0.3001, "high": 0.3001}
    names = [[name for name, _ in group] for group in groups(asked)]
    assert names == [["all"], ["a", "b"], ["small", "medium", "large"]]
    assert (
        fairness(asked)[1]
        == "Recall at a mask IoU of 0.3: 1.000 at 0.1 and 1.000 at 1.0 false marks per picture."
    )


def test_regions_make_what_is_outside_of_the_lane_neither_right_nor_wrong(tmp_path):
    folder = write_dataset(tmp_path)
    path = tmp_path / "regions" / "lanes.json"
    path.parent.mkdir()
    write_regions(path, "0.png", [("lane", [20, 0, 80, 0, 80, 60, 20, 60])])  # its false mark is at 0 to 10
    write_regions(path, "1.png", [("crack", [0, 2, 60, 2, 60, 4, 0, 4])])
    regions = Regions.read([path])
    figures = Evaluation.run(Oracle(score_of_false=0.6), folder, regions=regions).figures()
    assert figures["false_positives_per_negative_image"] == 0.5
    assert figures["false_on_cracks"] == 1
    assert figures["plain"]["false_positives_per_negative_image"] == 1.0
    assert "1 false marks lie on labelled cracks." in fairness(figures)
    assert "without regions" in dict(groups(figures)[0])


def test_pictures_of_one_scene_count_as_one(tmp_path):
    folder = write_dataset(tmp_path, pictures=5, negatives=0)
    coco = json.loads((folder / "annotations.json").read_text())
    for image in coco["images"]:
        image["group"] = "left" if image["id"] < 104 else "right"
    (folder / "annotations.json").write_text(json.dumps(coco))
    evaluation = Evaluation.run(Oracle(), folder)
    missed = tuple((i, d[[]] if i < 104 else d) for i, d in evaluation.found)
    figures = replace(evaluation, found=missed).figures()
    assert figures["scenes"] == 2 and figures["froc"]["1.0"] == 0.2
    assert figures["one_per_scene"]["froc"]["1.0"] == 0.5
    assert figures["interval"]["froc"]["1.0"] == [0.0, 1.0]

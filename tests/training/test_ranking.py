import numpy as np
import pytest

from pothole.detections import Detections
from pothole.training.comparison import Comparison
from pothole.training.ranking import draws, interval, one_per_scene, scene_numbers


def random_roads(pictures=12, seed=3, digits=6):
    """Potholes, and marks of which some are moved and some are none; the last picture has neither."""
    rng = np.random.default_rng(seed)
    images = [{"id": 5 * i, "height": 200, "width": 200} for i in range(pictures)]
    annotations, found = [], []
    for image in images[:-1]:
        boxes = []
        for _ in range(3):
            x, y, side = (int(v) for v in rng.integers((0, 0, 20), (120, 120, 60)))
            outline = [[x, y, x + side, y, x + side, y + side, x, y + side]]
            more = {"bbox": [x, y, side, side], "area": side * side, "iscrowd": int(rng.uniform() < 0.2)}
            annotations.append({"image_id": image["id"], "segmentation": outline, **more})
            left, top = np.clip(np.add((x, y), rng.integers(-8, 9, 2)), 0, None)
            boxes += [(left, top, left + side, top + side), (150, 150, 190, 150 + int(rng.integers(5, 40)))]
        scores = rng.uniform(size=len(boxes)).round(digits).astype(np.float32)
        masks = tuple(np.ones((b - t, r - left), bool) for left, t, r, b in boxes)
        found.append((image["id"], Detections((200, 200), np.array(boxes, np.float32), scores, masks)))
    return {"images": images, "annotations": annotations}, found


@pytest.mark.parametrize("seed", range(3))
def test_with_equal_weights_average_precision_is_cocos(seed):
    comparison = Comparison(*random_roads(seed=seed, digits=1))  # so that scores are equal
    figures = comparison.figures(0.5)
    ap = comparison.ranking().average_precision(np.ones(12))
    assert ap == pytest.approx((figures["mask_ap"], figures["mask_ap50"]), abs=1e-4)
    assert 0.05 < ap[1] < 0.95


def test_a_picture_of_weight_two_counts_as_two_pictures():
    roads, found = random_roads()
    twice = {
        "images": [*roads["images"], {**roads["images"][0], "id": 999}],
        "annotations": [
            *roads["annotations"],
            *({**a, "image_id": 999} for a in roads["annotations"] if a["image_id"] == 0),
        ],
    }
    weights = np.ones(12)
    weights[0] = 2.0
    weighted = Comparison(roads, found).ranking()
    doubled = Comparison(twice, [*found, (999, found[0][1])]).ranking()
    assert weighted.values(weights) == pytest.approx(doubled.values(np.ones(13)))
    without = Comparison(roads, found, {i["id"] for i in roads["images"][1:]}).ranking()
    weights[0] = 0.0
    assert weighted.values(weights) == pytest.approx(without.values(np.ones(11)))


def test_recall_is_that_at_so_many_false_marks_per_picture():
    square = {
        "segmentation": [[0, 0, 20, 0, 20, 20, 0, 20]],
        "bbox": [0, 0, 20, 20],
        "area": 400,
        "iscrowd": 0,
    }
    roads = {
        "images": [{"id": i, "height": 100, "width": 100} for i in range(10)],
        "annotations": [{"image_id": i, **square} for i in range(4)],
    }

    def marks(*left_and_score):
        boxes = np.array([(left, 0, left + 20, 20) for left, _ in left_and_score], np.float32).reshape(-1, 4)
        scores = np.array([score for _, score in left_and_score], np.float32)
        return Detections((100, 100), boxes, scores, (np.ones((20, 20), bool),) * len(scores))

    # Right, wrong, right with an IoU of 0.33, wrong, right: one false mark is 0.1 per picture.
    found = [
        (0, marks((0, 0.9))),
        (5, marks((50, 0.8), (30, 0.6))),
        (1, marks((10, 0.7))),
        (2, marks((0, 0.5))),
    ]
    ranking = Comparison(roads, found).ranking()
    assert ranking.summary(np.ones(10))["froc"] == {"0.1": 0.5, "1.0": 0.75}
    assert ranking.froc(np.ones(10))[-1] == pytest.approx((0.2, 0.75))


def test_nothing_is_measured_where_nothing_is():
    empty = Comparison({"images": [{"id": 1, "height": 9, "width": 9}], "annotations": []}, [])
    nothing = {"mask_ap": None, "mask_ap50": None, "froc": {"0.1": None, "1.0": None}}
    assert empty.ranking().summary(np.ones(1)) == nothing
    assert interval(empty.ranking().values, np.zeros(1, int)) == nothing


def test_scenes_are_groups_and_pictures_without_one():
    images = [{"id": 1, "group": "a"}, {"id": 2}, {"id": 3, "group": "a"}, {"id": 4, "group": None}]
    scenes = scene_numbers(images)
    assert scenes.tolist() == [0, 1, 0, 2]
    assert one_per_scene(scenes).tolist() == [0.5, 1.0, 0.5, 1.0]
    drawn = np.array(list(draws(scenes, 50)))
    assert (drawn[:, 0] == drawn[:, 2]).all() and drawn.shape == (50, 4)
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all() and (drawn == np.array(list(draws(scenes, 50)))).all()

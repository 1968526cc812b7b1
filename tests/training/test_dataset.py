import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pothole.errors import DatasetError, InvalidMedia
from pothole.training.augment import Augmentation, cast_shadow, paste_objects
from pothole.training.batches import MINI_MASK, Batches, mini_mask
from pothole.training.dataset import read_dataset, read_image
from pothole.training.train import sampling_weights
from support.datasets import write_dataset

WILD = Augmentation(scale=(0.5, 2.0), stretch=0.3, flip=0.5)


def test_pictures_and_their_polygons_are_read(tmp_path):
    samples, _ = read_dataset(write_dataset(tmp_path))
    assert [len(s.polygons) for s in samples] == [0, 0, 1, 1, 1, 1]
    assert samples[2].source == "b" and samples[2].polygons[0][0].shape == (4, 2)


@pytest.mark.parametrize("text", [None, "{", "{}", '{"images": [], "annotations": []}'])
def test_a_folder_that_is_no_data_set_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(DatasetError, match=r"annotations\.json"):
        read_dataset(tmp_path)


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(InvalidMedia, match=r"a\.jpg"):
        read_image(tmp_path / "a.jpg")


def test_a_mini_mask_covers_its_box():
    triangle = np.array([[10, 10], [30, 10], [10, 50]], np.float32)
    box, mask = mini_mask([triangle], (100, 100))
    assert box.tolist() == [10, 10, 30, 50]
    assert mask[2, 2] == 1 and mask[2, -3] == 1 and mask[-3, -3] == 0
    assert mask.mean() == pytest.approx(0.5, abs=0.03)


def test_an_object_past_the_edge_is_cut_and_one_outside_left_out():
    square = np.array([[-10, 10], [10, 10], [10, 30], [-10, 30]], np.float32)
    box, mask = mini_mask([square], (100, 100))
    assert box.tolist() == [0, 10, 10, 30] and mask.all()
    assert mini_mask([square - (20, 0)], (100, 100)) is None


@pytest.mark.parametrize("augmentation", [WILD, replace(WILD, window=(64, 96)), replace(WILD, paste=1.0)])
@pytest.mark.parametrize("seed", range(4))
def test_masks_follow_the_pixels_through_every_warp(tmp_path, seed, augmentation):
    samples, _ = read_dataset(write_dataset(tmp_path, negatives=0))
    (batch,) = Batches(samples, (96, 160), 4, [1] * 6, 1, seed, augmentation)[0]
    for image, boxes, masks, classes in zip(
        *(batch[k] for k in ("images", "boxes", "masks", "classes")), strict=True
    ):
        if not classes[0]:
            continue
        white = (image[..., 0] > 127) & (image != 127).any(axis=2)
        inside = np.zeros_like(white)
        for box, mask in zip(boxes[classes > 0], masks, strict=False):
            left, top, right, bottom = np.round(box).astype(int)
            inside[top:bottom, left:right] |= cv2.resize(mask, (right - left, bottom - top)) > 0
        union = (white | inside).sum()
        assert (white & inside).sum() / union > 0.85 or union < 60


@pytest.mark.parametrize("seed", range(6))
def test_a_window_holds_an_object_where_there_is_one(tmp_path, seed):
    samples, _ = read_dataset(write_dataset(tmp_path, negatives=0, size=(600, 800)))
    close = Augmentation(window=(32, 32))
    (batch,) = Batches(samples, (480, 640), 4, [1] * 6, 1, seed, close)[0]
    assert batch["images"].shape == (4, 32, 32, 3) and (batch["classes"][:, 0] == 1).all()


def test_windows_from_elsewhere_show_the_road_without_its_pothole(tmp_path):
    samples, _ = read_dataset(write_dataset(tmp_path, negatives=0, size=(600, 800)))
    close = Augmentation(window=(32, 32), elsewhere=1.0)
    (batch,) = Batches(samples, (480, 640), 16, [1] * 6, 1, 1, close)[0]
    assert (batch["classes"][:, 0] == 0).any()


def test_an_object_mostly_out_of_sight_and_a_crowd_are_ignored(tmp_path):
    folder = write_dataset(tmp_path, pictures=1, negatives=0, size=(64, 96))
    coco = json.loads((folder / "annotations.json").read_text())
    [whole] = coco["annotations"]
    cut = {**whole, "id": 8, "segmentation": [[-40, 40, 16, 40, 16, 56, -40, 56]]}  # 16 of 56 columns
    crowd = {**whole, "id": 9, "iscrowd": 1, "segmentation": [[64, 0, 96, 0, 96, 16, 64, 16]]}
    coco["annotations"] += [cut, crowd]
    (folder / "annotations.json").write_text(json.dumps(coco))
    [sample], _ = read_dataset(folder)
    (batch,) = Batches([sample], (64, 96), 1, [1], 1, 1, Augmentation())[0]
    assert batch["classes"].sum() == 1 and batch["boxes"][0, 0].tolist() == [20, 15, 50, 35]
    wanted = np.zeros((8, 12), np.uint8)
    wanted[5:7, :2] = wanted[:2, 8:] = 1
    assert (batch["ignored"][0] == wanted).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_pasted_pothole_looks_as_before_and_covers_no_other(seed):
    road, dark = np.full((60, 80, 3), 90, np.uint8), np.full((60, 80, 3), 250, np.uint8)
    square = np.array([[30, 20], [50, 20], [50, 40], [30, 40]], np.float32)
    dark[10:51, 20:61] = 60  # what is further away does not count as its surroundings
    dark[20:41, 30:51] = 20
    pasted, objects = paste_objects(road, [], dark, [(square,)], np.random.default_rng(seed))
    (x, y) = objects[0][0].mean(axis=0).astype(int)
    assert abs(int(pasted[y, x, 0]) - 50) <= 3  # 40 below its surroundings, as it was
    assert pasted[0, 0].tolist() == [90] * 3
    everywhere = np.array([[0, 0], [80, 0], [80, 60], [0, 60]], np.float32)
    same, one = paste_objects(road, [(everywhere,)], dark, [(square,)], np.random.default_rng(seed))
    assert (same == road).all() and len(one) == 1 and (road == 90).all()


def test_a_shadow_darkens_a_part_alone():
    road = np.full((60, 80, 3), 90, np.uint8)
    shadows = [cast_shadow(road, np.random.default_rng(seed)) for seed in range(9)]
    assert all((s <= 90).all() and s.min() >= 35 for s in shadows)
    assert sum((s == 90).any() and (s < 70).any() for s in shadows) > 4


def test_a_batch_depends_on_seed_and_number_alone(tmp_path):
    samples, _ = read_dataset(write_dataset(tmp_path))
    first = Batches(samples, (96, 160), 3, [1] * 6, 2, 5, WILD)
    again = Batches(samples, (96, 160), 3, [1] * 6, 2, 5, WILD)
    assert (first[1][0]["images"] == again[1][0]["images"]).all()
    assert not (first[0][0]["images"] == first[1][0]["images"]).all()
    resumed = Batches(samples, (96, 160), 3, [1] * 6, 1, 5, WILD, first=1)
    assert (first[1][0]["images"] == resumed[0][0]["images"]).all()
    assert first[0][0]["masks"].shape == (3, 24, MINI_MASK, MINI_MASK)


def test_a_picture_that_went_bad_is_named_past_tensorflow(tmp_path):
    samples, _ = read_dataset(write_dataset(tmp_path))
    for sample in samples:
        sample.path.write_bytes(sample.path.read_bytes()[:60])
    batches = Batches(samples, (96, 160), 3, [1] * 6, 2, 5, WILD)
    with pytest.raises(InvalidMedia):
        batches[0]
    assert isinstance(batches.failure, InvalidMedia) and ".png" in str(batches.failure)


def test_negatives_get_their_share_and_a_large_source_does_not_drown_a_small_one(tmp_path):
    samples, _ = read_dataset(write_dataset(tmp_path, pictures=22, negatives=2))
    samples = [s for s in samples if s.source == "a" or not s.polygons or s.id > 117]  # 10 of a, few of b
    weights = np.array(sampling_weights(samples, 0.2))
    share = {
        name: sum(w for w, s in zip(weights, samples, strict=True) if s.polygons and s.source == name)
        for name in ("a", "b")
    }
    count = {name: sum(1 for s in samples if s.polygons and s.source == name) for name in ("a", "b")}
    assert weights.sum() == pytest.approx(1.0)
    assert share["a"] + share["b"] == pytest.approx(0.8)
    assert share["a"] / share["b"] == pytest.approx(np.sqrt(count["a"] / count["b"]))

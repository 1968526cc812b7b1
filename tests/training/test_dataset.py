import cv2
import numpy as np
import pytest

from datasets import write_dataset
from pothole.errors import InvalidMedia, RequestError
from pothole.training.augment import Augmentation
from pothole.training.dataset import MINI_MASK, Batches, mini_mask, read_coco, read_image
from pothole.training.train import sampling_weights

WILD = Augmentation(scale=(0.5, 2.0), stretch=0.3, flip=0.5)


def test_pictures_and_their_polygons_are_read(tmp_path):
    samples, _ = read_coco(write_dataset(tmp_path))
    assert [len(s.polygons) for s in samples] == [0, 0, 1, 1, 1, 1]
    assert samples[2].source == "b" and samples[2].polygons[0][0].shape == (4, 2)


@pytest.mark.parametrize("text", [None, "{", "{}", '{"images": [], "annotations": []}'])
def test_a_folder_that_is_no_data_set_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(RequestError, match=r"annotations\.json"):
        read_coco(tmp_path)


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


@pytest.mark.parametrize("seed", range(8))
def test_masks_follow_the_pixels_through_every_warp(tmp_path, seed):
    samples, _ = read_coco(write_dataset(tmp_path, negatives=0))
    (batch,) = Batches(samples, (96, 160), 4, [1] * 6, 1, seed, WILD)[0]
    for image, boxes, masks, classes in zip(
        *(batch[k] for k in ("images", "boxes", "masks", "classes")), strict=True
    ):
        if not classes[0]:
            continue
        left, top, right, bottom = np.round(boxes[0]).astype(int)
        white = image[..., 0] > 127
        inside = np.zeros_like(white)
        inside[top:bottom, left:right] = cv2.resize(masks[0], (right - left, bottom - top)) > 0
        union = (white | inside).sum()
        assert (white & inside).sum() / union > 0.85 or union < 60


def test_a_batch_depends_on_seed_and_number_alone(tmp_path):
    samples, _ = read_coco(write_dataset(tmp_path))
    first = Batches(samples, (96, 160), 3, [1] * 6, 2, 5, WILD)
    again = Batches(samples, (96, 160), 3, [1] * 6, 2, 5, WILD)
    assert (first[1][0]["images"] == again[1][0]["images"]).all()
    again.on_epoch_end()
    assert not (first[1][0]["images"] == again[1][0]["images"]).all()
    assert first[0][0]["masks"].shape == (3, 24, MINI_MASK, MINI_MASK)


def test_negatives_get_their_share_and_a_large_source_does_not_drown_a_small_one(tmp_path):
    samples, _ = read_coco(write_dataset(tmp_path, pictures=22, negatives=2))
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

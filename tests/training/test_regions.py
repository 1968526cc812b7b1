import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pothole.errors import DatasetError, TooLarge
from pothole.training import annotations
from pothole.training.dataset import read_dataset
from pothole.training.evaluate import Evaluation
from pothole.training.regions import Regions, outside
from support.datasets import write_dataset, write_regions
from support.fakes import Oracle

LEFT = [0, 0, 40, 0, 40, 60, 0, 60]


def test_what_lies_outside_of_a_lane_is_ignored_in_training(tmp_path):
    samples, _ = read_dataset(write_dataset(tmp_path / "data"))
    write_regions(tmp_path / "lanes.json", "roads\\\\2.png".replace("\\\\", "/"), [("lane", LEFT)])
    ignored = Regions.read([tmp_path / "lanes.json"]).ignore(samples)
    assert [s.ignored is None for s in ignored] == [True, True, False, True, True, True]
    mask = coco_mask.decode(ignored[2].ignored)
    assert mask[:, 40:].all() and not mask[:, :40].any()


def test_lanes_of_several_parts_and_files_are_joined(tmp_path):
    write_regions(tmp_path / "a.json", "0.png", [("lane", LEFT), ("lane", [60, 0, 80, 0, 80, 60, 60, 60])])
    write_regions(tmp_path / "b.json", "1.png", [("crack", LEFT)])
    regions = Regions.read([tmp_path / "a.json", tmp_path / "b.json"])
    beside = coco_mask.decode(outside(regions.lanes["0.png"]))
    assert beside[:, 40:60].all() and beside.sum() == 20 * 60
    assert set(regions.cracks) == {"1.png"}


def test_a_mark_lies_on_a_crack_when_a_twentieth_of_it_does(tmp_path):
    write_regions(tmp_path / "a.json", "0.png", [("crack", [10, 0, 12, 0, 12, 60, 10, 60])])
    regions = Regions.read([tmp_path / "a.json"])

    def is_on_crack(left, right, name="0.png"):
        mask = np.zeros((60, 80), np.uint8, order="F")
        mask[:10, left:right] = 1
        return regions.is_on_crack(coco_mask.encode(mask), {"file_name": name})

    assert is_on_crack(0, 20) and not is_on_crack(0, 60) and not is_on_crack(20, 40)
    assert not is_on_crack(0, 20, "1.png")


def test_regions_that_cannot_be_used_are_named(tmp_path):
    folder = write_dataset(tmp_path / "data")
    path = tmp_path / "regions.json"
    path.write_text('{"images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"image_id": 1}]}')
    with pytest.raises(DatasetError, match=r"regions\.json.*label ''"):
        Regions.read([path])
    path.unlink()
    write_regions(path, "0.png", [("kerb", LEFT)])
    with pytest.raises(DatasetError, match="label 'kerb'"):
        Regions.read([path])
    path.unlink()
    write_regions(path, "0.png", [("lane", LEFT)], size=(61, 80))
    with pytest.raises(DatasetError, match=r"regions of 0\.png are for 80x61 pixels"):
        Evaluation.run(Oracle(), folder, regions=Regions.read([path])).figures()
    path.unlink()
    write_regions(path, "other.png", [("lane", LEFT)])
    with pytest.raises(DatasetError, match="name none of the pictures"):
        Evaluation.run(Oracle(), folder, regions=Regions.read([path]))


def test_regions_above_the_limit_are_said_to_be_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(annotations, "MAX_BYTES", 10)
    write_regions(tmp_path / "lanes.json", "0.png", [("lane", LEFT)])
    with pytest.raises(TooLarge, match=r"lanes\.json is larger than 10 bytes"):
        Regions.read([tmp_path / "lanes.json"])

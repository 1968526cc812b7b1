"""Clips of a magenta pothole whose score depends on the frame, which is written in the grey of the road."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pothole.entrypoints.cli.videos import find_videos
from pothole.errors import InvalidMedia, RequestError, SourceIsOutput, SourceNotFound
from pothole.media import Video
from pothole.settings import Settings
from pothole.training.collect import Candidate, Selection, choose, collect
from pothole.training.comparison import encode_mask
from pothole.training.dataset import read_dataset, read_image
from support.clips import make_clip, number_of
from support.fakes import MAGENTA, MagentaDetector

SURE = 0.99
SELECTION = Selection(count=5, random=0, frame_interval=1)


class Unsure(MagentaDetector):
    """Is sure of each patch, but for the scores that are given by the number of the frame."""

    def __init__(self, scores=None):
        self.scores = scores or {}
        self.calls = 0

    def predict(self, images, min_confidence=None):
        self.calls += 1
        score_threshold = self.min_confidence if min_confidence is None else min_confidence
        found = []
        for image in images:
            patches = self._detect(image)
            score = self.scores.get(number_of(image[:8]), SURE)
            scored = replace(patches, scores=np.full(len(patches), score, np.float32))
            found.append(scored[scored.scores >= score_threshold])
        return found


def road(number):
    image = np.full((96, 128, 3), 20 + 3 * number, np.uint8)
    image[40:60, 30:70] = MAGENTA
    return image


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "roads" / "road.mp4", frames=60, rate=10, size=(128, 96), picture=road)


@pytest.fixture(autouse=True)
def roads(tmp_path):
    (tmp_path / "roads").mkdir()
    return tmp_path / "roads"


def chosen_frames(chosen):
    return {(c.index, c.reason) for c in chosen}


def test_frames_near_the_confidence_are_chosen_and_near_repeats_are_not(clip, tmp_path):
    unsure = Unsure({20: 0.55, 21: 0.56, 45: 0.7, 55: 0.8})  # the last is sure enough
    chosen = collect([clip], tmp_path / "out", unsure, Settings(), SELECTION)
    assert chosen_frames(chosen) == {(20, "score"), (45, "score")}
    names = sorted(p.name for p in (tmp_path / "out" / "images").iterdir())
    assert names == ["road_000020.jpg", "road_000045.jpg"]
    shown = read_image(tmp_path / "out" / "images" / "road_000020.jpg")
    assert number_of(shown[:8]) == 20 and shown.shape == (96, 128, 3)


def test_a_frame_is_chosen_where_a_pothole_is_lost_that_comes_again(clip, tmp_path):
    # At the end it does not come again.
    lost = Unsure({29: 0.8, 30: 0.0, **dict.fromkeys(range(50, 60), 0.0)})
    [frame] = collect([clip], tmp_path / "out", lost, Settings(), SELECTION)
    assert (frame.index, frame.reason) == (30, "flickers")
    assert frame.uncertainty == pytest.approx(0.8)  # as sure as it was before


def test_random_frames_follow_the_seed_and_keep_the_gap():
    candidates = [Candidate(0, i, i / 10, 0.6 if i == 50 else 0.0, "score") for i in range(200)]
    selection = Selection(count=3, random=4, seed=1)
    chosen = choose(candidates, selection)
    assert Counter(c.reason for c in chosen) == {"score": 1, "random": 4}
    times = sorted(c.time for c in chosen)
    assert min(np.diff(times)) >= 1.0
    assert choose(candidates, selection) == chosen != choose(candidates, replace(selection, seed=2))
    assert len(choose(candidates, replace(selection, random=100))) <= 20  # no more than fit


def test_equally_doubtful_frames_come_from_all_videos_not_from_the_first():
    candidates = [Candidate(v, i, float(i), 1.0, "flickers") for v in range(3) for i in range(50)]
    assert {c.video for c in choose(candidates, Selection(count=20, random=0))} == {0, 1, 2}


def test_what_is_written_is_read_by_training_with_the_masks_as_they_are(clip, tmp_path):
    detector = Unsure({20: 0.55})
    collect([clip], tmp_path / "out", detector, Settings(), replace(SELECTION, random=3))
    samples, coco = read_dataset(tmp_path / "out")
    assert len(samples) == 4 and {s.source for s in samples} == {"road"}
    assert {i["reason"] for i in coco["images"]} == {"score", "random"}
    for sample, annotation in zip(samples, coco["annotations"], strict=True):
        [found] = detector.predict([read_image(sample.path)], 0.1)
        [polygons] = sample.polygons
        drawn = coco_mask.merge(coco_mask.frPyObjects([p.ravel().tolist() for p in polygons], 96, 128))
        assert coco_mask.iou([drawn], [encode_mask(found, 0)], [0])[0, 0] > 0.9
        assert annotation["bbox"] == pytest.approx([30, 40, 40, 20], abs=1.5)
        assert annotation["area"] == pytest.approx(800, rel=0.1)


def test_the_annotators_file_knows_the_pictures_and_is_read_by_training_too(clip, tmp_path):
    collect([clip], tmp_path / "out", Unsure({20: 0.55}), Settings(), replace(SELECTION, random=1))
    corrected = (tmp_path / "out" / "via" / "via_region_data.json").read_text()
    via = json.loads(corrected)
    pictures = {p.name: p.stat().st_size for p in (tmp_path / "out" / "images").iterdir()}
    assert via.keys() == {f"{name}{size}" for name, size in pictures.items()}
    for record in via.values():
        assert pictures[record["filename"]] == record["size"]
        [region] = record["regions"]
        shape = region["shape_attributes"]
        assert shape["name"] == "polygon" and len(shape["all_points_x"]) == len(shape["all_points_y"]) >= 4
    before, _ = read_dataset(tmp_path / "out")
    (tmp_path / "out" / "annotations.json").write_text(corrected)  # as the guide says
    after, _ = read_dataset(tmp_path / "out")
    assert [s.path for s in before] == [s.path for s in after]
    for a, b in zip(before, after, strict=True):
        assert np.array_equal(a.polygons[0][0], b.polygons[0][0])


def test_a_folder_that_exists_is_left_as_it_is_before_any_work_is_done(clip, tmp_path):
    detector = Unsure()
    (tmp_path / "out").mkdir()
    with pytest.raises(RequestError, match="out exists already"):
        collect([clip], tmp_path / "out", detector, Settings(), SELECTION)
    assert detector.calls == 0 and not list((tmp_path / "out").iterdir())


def test_nothing_is_left_of_a_collection_that_fails_while_it_writes(clip, tmp_path):
    class Failing(Unsure):
        def predict(self, images, min_confidence=None):
            if self.calls == 61:  # the second of the chosen frames; all were looked at before
                raise InvalidMedia("broken")
            return super().predict(images, min_confidence)

    with pytest.raises(InvalidMedia, match="broken"):
        collect([clip], tmp_path / "out", Failing({20: 0.55, 45: 0.55}), Settings(), SELECTION)
    assert [p.name for p in tmp_path.iterdir()] == ["roads"]


def test_videos_that_cannot_be_read_are_named_and_the_others_gone_through(clip, roads, tmp_path, monkeypatch):
    (roads / "zero.mp4").write_bytes(b"no video")
    ends = make_clip(roads / "ends.mp4", 4)
    frames = Video.frames

    def break_off(video, *arguments):
        yield from frames(video, *arguments)
        if video.info.frame_count == 4:
            raise InvalidMedia("ends.mp4 ends here.")

    monkeypatch.setattr(Video, "frames", break_off)
    left_out = {}
    videos = [roads / "zero.mp4", ends, clip]
    selection = Selection(count=0, random=1, frame_interval=1)
    collect(videos, tmp_path / "out", Unsure(), Settings(), selection, on_left_out=left_out.__setitem__)
    assert list(left_out) == videos[:2]
    assert "zero.mp4 is not a video" in str(left_out[videos[0]])
    [picture] = (tmp_path / "out" / "images").iterdir()
    assert picture.name.startswith("road_")
    with pytest.raises(InvalidMedia, match="No video can be read"):
        collect(videos[:2], tmp_path / "none", Unsure(), Settings(), SELECTION)
    assert not (tmp_path / "none").exists()


def test_doubting_nothing_is_said_instead_of_an_empty_data_set(clip, tmp_path):
    with pytest.raises(RequestError, match="No frame is doubtful"):
        collect([clip], tmp_path / "out", Unsure(), Settings(), SELECTION)
    assert not (tmp_path / "out").exists()


def test_videos_of_one_name_do_not_overwrite_each_others_pictures(clip, roads, tmp_path):
    (roads / "north").mkdir()
    other = Path(roads / "north" / "road.mp4")
    other.write_bytes(clip.read_bytes())
    collect([clip, other], tmp_path / "out", Unsure({20: 0.55}), Settings(), SELECTION)
    names = sorted(p.name for p in (tmp_path / "out" / "images").iterdir())
    assert names == ["road-2_000020.jpg", "road_000020.jpg"]


def test_a_folder_stands_for_its_videos_without_the_marked_ones(roads):
    for name in ("b.mp4", "a.MOV", "a_output.mp4", "a_output.json", "notes.txt"):
        (roads / name).write_bytes(b"x")
    assert [v.name for v in find_videos([roads, roads / "b.mp4"], 10)] == ["a.MOV", "b.mp4"]
    with pytest.raises(SourceIsOutput, match="a_output"):
        find_videos([roads / "a_output.mp4"], 10)
    with pytest.raises(SourceNotFound, match=r"none\.mp4"):
        find_videos([roads / "none.mp4"], 10)
    (roads / "empty").mkdir()
    with pytest.raises(RequestError, match="holds no video"):
        find_videos([roads / "empty"], 10)

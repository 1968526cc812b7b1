"""The renderer of synthetic roads: its truth is what its pictures show."""

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

import roads.__main__ as render_road
from roads.camera import Camera
from roads.film import render
from roads.world import Road

SIZE = (180, 320)


@pytest.fixture(scope="module")
def road() -> Road:
    return Road(4, SIZE, length=20, potholes=8)


@pytest.mark.parametrize("size", ["64x48", "96x64"])
def test_a_very_small_picture_is_rendered_too(tmp_path: Path, size: str) -> None:
    render_road.main(["video", str(tmp_path / "small.mp4"), "--frames", "2", "--size", size])
    with av.open(str(tmp_path / "small.mp4")) as container:
        assert len(list(container.decode(video=0))) == 2


def test_camera_projects_a_worked_example() -> None:
    camera = Camera((720, 1280), focal=1000, height=1.5, pitch=0.0, x=0.5, z=3.0)

    # 10 m ahead, 0.5 m right of the camera: 50 px right of the centre and 150 px below it.
    assert camera.project(np.array([(1.0, 0.0, 13.0)])) == pytest.approx(np.array([(689.5, 509.5)]))
    assert camera.horizon == pytest.approx(359.5)
    assert camera.row_of(10.0) == pytest.approx(509.5)
    assert camera.distance_of(509.5) == pytest.approx(10.0)


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_truth_is_where_potholes_change_the_picture(seed: int) -> None:
    with_potholes = list(render(Road(seed, SIZE, length=20, potholes=8), 12, rate=6))
    without = list(render(Road(seed, SIZE, length=20, potholes=0), 12, rate=6))

    assert all(not truth for _, truth, _ in without)
    assert any(truth for _, truth, _ in with_potholes)
    caught = dict.fromkeys([(0, 0), (0, 2), (0, -2), (2, 0), (-2, 0)], 0.0)
    for (picture, truth, _), (bare, _, _) in zip(with_potholes, without, strict=True):
        change = np.abs(picture.astype(int) - bare).max(axis=2)
        for pothole in truth:
            x, y, w, h = cv2.boundingRect(pothole.mask.astype(np.uint8))
            assert pothole.box == (x, y, x + w, y + h)
            assert (change[pothole.mask] > 3).mean() > 0.5
            for moved in caught:
                caught[moved] += change[np.roll(pothole.mask, moved, (0, 1))].mean()
    # Cracks and gravel around a hole change the picture too, but nowhere as the hole does.
    assert max(caught, key=caught.__getitem__) == (0, 0)


def test_same_seed_same_pictures(road: Road) -> None:
    first = next(render(road, 1))[0]
    again = next(render(Road(4, SIZE, length=20, potholes=8), 1))[0]
    other = next(render(Road(5, SIZE, length=20, potholes=8), 1))[0]

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_potholes_keep_their_id_and_come_nearer(road: Road) -> None:
    bottoms: dict[int, list[int]] = {}
    distances: dict[int, list[float]] = {}
    for _, truth, _ in render(road, 30, rate=15):
        for pothole in truth:
            bottoms.setdefault(pothole.pothole_id, []).append(pothole.box[3])
            distances.setdefault(pothole.pothole_id, []).append(pothole.distance)

    assert set(bottoms) <= {p.id for p in road.potholes}
    assert max(len(rows) for rows in bottoms.values()) > 10
    for rows in bottoms.values():
        assert rows[-1] >= rows[0]
    # 10 m/s at 15 pictures a second; its bottom is where the road is at about its distance.
    for metres in distances.values():
        assert np.diff(metres) == pytest.approx(-10 / 15)
    nearest = min(distances, key=lambda number: distances[number][0])
    assert road.camera.row_of(distances[nearest][0]) == pytest.approx(bottoms[nearest][0], abs=8)


def test_video_has_its_frames_sound_and_truth(tmp_path: Path) -> None:
    out = tmp_path / "road.mp4"
    command = f"video {out} --frames 20 --rate 30000/1001 --size 320x180 --potholes 6 --count-area 60 --sound"
    render_road.main(command.split())

    with av.open(str(out)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert video.average_rate == Fraction(30000, 1001)
        assert float(audio.duration * audio.time_base) == pytest.approx(20 * 1001 / 30000, abs=0.05)
        assert sum(1 for _ in container.decode(video)) == 20
    truth = json.loads((tmp_path / "road.truth.json").read_text())
    assert [f["index"] for f in truth["frames"]] == list(range(20))
    listed = {p["id"] for f in truth["frames"] for p in f["potholes"]}
    assert 0 < truth["potholes"] == len(truth["pothole_ids"])
    assert set(truth["pothole_ids"]) <= listed
    assert truth["light"] == str(Road(1, (180, 320), length=7).light)
    nearest = [f["potholes"][0] for f in truth["frames"] if f["potholes"]]
    assert all(p["distance_m"] > 0 for p in nearest)
    assert any(p["plain"] for p in nearest)


def test_dataset_is_coco_with_negatives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render_road.main(f"dataset {tmp_path} --pictures 6 --size 192x128 --negatives 0.5 --seed 3".split())
    capsys.readouterr()

    coco = COCO(str(tmp_path / "annotations.json"))
    assert len(coco.imgs) == 6
    assert {i["source"] for i in coco.imgs.values()} == {"rendered"}
    with_potholes = {a["image_id"] for a in coco.anns.values()}
    assert 0 < len(with_potholes) < 6
    for image in coco.imgs.values():
        assert cv2.imread(str(tmp_path / "images" / image["file_name"])).shape == (128, 192, 3)
    for annotation in coco.anns.values():
        left, top, width, height = annotation["bbox"]
        assert 0 <= left < left + width <= 192
        assert 0 <= top < top + height <= 128
        assert coco_mask.area(coco.annToRLE(annotation)) == pytest.approx(annotation["area"], rel=0.1)


def test_wrong_size_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        render_road.main(["video", "x.mp4", "--size", "big"])

    assert "'big' is not WIDTHxHEIGHT" in capsys.readouterr().err


def test_truth_says_where_on_earth_and_how_big(tmp_path: Path) -> None:
    out = tmp_path / "road.mp4"
    command = f"video {out} --frames 10 --size 160x96 --potholes 4 --vary 0.3 --gpx --gps-dropout 2-4"
    render_road.main(command.split())
    truth = json.loads(out.with_suffix(".truth.json").read_text())
    road = Road(1, (96, 160), length=10 / 3, potholes=4)
    assert [p["id"] for p in truth["on_road"]] == [p.id for p in road.potholes]
    for record, pothole in zip(truth["on_road"], road.potholes, strict=True):
        assert record["width_m"] == pytest.approx(np.ptp(pothole.outline[:, 0]), abs=0.01)
        assert 0 < record["area_m2"] < record["width_m"] * record["length_m"]
        north, east = (record["lat"] - 48.137) * 111_200, (record["lon"] - 11.575) * 74_350
        assert np.hypot(north, east) == pytest.approx(np.hypot(record["x_m"], record["z_m"]), rel=0.01)
    assert truth["camera"]["height_m"] == road.camera.height
    gpx = out.with_suffix(".gpx").read_text()
    assert gpx.count("<trkpt") == 11 - 2
    with av.open(str(out)) as container:
        assert container.metadata["creation_time"].startswith("2026-05-04T10:00:00")

import base64
import json
import math

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pothole.errors import DatasetError, InvalidMedia, PotholeError, SourceNotFound, TooLarge
from pothole.training import annotations
from pothole.training.dataset import read_dataset
from support.datasets import write_dataset

SQUARE = [[20, 10], [50, 10], [50, 40], [20, 40]]


def picture(folder, name="a.png", size=(60, 80)):
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), np.zeros((*size, 3), np.uint8))


def write(folder, content, name="annotations.json"):
    (folder / name).write_text(json.dumps(content))
    return folder


def coco(segmentation, **fields):
    region = {"id": 1, "image_id": 7, "segmentation": segmentation, **fields}
    return {"images": [{"id": 7, "file_name": "a.png"}], "annotations": [region]}


def via(shape, **attributes):
    region = {"shape_attributes": shape, "region_attributes": attributes}
    return {"a.png123": {"filename": "a.png", "size": 123, "regions": [region]}}


def labelme(*shapes, name="a.png"):
    return {
        "version": "5.5.0",
        "imagePath": name,
        "imageHeight": 60,
        "imageWidth": 80,
        "shapes": list(shapes),
    }


def shape(points, kind="polygon", label="pothole", **fields):
    return {"label": label, "points": points, "shape_type": kind, **fields}


def mask():
    full = np.zeros((60, 80), np.uint8, order="F")
    full[10:40, 20:50] = 1
    return full


def lengths(full):
    """Run lengths column by column, from zeros on, as COCO has them."""
    flat = full.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    return np.diff([0, *ends, len(flat)]).tolist()


def png(full):
    return base64.b64encode(cv2.imencode(".png", full * 255)[1].tobytes()).decode()


XS, YS = [x for x, _ in SQUARE], [y for _, y in SQUARE]
SQUARES = {
    "coco": coco([[v for point in SQUARE for v in point]]),
    "coco-rle": coco({"size": [60, 80], "counts": lengths(mask())}),
    "coco-rle-packed": coco({"size": [60, 80], "counts": coco_mask.encode(mask())["counts"].decode()}),
    "via": via({"name": "polygon", "all_points_x": XS, "all_points_y": YS}),
    "via-line": via({"name": "polyline", "all_points_x": XS, "all_points_y": YS}),
    "via-rect": via({"name": "rect", "x": 20, "y": 10, "width": 30, "height": 30}),
    "via-project": {"_via_img_metadata": via({"name": "rect", "x": 20, "y": 10, "width": 30, "height": 30})},
    "via-1": {
        "a": {
            "filename": "a.png",
            "regions": {
                "0": via({"name": "rect", "x": 20, "y": 10, "width": 30, "height": 30})["a.png123"][
                    "regions"
                ][0]
            },
        }
    },
    "labelme": labelme(shape(SQUARE)),
    "labelme-rectangle": labelme(shape([[50, 40], [20, 10]], "rectangle")),
    "labelme-mask": labelme(shape([[20, 10], [49, 39]], "mask", mask=png(np.ones((30, 30), np.uint8)))),
}
ROUND = {
    "via-circle": via({"name": "circle", "cx": 40, "cy": 30, "r": 15}),
    "via-ellipse": via({"name": "ellipse", "cx": 40, "cy": 30, "rx": 15, "ry": 15}),
    "labelme-circle": labelme(shape([[40, 30], [40, 45]], "circle")),
}


@pytest.mark.parametrize("content", SQUARES.values(), ids=SQUARES)
def test_each_tool_says_the_same_square(tmp_path, content):
    picture(tmp_path)
    (sample,), truth = read_dataset(write(tmp_path, content, "named_as_one_likes.json"))
    points = np.concatenate(sample.polygons[0])
    assert len(sample.polygons) == 1
    assert points.min(axis=0) == pytest.approx([20, 10], abs=0.3)
    assert points.max(axis=0) == pytest.approx([50, 40], abs=0.3)
    assert truth["annotations"][0]["area"] == pytest.approx(900, rel=0.02)
    assert (truth["images"][0]["width"], truth["images"][0]["height"]) == (80, 60)


@pytest.mark.parametrize("content", ROUND.values(), ids=ROUND)
def test_each_tool_says_the_same_circle(tmp_path, content):
    picture(tmp_path)
    _, truth = read_dataset(write(tmp_path, content))
    assert truth["annotations"][0]["area"] == pytest.approx(math.pi * 15**2, rel=0.04)


def test_an_ellipse_is_turned_clockwise(tmp_path):
    picture(tmp_path)
    content = via({"name": "ellipse", "cx": 40, "cy": 30, "rx": 20, "ry": 4, "theta": math.pi / 4})
    (sample,), _ = read_dataset(write(tmp_path, content))
    (polygon,) = sample.polygons[0]
    assert polygon[polygon[:, 0].argmax(), 1] > 40  # rows grow downwards: its right end is low


def test_labelme_has_a_file_for_each_picture_and_groups_are_one_object(tmp_path):
    picture(tmp_path / "images")
    picture(tmp_path / "images", "b.png")
    low = [[20, 45], [50, 45], [50, 55]]
    write(tmp_path, labelme(shape(SQUARE, group_id=1), shape(low, group_id=1), shape(low)), "a.json")
    write(tmp_path, labelme(name="C:\\pictures\\b.png"), "b.json")
    (first, second), _ = read_dataset(tmp_path)
    assert [len(polygons) for polygons in first.polygons] == [2, 1]
    assert (second.path.name, second.polygons) == ("b.png", ())


@pytest.mark.parametrize(
    ("attributes", "counts"),
    [
        ({}, True),
        ({"class": ""}, True),
        ({"class": "Pot-Holes", "depth": "deep"}, True),
        ({"class": {"pothole": True, "crack": False}}, True),
        ({"class": "crack"}, False),
    ],
)
def test_a_region_counts_without_a_label_or_as_a_pothole(tmp_path, caplog, attributes, counts):
    picture(tmp_path)
    rect = {"name": "rect", "x": 20, "y": 10, "width": 30, "height": 30}
    (sample,), truth = read_dataset(write(tmp_path, via(rect, **attributes)))
    assert len(sample.polygons) == len(truth["annotations"]) == counts
    assert counts or "background: crack (1)" in caplog.text


@pytest.mark.parametrize(
    "polygon",
    [
        [[20, 10], [50, 40], [20, 10]],
        [[20, 10], [50, 40]],
        [[100, 10], [150, 10], [150, 40]],
        [[-1e4, -1e4], [1e4, -1e4], [1e4, 1e4]],
    ],
    ids=["line", "two-points", "outside", "far-around"],
)
def test_a_region_without_area_in_the_picture_is_left_out_and_named(tmp_path, caplog, polygon):
    picture(tmp_path)
    (sample,), truth = read_dataset(write(tmp_path, labelme(shape(polygon), shape(SQUARE))))
    assert len(sample.polygons) == len(truth["annotations"]) == 1
    assert "left out: a.png (1)" in caplog.text


def test_crowds_are_not_learnt_but_stay_in_the_truth(tmp_path):
    picture(tmp_path)
    (sample,), truth = read_dataset(
        write(tmp_path, coco(SQUARES["coco-rle"]["annotations"][0]["segmentation"], iscrowd=1))
    )
    assert not sample.polygons and truth["annotations"][0]["iscrowd"] == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"hello": 1}, "known here"),
        ([1], "known here"),
        (coco([[1, 2, 3, 4, 5]]), "annotations[0].segmentation"),
        (coco([[1, 2, 3, 4, float("nan"), 6]]), "annotations[0].segmentation"),
        (coco({"size": [60, 80], "counts": [10, 10]}), "a.png"),
        (coco({"size": [80, 60], "counts": [4800]}), "a.png"),
        (coco({"size": [60, 80], "counts": "?"}), "a.png"),
        ({**coco([]), "annotations": [{"image_id": 8, "segmentation": []}]}, "image_id is 8"),
        ({**coco([]), "images": [{"id": 7, "file_name": "a.png"}] * 2}, "7 twice"),
        ({**coco([]), "images": [{"id": 7, "file_name": "a.png", "width": 160, "height": 120}]}, "160x120"),
        (
            {**coco([]), "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "./a.png"}]},
            "a.png twice",
        ),
        ({**coco([]), "annotations": 3}, "annotations"),
        ({**coco([]), "images": [{"id": {}, "file_name": "a.png"}, {"file_name": "a.png"}]}, "images[1]"),
        ({**coco([]), "images": []}, "no pictures"),
        ({**coco([]), "images": [{"id": 7}]}, "file_name"),
        (via({"name": "blob"}), "blob"),
        (via({"name": "polygon", "all_points_x": [1]}), "all_points_y"),
        (
            labelme(shape(SQUARE, "mask", mask="%")),
            "shapes[0] cannot be read",
        ),
        (labelme(shape(SQUARE, "mask", mask="AAAA")), "mask is not a picture"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, named):
    picture(tmp_path)
    with pytest.raises(DatasetError) as caught:
        read_dataset(write(tmp_path, content))
    assert named in str(caught.value) and str(tmp_path) in str(caught.value)


def test_two_files_about_the_same_pictures_are_refused(tmp_path):
    write(write_dataset(tmp_path), SQUARES["via"], "via_region_data.json")
    with pytest.raises(DatasetError, match=r"annotations\.json and via_region_data\.json both"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "images\\a.png",
        "C:\\Users\\me\\a.png",
        "..\\..\\label-studio\\media\\upload\\1\\a.png",
        "/home/me/data/a.png",
        "/data/local-files/?d=road%20works/a.png",
        "default/a.png",
    ],
)
def test_a_picture_is_found_however_a_tool_wrote_its_path(tmp_path, name):
    picture(tmp_path / "images")
    (sample,), _ = read_dataset(
        write(tmp_path, {**coco([]), "images": [{"id": 7, "file_name": name}], "annotations": []})
    )
    assert sample.path == tmp_path / "images" / "a.png"


@pytest.mark.parametrize("name", ["../b.png", "/{}/b.png", "images/../../b.png"])
def test_no_picture_outside_of_the_folder_is_read(tmp_path, name):
    picture(tmp_path, "b.png")
    folder = tmp_path / "data"
    picture(folder)
    content = {**coco([]), "images": [{"id": 7, "file_name": name.format(str(tmp_path).strip("/"))}]}
    with pytest.raises(SourceNotFound, match=r"b\.png.* is missing"):
        read_dataset(write(folder, content))


@pytest.mark.parametrize(
    "changes",
    [
        {"image_id": "7"},
        {"image_id": 7.0, "category_id": "1"},
        {"area": None, "bbox": None},
        {"bbox": [], "area": ""},
        {"bbox": ["20", "10", "30", "30"], "area": "900"},
        {"segmentation": [v for point in SQUARE for v in point]},
        {"segmentation": [], "bbox": [20, 10, 30, 30]},
        {"segmentation": None, "bbox": [20.0, 10.0, 30.0, 30.0], "area": 5},
        {"iscrowd": "0"},
        {"iscrowd": None, "category_id": None},
    ],
)
def test_the_same_square_in_other_tools_words(tmp_path, changes):
    picture(tmp_path)
    content = coco([[v for point in SQUARE for v in point]], category_id=1)
    content["annotations"][0] |= changes
    content["categories"] = [{"id": 1, "name": "pothole"}]
    (sample,), truth = read_dataset(write(tmp_path, content))
    [region] = truth["annotations"]
    assert len(sample.polygons) == 1
    assert (region["image_id"], region["iscrowd"], region["bbox"]) == (7, 0, [20, 10, 30, 30])
    assert region["area"] == pytest.approx(900, rel=0.05)


def test_ids_that_are_words_become_numbers(tmp_path):
    picture(tmp_path)
    picture(tmp_path, "b.png")
    content = coco([[v for point in SQUARE for v in point]], category_id="hole")
    content["images"] = [{"id": "road-a", "file_name": "a.png"}, {"id": "1", "file_name": "b.png"}]
    content["annotations"][0]["image_id"] = "road-a"
    content["categories"] = [{"id": "hole", "name": "Pothole"}]
    samples, truth = read_dataset(write(tmp_path, content))
    assert [(s.id, len(s.polygons)) for s in samples] == [(2, 1), (1, 0)]
    assert truth["annotations"][0]["image_id"] == 2


@pytest.mark.parametrize(
    ("label", "counts"),
    [
        ("Pothole", True),
        ("pot_hole", True),
        ("pot-hole", True),
        ("Pot Holes", True),
        ("POTHOLE_water", True),
        ("roadPothole2", True),
        ("pothole, no water", True),
        ("no pothole", False),
        ("no_pothole", False),
        ("No-Pothole", False),
        ("nopothole", False),
        ("NoPothole", False),
        ("non potholes", False),
        ("not a pothole", False),
        ("without_pothole", False),
        ("pothole-free", False),
        ("No\u00a0Pot\u2013Hole", False),
        ("no real potholes", False),
        ("nopothole2", False),
        ("isn't a pothole", False),
        ("pothole_none", False),
        ("Pothole: no", False),
        ("pothole, none", True),
        ("no deep pothole", False),
        ("no_small_pothole", False),
        ("without any deep potholes", False),
        ("no sign of a pothole", False),
        ("not a deep pothole", False),
        ("Pothole - none visible", False),
        ("potholes are not visible", False),
        ("potholeless", False),
        ("pothole-less", False),
        ("not deep pothole", True),
        ("not repaired pothole", True),
        ("no water in pothole", True),
        ("pothole less than 5 cm", True),
        ("pothole_0", True),
        ("pothole_1", True),
        ("manhole", False),
        ("", True),
    ],
)
def test_labels_are_read_as_people_mean_them(tmp_path, label, counts):
    picture(tmp_path)
    content = coco([[v for point in SQUARE for v in point]], category_id=1)
    content["categories"] = [{"id": 1, "name": label}]
    (sample,), _ = read_dataset(write(tmp_path, content))
    assert len(sample.polygons) == counts


def test_labels_that_are_background_are_told_up_to_a_number(tmp_path, caplog):
    picture(tmp_path)
    content = coco([[v for point in SQUARE for v in point]])
    labels = [{"id": number, "name": f"no deep pothole {number}"} for number in range(1, 33)]
    regions = [{**content["annotations"][0], "id": c["id"], "category_id": c["id"]} for c in labels]
    read_dataset(write(tmp_path, {**content, "categories": labels, "annotations": regions}))
    assert "are background: no deep pothole 1 (1), no deep pothole 2 (1)" in caplog.text
    assert "no deep pothole 30 (1) and 2 more" in caplog.text


@pytest.mark.parametrize("name", ["annotations.json", "annotations.xml"])
def test_annotations_above_the_limit_are_said_to_be_too_large(tmp_path, monkeypatch, name):
    monkeypatch.setattr(annotations, "MAX_BYTES", 10)
    (tmp_path / name).write_text("<annotations/>")
    with pytest.raises(TooLarge, match=rf"{name} is larger than 10 bytes"):
        read_dataset(tmp_path)


def test_crowds_and_boxes_are_told(tmp_path, caplog):
    picture(tmp_path)
    content = coco([], bbox=[20, 10, 30, 30])
    content["annotations"].append({**SQUARES["coco-rle"]["annotations"][0], "id": 2, "iscrowd": 1})
    read_dataset(write(tmp_path, content))
    assert "1 potholes are boxes" in caplog.text and "1 regions are crowds" in caplog.text


def test_the_picture_beside_a_file_of_labelme_that_names_itself_is_found(tmp_path):
    picture(tmp_path / "images")
    (sample,), truth = read_dataset(write(tmp_path, labelme(shape(SQUARE), name="a.json"), "a.json"))
    assert sample.path.name == "a.png"
    assert len(truth["annotations"]) == 1


def test_a_missing_picture_is_named(tmp_path):
    (write_dataset(tmp_path) / "images" / "3.png").unlink()
    with pytest.raises(SourceNotFound, match=r"3\.png.* is missing"):
        read_dataset(tmp_path)


def test_a_damaged_picture_is_named(tmp_path):
    (write_dataset(tmp_path) / "images" / "3.png").write_text("no picture")
    with pytest.raises(InvalidMedia, match=r"3\.png"):
        read_dataset(tmp_path)


def test_a_huge_picture_is_named(tmp_path):
    with pytest.raises(TooLarge, match=r"0\.png has 80x60 pixels"):
        read_dataset(write_dataset(tmp_path), max_pixels=4799)


def test_annotations_of_a_picture_that_exif_turns_are_those_of_the_upright_one(tmp_path):
    from PIL import Image as Pillow

    exif = Pillow.Exif()
    exif[0x0112] = 6  # a quarter turn
    Pillow.new("RGB", (60, 80)).save(tmp_path / "a.png", exif=exif)
    (sample,), _ = read_dataset(write(tmp_path, labelme(shape(SQUARE))))
    assert len(sample.polygons) == 1


def test_no_annotations_at_all_says_what_is_expected(tmp_path):
    with pytest.raises(PotholeError, match=r"via_region_data\.json"):
        read_dataset(tmp_path)


def test_a_folder_of_parts_is_said_to_be_one_and_a_part_is_named(tmp_path):
    for part in ("train", "valid", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "_annotations.coco.json").write_text("{}")
    with pytest.raises(DatasetError) as caught:
        read_dataset(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no annotations itself, but folders that do: test, train, valid. "
        f"Name one of them: {tmp_path / 'test'}."
    )


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("train/labels/a.txt", "0 0.5 0.5 0.2 0.2\n", "YOLO's form"),
        ("labels/a.txt", "0 0.1 0.1 0.3 0.1 0.3 0.3\n", "YOLO's form"),
        ("labels/train/a.txt", "0 0.5 0.5 0.2 0.2\n", "YOLO's form"),
        ("a.txt", "0 0.5 0.5 0.2 0.2\n", "YOLO's form"),
        ("Annotations/a.xml", "<annotation><size></size></annotation>", "Pascal VOC's form"),
        ("a.xml", "<annotation><size></size></annotation>", "Pascal VOC's form"),
    ],
)
def test_a_data_set_of_a_form_that_is_not_read_is_told_with_the_way_out(tmp_path, name, content, form):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=f"is in {form}.* Export it as COCO"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("readme.txt", "Nothing to see"), ("notes.xml", "<annotation>")]
)
def test_a_folder_of_other_things_holds_no_data_set_that_is_known(tmp_path, name, content):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / name).write_text(content)
    with pytest.raises(DatasetError, match=r"holds no annotations\. Expected annotations\.json"):
        read_dataset(tmp_path)

"""What Label Studio and CVAT write besides COCO, and how their folders look."""

import copy
import json
import logging
import math
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pothole.errors import DatasetError, PotholeError, SourceNotFound
from pothole.media.picture import encode_picture
from pothole.training.dataset import read_dataset

SQUARE = [[20, 10], [50, 10], [50, 40], [20, 40]]
MASK = np.zeros((60, 80), np.bool_)
MASK[10:40, 20:50] = True
LS_SIZE = {"original_width": 80, "original_height": 60}


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_picture(np.zeros((60, 80, 3), np.uint8), "image/png"))
    return path


def write(folder: Path, content: Any, name: str = "") -> Path:
    path = folder / (name or ("annotations.xml" if isinstance(content, str) else "result.json"))
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def coco(file_name: str = "a.png", **region: Any) -> dict[str, Any]:
    square = {"id": 1, "image_id": 7, "segmentation": [[v for point in SQUARE for v in point]], **region}
    return {"images": [{"id": 7, "file_name": file_name}], "annotations": [square]}


def percent(points: list[list[float]]) -> list[list[float]]:
    return [[x / 0.8, y / 0.6] for x, y in points]


def packed(mask: NDArray[np.bool_]) -> list[int]:
    """Pack a mask as Label Studio's brush does, with runs of one value and of several."""
    values = np.repeat(mask.ravel(), 4).astype(int) * 255
    bits = [f"{values.size:032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in (2, 4, 8, 16))]
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1), values.size]
    for start, end in pairwise(edges):
        if end - start <= 4 * 30:  # each value by itself
            bits.append(f"0{2:02b}{end - start - 1:08b}" + "".join(f"{v:08b}" for v in values[start:end]))
        else:
            bits.append(f"1{3:02b}{end - start - 1:016b}{values[start]:08b}")
    text = "".join(bits)
    return [int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8)]


def studio(*regions: dict[str, Any], image: str = "/data/upload/3/0bb5ae56-a.png") -> list[dict[str, Any]]:
    result = [{"id": str(number), **LS_SIZE, **region} for number, region in enumerate(regions)]
    return [{"id": 1, "data": {"image": image}, "annotations": [{"was_cancelled": False, "result": result}]}]


def value(kind: str, label: str = "Pothole", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "value": {**fields, kind: [label]}}


RECT = {"x": 20 / 0.8, "y": 10 / 0.6, "width": 30 / 0.8, "height": 30 / 0.6, "rotation": 0}
IN_SHORT = {**LS_SIZE, **RECT, "rectanglelabels": ["Pothole"]}


def cvat(shapes: str, name: str = "a.png", head: str = "") -> str:
    image = f'<image id="0" name="{name}" width="80" height="60">{shapes}</image>'
    return f'<?xml version="1.0"?>{head}<annotations><version>1.1</version>{image}</annotations>'


SQUARES = {
    "studio": studio(value("polygonlabels", points=percent(SQUARE))),
    "studio-rectangle": studio(value("rectanglelabels", **RECT)),
    "studio-brush": studio(value("brushlabels", format="rle", rle=packed(MASK))),
    "studio-labels-apart": studio(
        {"id": "x", "type": "rectangle", "value": RECT},
        {"id": "x", "type": "labels", "value": {**RECT, "labels": ["Pothole"]}},
    ),
    "studio-short": [{"id": 1, "image": "/data/upload/3/0bb5ae56-a.png", "label": [IN_SHORT]}],
    "studio-of-old": [
        {"id": 1, **{("completions" if k == "annotations" else k): v for k, v in task.items()}}
        for task in studio(value("rectanglelabels", **RECT))
    ],
    "studio-address": studio(value("rectanglelabels", **RECT), image="https://roads.example/d/a.png?v=1#2"),
    "cvat": cvat('<polygon label="pothole" points="20.0,10.0;50.0,10.0;50.0,40.0;20.0,40.0"/>'),
    "cvat-line": cvat('<polyline label="pothole" points="20,10;50,10;50,40;20,40"/>'),
    "cvat-box": cvat('<box label="pothole" xtl="20" ytl="10" xbr="50" ybr="40"/>'),
    "cvat-mask": cvat('<mask label="pothole" rle="0, 900" left="20" top="10" width="30" height="30"/>'),
    "cvat-mask-rows": cvat(
        f'<mask label="pothole" rle="{"5, 30, " * 30}0" left="15" top="10" width="35" height="30"/>'
    ),
}


@pytest.mark.parametrize("content", SQUARES.values(), ids=SQUARES)
def test_each_tool_says_the_same_square(tmp_path: Path, content: Any) -> None:
    path = picture(tmp_path / "images" / "a.png")
    (sample,), truth = read_dataset(write(tmp_path, content))
    [polygons] = sample.polygons
    points = np.concatenate(polygons)
    assert sample.path == path
    assert points.min(axis=0) == pytest.approx([20, 10], abs=0.3)
    assert points.max(axis=0) == pytest.approx([50, 40], abs=0.3)
    assert truth["annotations"][0]["area"] == pytest.approx(900, rel=0.02)


ROUND = {
    "studio": studio(
        value("ellipselabels", x=50, y=50, radiusX=20 / 0.8, radiusY=10 / 0.6, rotation=90),
    ),
    "cvat": cvat('<ellipse label="pothole" cx="40" cy="30" rx="20" ry="10" rotation="90"/>'),
}


@pytest.mark.parametrize("content", ROUND.values(), ids=ROUND)
def test_each_tool_says_the_same_ellipse(tmp_path: Path, content: Any) -> None:
    picture(tmp_path / "a.png")
    (sample,), truth = read_dataset(write(tmp_path, content))
    points = np.concatenate(sample.polygons[0])
    assert points.min(axis=0) == pytest.approx([30, 10], abs=0.3)
    assert truth["annotations"][0]["area"] == pytest.approx(math.pi * 200, rel=0.05)


def test_a_rectangle_of_label_studio_is_turned_around_its_first_corner(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    content = studio(value("rectanglelabels", **{**RECT, "x": 50 / 0.8, "rotation": 90}))
    (sample,), _ = read_dataset(write(tmp_path, content))
    points = np.concatenate(sample.polygons[0])
    assert (points.min(axis=0).round().tolist(), points.max(axis=0).round().tolist()) == ([20, 10], [50, 40])


def test_a_box_of_cvat_is_turned_around_its_centre(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    content = cvat('<box label="pothole" xtl="10" ytl="20" xbr="50" ybr="30" rotation="90"/>')
    (sample,), _ = read_dataset(write(tmp_path, content))
    points = np.concatenate(sample.polygons[0])
    assert (points.min(axis=0).round().tolist(), points.max(axis=0).round().tolist()) == ([25, 5], [35, 45])


def test_of_several_annotations_of_a_picture_one_counts(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    content = studio(value("rectanglelabels", **RECT))
    [done] = content[0]["annotations"]
    both = {**done, "updated_at": "2026-02-01", "result": 2 * done["result"]}
    both["result"] = [{**region, "id": number} for number, region in enumerate(both["result"])]
    given_up = {**both, "was_cancelled": True, "updated_at": "2026-03-01", "result": []}
    content[0]["annotations"] = [{**done, "updated_at": "2026-01-01"}, given_up, both]
    (sample,), _ = read_dataset(write(tmp_path, content))
    assert len(sample.polygons) == 2, "the last one that was not given up"
    content[0]["annotations"][0]["ground_truth"] = True
    (sample,), _ = read_dataset(write(tmp_path, content))
    assert len(sample.polygons) == 1, "the ground truth"


def test_shapes_without_an_outline_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture(tmp_path / "a.png")
    point = value("keypointlabels", x=1, y=2, width=0.5)
    choice = {"type": "choices", "value": {"choices": ["wet"]}}
    (sample,), _ = read_dataset(write(tmp_path, studio(point, point, choice)))
    assert not sample.polygons
    assert f"{tmp_path}: shapes without an outline are left out: keypointlabels (2)" in caplog.text
    (tmp_path / "result.json").unlink()
    others = '<cuboid label="pothole" xtl1="1"/><skeleton label="pothole"/><tag label="wet"/>'
    write(tmp_path, cvat(2 * '<points label="pothole" points="1,2;3,4;5,6"/>' + others))
    (sample,), _ = read_dataset(tmp_path)
    assert not sample.polygons
    assert "left out: points (2), cuboid (1), skeleton (1), tag (1)" in caplog.text


@pytest.mark.parametrize("ids", [(None, None), (1, None), ("1", None)])
def test_regions_of_label_studio_without_an_id_are_regions_of_their_own(
    tmp_path: Path, ids: tuple[Any, Any]
) -> None:
    picture(tmp_path / "a.png")
    regions = [{**value("rectanglelabels", **RECT), "id": each} for each in ids]
    crack = {**value("rectanglelabels", "crack", **RECT), "id": None}
    (sample,), _ = read_dataset(write(tmp_path, studio(*regions, crack)))
    assert len(sample.polygons) == 2


def test_shapes_of_one_group_in_cvat_are_one_object(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    boxes = [
        f'<box label="pothole" group_id="{g}" xtl="{x}" ytl="1" xbr="{x + 5}" ybr="9"/>'
        for g, x in [(1, 1), (1, 10), (2, 20), (0, 30), (0, 40)]
    ]
    (sample,), _ = read_dataset(write(tmp_path, cvat("".join(boxes))))
    assert [len(polygons) for polygons in sample.polygons] == [2, 1, 1, 1]


BOMB = (
    "<!DOCTYPE a ["
    + "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 50 if i else "pothole" * 50}">' for i in range(8))
    + "]>"
)


UNEVEN = {"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2]}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (studio({**value("rectanglelabels", **RECT), "original_width": None}), "[0], region 0"),
        (studio(value("rectanglelabels", **{**RECT, "x": None})), "[0], region 0"),
        (studio(value("brushlabels", rle=packed(MASK)[:-3])), "rle ends too early"),
        (studio(value("brushlabels", rle=packed(MASK[:, :40]))), "for a picture of 80x60"),
        ([{"image": "a.png", "annotations": [{"label": "pothole", "coordinates": {}}]}], "known here"),
        ([{"data": {"text": "a"}, "annotations": []}], "names no picture"),
        (cvat('<box label="pothole" xtl="20" ytl="10" xbr="50"/>'), "ybr"),
        (cvat('<polygon label="pothole" points="20,10;50"/>'), "The image a.png"),
        (cvat('<mask label="pothole" rle="9" left="2" top="1" width="3" height="4"/>'), "rle does not fill"),
        ("<annotations><track id='0'/></annotations>", "of a video"),
        ("<annotations><image name='a.png' width='8'/></annotations>", "height"),
        (
            {"a": {"filename": "a.png", "regions": [{"shape_attributes": UNEVEN}]}},
            "3 numbers in all_points_x, 2 in all_points_y",
        ),
        ("<annotation><object/></annotation>", "known here"),
        ("<annotations>", "as XML"),
        (cvat("", "&e7;", BOMB), "as XML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, named: str) -> None:
    picture(tmp_path / "a.png")
    write(tmp_path, content)
    with pytest.raises(DatasetError) as caught:
        read_dataset(tmp_path)
    assert named in str(caught.value)
    assert str(next(tmp_path.glob("*.[jx]*"))) in str(caught.value)


def test_the_folders_of_cvat_and_coco_are_read(tmp_path: Path) -> None:
    path = picture(tmp_path / "images" / "train" / "a.png")
    write(tmp_path, coco(), "annotations/instances_train.json")
    (sample,), _ = read_dataset(tmp_path)
    assert (sample.path, len(sample.polygons)) == (path, 1)


def test_the_parts_of_a_project_of_cvat_have_folders(tmp_path: Path) -> None:
    for part in ("Train", "Test"):
        picture(tmp_path / "images" / part / "a.png")
    both = "".join(f'<image name="a.png" subset="{p}" width="80" height="60"/>' for p in ("Train", "Test"))
    samples, _ = read_dataset(write(tmp_path, f"<annotations>{both}</annotations>"))
    assert [sample.path.parent.name for sample in samples] == ["Train", "Test"]


def test_a_short_export_may_have_pictures_without_regions(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    tasks = [{"id": n, "image": f"/data/{n}.png", "annotation_id": 1} for n in "ab"]
    samples, _ = read_dataset(write(tmp_path, [{**tasks[0], "label": [IN_SHORT]}, tasks[1]]))
    assert [len(sample.polygons) for sample in samples] == [1, 0]


def test_what_macos_puts_beside_each_file_is_passed_over(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "._annotations.json").write_bytes(b"\0\5\x16\7Mac OS X")
    (sample,), _ = read_dataset(write(tmp_path, coco(), "annotations.json"))
    assert len(sample.polygons) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_that_windows_has_written_are_read(tmp_path: Path, encoding: str) -> None:
    picture(tmp_path / "ä.png")
    text = json.dumps(coco("ä.png"), ensure_ascii=False)
    (tmp_path / "annotations.json").write_bytes(text.encode(encoding))
    (sample,), _ = read_dataset(tmp_path)
    assert len(sample.polygons) == 1


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ("images/A.PNG", "images\\a.png"),
        ("a.png", "IMAGES/A.png"),
        ("images/" + unicodedata.normalize("NFD", "straße-ü.png"), "Straße-ü.png"),
        ("day1/north/a.png", "D:\\roads\\North\\a.png"),
        ("images/a.png", "3/0bb5ae56-a.png"),
    ],
)
def test_a_picture_is_found_below_and_in_other_letters(tmp_path: Path, there: str, name: str) -> None:
    path = picture(tmp_path / there)
    picture(tmp_path / "day2" / "south" / "a.png" if there.startswith("day") else tmp_path / "b.png")
    (sample,), _ = read_dataset(write(tmp_path, coco(name)))
    assert sample.path == path


def test_a_name_that_two_pictures_have_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "day1" / "a.png")
    picture(tmp_path / "day2" / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png may be .*day1/a\.png or .*day2/a\.png"):
        read_dataset(write(tmp_path, coco()))


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.png", "..", "/", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(SourceNotFound, match="is missing"):
        read_dataset(write(tmp_path, coco(name)))


@pytest.mark.parametrize(
    ("region", "box"),
    [
        ({"segmentation": {}}, [20, 10, 30, 30]),
        ({"segmentation": ""}, [20, 10, 30, 30]),
        ({"category_id": 1, "segmentation": None}, [20, 10, 30, 30]),
        ({"segmentation": [[]]}, [20, 10, 30, 30]),
        ({"segmentation": [[20, 10, 50, 40]]}, [20, 10, 30, 30]),
        ({"segmentation": [], "bbox": [-0.5, -2, 30, 30]}, [0, 0, 29, 28]),
    ],
)
def test_a_box_is_taken_where_no_polygon_has_three_corners(
    tmp_path: Path, region: dict[str, Any], box: list[int]
) -> None:
    picture(tmp_path / "a.png")
    (sample,), _ = read_dataset(write(tmp_path, coco(**{"bbox": [20, 10, 30, 30], **region})))
    [[polygon]] = sample.polygons
    inside = polygon.clip(0, None)
    width, height = inside.max(axis=0) - inside.min(axis=0)
    assert [*inside.min(axis=0), width, height] == pytest.approx(box, abs=0.6)


@pytest.mark.parametrize(
    ("attributes", "counts"),
    [({"pothole": "yes"}, 1), ({"pothole": "no"}, 0), ({"no_pothole": "1"}, 0), ({"a": None}, 1)],
)
def test_an_attribute_of_via_may_be_named_after_the_class(
    tmp_path: Path, attributes: dict[str, Any], counts: int
) -> None:
    picture(tmp_path / "a.png")
    shape = {"name": "rect", "x": 20, "y": 10, "width": 30, "height": 30}
    regions = [{"shape_attributes": shape, "region_attributes": attributes}]
    (sample,), _ = read_dataset(write(tmp_path, {"a": {"filename": "a.png", "regions": regions}}))
    assert len(sample.polygons) == counts


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(p for key, part in inner for p in places(part, (*place, key)))]


VIA = {
    "a": {
        "filename": "a.png",
        "regions": [{"shape_attributes": {"name": "circle", "cx": 9, "cy": 9, "r": 5}}],
    }
}
LABELME = {"imagePath": "a.png", "shapes": [{"label": "pothole", "points": SQUARE, "shape_type": "circle"}]}
WHOLE = {"coco": coco(bbox=[20, 10, 30, 30], area=9, iscrowd=0), "via": VIA, "labelme": LABELME, **SQUARES}


@pytest.mark.parametrize("tool", [name for name, content in WHOLE.items() if not isinstance(content, str)])
def test_whatever_stands_anywhere_it_is_read_or_named(
    tmp_path: Path, tool: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    picture(tmp_path / "a.png")
    for place in places(WHOLE[tool])[1:]:
        if len(place) > 7 and place[-1] > 8:
            continue  # one of thousands of bytes of a brush
        for bad in (
            None,
            [],
            {},
            "x",
            -1,
            1e308,
            math.inf,
            10**400,
            [None],
            {"size": [60, 80], "counts": [9]},
        ):
            content = copy.deepcopy(WHOLE[tool])
            inner = content
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = bad
            write(tmp_path, content)
            try:
                read_dataset(tmp_path)
            except PotholeError as exc:
                assert str(tmp_path) in str(exc)

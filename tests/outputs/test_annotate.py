from dataclasses import replace

import cv2
import numpy as np
import pytest

from pothole.detections import Detections
from pothole.media import Frame
from pothole.media.frame import MATRIX_BT601, MATRIX_BT709
from pothole.outputs.annotate import PALETTE, TEXT_COLOR, draw, marked
from pothole.types import Image
from support.clips import frame_of

GREY = 110


def road(height: int = 720, width: int = 1280, level: int = GREY) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def ellipses(image: Image, boxes: list[tuple[int, int, int, int]], track_ids: list[int]) -> Detections:
    """Potholes that fill the boxes as ellipses."""
    masks = []
    for left, top, right, bottom in boxes:
        mask = np.zeros((bottom - top, right - left), np.uint8)
        center, axes = ((right - left) // 2, (bottom - top) // 2), ((right - left) // 2, (bottom - top) // 2)
        masks.append(cv2.ellipse(mask, center, axes, 0, 0, 360, 1, -1).astype(bool))
    return Detections(
        image_size=image.shape[:2],
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(len(boxes), 0.98, np.float32),
        masks=tuple(masks),
        track_ids=np.array(track_ids, np.int32),
    )


def changed_area(image: Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what differs from the plain road."""
    y, x = np.nonzero((image != GREY).any(2))
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def ink(image: Image) -> np.ndarray:
    """Where the text is: nothing else is as dark."""
    return image.max(2) < 60


def text_area(image: Image) -> tuple[int, int]:
    """Width and height of the text."""
    y, x = np.nonzero(ink(image))
    return x.max() + 1 - x.min(), y.max() + 1 - y.min()


def test_mask_is_translucent_and_the_rest_of_the_road_untouched():
    image = road()
    image[400:500, 600:800:2] = 200
    before = image.copy()
    draw(image, ellipses(image, [(600, 400, 800, 500)], [1]))

    inside = image[430:470, 650:750].astype(float)
    assert np.abs(inside[:, 0::2].mean((0, 1)) - (0.6 * 200 + 0.4 * np.array(PALETTE[0]))).max() < 2
    assert np.abs(inside[:, 1::2].mean((0, 1)) - (0.6 * GREY + 0.4 * np.array(PALETTE[0]))).max() < 2
    corner = image[405:412, 605:612]
    assert (corner == before[405:412, 605:612]).all()
    assert (image[:360] == GREY).all()
    assert (image[510:] == GREY).all()


def test_box_and_outline_are_drawn_in_the_colour_of_the_track():
    image = road()
    draw(image, ellipses(image, [(600, 400, 800, 500)], [3]))
    assert (image[499, 600:800] == PALETTE[2]).all()
    assert (image[405:495, 600] == PALETTE[2]).all()
    below_top_of_ellipse = image[401:404, 700]
    assert (below_top_of_ellipse == PALETTE[2]).all(1).any()


def test_label_shows_the_track_id_when_there_is_one():
    widths = {}
    for track_id in (0, 1, 12):
        image = road()
        draw(image, ellipses(image, [(600, 400, 620, 410)], [track_id]))
        left, _, right, _ = changed_area(image)
        widths[track_id] = right - left
    assert widths[0] < widths[1] < widths[12]


@pytest.mark.parametrize(("names", "shorter"), [(("pothole",), True), (("pothole", "crack"), False)])
def test_short_labels_leave_out_the_one_class_there_is(names, shorter):
    frame = frame_of(road())
    widths = []
    for short_labels in (False, True):
        found = replace(ellipses(road(), [(600, 400, 620, 410)], [12]), class_names=names)
        _, columns = np.nonzero(ink(marked(frame, found, short_labels).rgb()))
        widths.append(np.ptp(columns))
    assert (widths[1] < 0.8 * widths[0]) == shorter


@pytest.mark.parametrize(("height", "width"), [(360, 640), (720, 1280), (1280, 720), (2160, 3840)])
def test_text_is_readable_at_every_size(height, width):
    image = road(height, width)
    left, top = width // 2, height // 2
    draw(image, ellipses(image, [(left, top, left + 40, top + 20)], [12]))
    text_width, text_height = text_area(image)
    assert 0.02 < text_height / min(height, width) < 0.04
    assert text_width < width / 4


@pytest.mark.parametrize("color", PALETTE)
def test_text_is_legible_on_every_label(color):
    """WCAG 2 asks for a contrast of 4.5 at least."""

    def luminance(rgb: tuple[int, int, int]) -> float:
        linear = [(c / 255 / 12.92) if c < 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    assert (luminance(color) + 0.05) / (luminance(TEXT_COLOR) + 0.05) > 4.5


def test_tracks_that_follow_one_another_are_told_apart_by_colour():
    colors = np.array([PALETTE], np.uint8)
    lab = cv2.cvtColor(colors.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    following = np.linalg.norm(lab - np.roll(lab, 1, 0), axis=1)
    assert following.min() > 50
    assert min(np.linalg.norm(a - b) for i, a in enumerate(lab) for b in lab[:i]) > 15


@pytest.mark.parametrize(
    "box", [(0, 0, 30, 12), (1250, 0, 1280, 12), (0, 708, 30, 720), (1250, 708, 1280, 720)]
)
def test_label_stays_inside_the_picture(box):
    image = road()
    draw(image, ellipses(image, [box], [12]))
    centered = road()
    draw(centered, ellipses(centered, [(600, 400, 630, 412)], [12]))
    assert text_area(image) == text_area(centered)


def test_labels_of_neighbours_do_not_cover_each_other():
    boxes = [(600, 400, 640, 410), (610, 401, 650, 411), (590, 402, 630, 412)]
    together = road()
    draw(together, ellipses(together, boxes, [1, 2, 3]))
    alone = 0
    for box, track_id in zip(boxes, (1, 2, 3), strict=True):
        image = road()
        draw(image, ellipses(image, [box], [track_id]))
        alone += ink(image).sum()
    assert ink(together).sum() == alone


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (16, 16), (20, 400)])
def test_tiny_pictures_and_potholes_outside_are_no_trouble(size):
    image = np.zeros((*size, 3), np.uint8)
    height, width = size
    outside = Detections(
        image_size=size,
        boxes=np.array([[0, 0, width, height], [width + 5, 0, width + 9, height]], np.float32),
        scores=np.array([0.5, 0.6], np.float32),
        masks=(np.ones(size, bool), np.ones((height, 0), bool)),
    )
    draw(image, outside)
    assert image.any()


def test_no_potholes_no_change():
    image = road()
    draw(image, Detections.empty(image.shape[:2]))
    assert (image == GREY).all()


def smooth_road(height: int, width: int) -> Image:
    """In colours that change slowly, of which half the chroma loses nothing."""
    y, x = np.mgrid[:height, :width]
    shades = [90 + 40 * np.sin(x / 90), 110 + 30 * np.cos(y / 70), 100 + 30 * np.sin((x + y) / 110)]
    return np.stack(shades, axis=2).astype(np.uint8)


def copied(frame: Frame) -> list[np.ndarray]:
    return [plane.copy() for plane in frame.planes]


@pytest.mark.parametrize("matrix", [MATRIX_BT601, MATRIX_BT709])
@pytest.mark.parametrize("size", [(360, 640), (361, 643), (720, 1280)])
def test_frame_is_marked_as_its_picture_is(size, matrix):
    height, width = size
    boxes = [
        (300, 200, 420, 261),
        (0, 0, 51, 40),
        (101, 151, 160, 191),
        (width - 60, height - 35, width, height),
    ]
    frame = frame_of(smooth_road(*size), matrix=matrix)
    picture = frame.rgb()
    detections = ellipses(picture, boxes, [1, 2, 3, 14])
    draw(picture, detections)
    expected = frame_of(picture, matrix=matrix).planes
    luma, *chroma = (
        np.abs(a.astype(int) - b) for a, b in zip(marked(frame, detections).planes, expected, strict=True)
    )
    assert luma.max() <= 3
    for off, before, after in zip(chroma, frame.planes[1:], expected[1:], strict=True):
        touched = np.abs(before.astype(int) - after) > 2
        assert off[touched].mean() < 8  # a line has no half
        assert np.quantile(off[touched], 0.6) <= 3
        assert off[108:122, 170:190].max() <= 2


def test_marking_leaves_the_frame_as_it_was():
    """The decoder still looks at its picture, to tell the next one from it."""
    frame = frame_of(smooth_road(360, 640), 7)
    before = copied(frame)
    result = marked(frame, ellipses(frame.rgb(), [(300, 200, 420, 260)], [1]))
    assert all((a == b).all() for a, b in zip(before, frame.planes, strict=True))
    assert (result.index, result.pts, result.time, result.size) == (7, 7, frame.time, frame.size)
    assert any((a != b).any() for a, b in zip(before, result.planes, strict=True))


def test_frame_is_changed_nowhere_but_at_its_marks():
    frame = frame_of(smooth_road(360, 640))
    result = marked(frame, ellipses(frame.rgb(), [(300, 200, 420, 260)], [1]))
    for before, after, step in zip(frame.planes, result.planes, (1, 2, 2), strict=True):
        y, x = np.nonzero(before != after)
        assert y.min() * step >= 170
        assert y.max() * step < 264
        assert x.min() * step >= 296
        assert x.max() * step < 424


def test_frame_without_potholes_is_handed_on():
    frame = frame_of(smooth_road(36, 64))
    assert marked(frame, Detections.empty(frame.size)) is frame


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 2), (5, 5), (16, 16), (17, 401), (401, 17)])
def test_tiny_frames_and_potholes_at_every_place_of_them_are_no_trouble(size):
    height, width = size
    frame = frame_of(np.zeros(size, np.uint8))
    for left in range(min(width, 4)):
        for top in range(min(height, 4)):
            box = (left, top, min(left + 3, width), min(top + 2, height))
            assert marked(frame, ellipses(frame.rgb(), [box], [1])).rgb().any()
    outside = Detections(
        image_size=size,
        boxes=np.array([[width + 5, 0, width + 9, height]], np.float32),
        scores=np.array([0.6], np.float32),
        masks=(np.ones((height, 0), bool),),
    )
    assert marked(frame, outside).size == size

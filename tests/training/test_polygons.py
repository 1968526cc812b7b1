import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pothole.training.polygons import mask_polygons

AT = (30, 40)


def iou(polygons, mask):
    """The overlap of polygons with a mask that stands at `AT` in a larger picture."""
    full = np.zeros((300, 300), np.uint8, order="F")
    full[AT[1] : AT[1] + mask.shape[0], AT[0] : AT[0] + mask.shape[1]] = mask
    drawn = coco_mask.merge(coco_mask.frPyObjects([p.ravel().tolist() for p in polygons], 300, 300))
    return coco_mask.iou([drawn], [coco_mask.encode(full)], [0])[0, 0]


def ellipse(width, height):
    y, x = np.mgrid[:height, :width] + 0.5
    return (x / width - 0.5) ** 2 + (y / height - 0.5) ** 2 <= 0.25


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 2), (9, 5), (40, 12), (120, 70), (200, 200)])
def test_a_polygon_has_its_masks_area_and_place_at_any_size(width, height):
    mask = ellipse(width, height)
    [polygon] = mask_polygons(mask, AT)
    assert iou([polygon], mask) > 0.9
    assert 3 <= len(polygon) <= 50  # few enough to drag


def test_a_mask_in_two_parts_has_two_polygons_and_none_for_a_speck():
    mask = np.zeros((40, 60), bool)
    mask[:20, :30] = mask[22:, 35:50] = True
    mask[36:, :4] = True
    polygons = mask_polygons(mask, AT)
    assert len(polygons) == 2 and iou(polygons, mask) > 0.9


def test_a_mask_may_lie_anywhere_in_its_array():
    mask = np.zeros((80, 120), bool)
    mask[25:45, 50:90] = ellipse(40, 20)
    [polygon] = mask_polygons(mask, AT)
    assert iou([polygon], mask) > 0.9


def test_an_empty_mask_has_no_polygon():
    assert mask_polygons(np.zeros((5, 5), bool), AT) == []

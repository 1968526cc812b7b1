import cv2
import numpy as np
import pytest

from pothole.tracking.optical_flow import Motion, Step, View


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = sum(
        cv2.resize(
            rng.normal(0, 25, (height // d, width // d)), (width, height), interpolation=cv2.INTER_CUBIC
        )
        for d in (8, 16, 32)
    )
    return np.clip(128 + noise, 0, 255).astype(np.uint8)


def warped(grey: np.ndarray, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """The picture after `x' = scale * x + shift`."""
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    return np.asarray(cv2.warpAffine(grey, matrix, grey.shape[::-1], borderMode=cv2.BORDER_REFLECT), np.uint8)


def step_of(before: np.ndarray, after: np.ndarray) -> Step:
    return Step(View.of(before), View.of(after))


@pytest.mark.parametrize("size", [(180, 320), (720, 1280), (721, 403)])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, (6, -4)), (1.06, (-10, -8)), (0.95, (9, 12))])
def test_boxes_move_with_the_picture_and_back(size, scale, shift):
    height, width = size
    grey = texture(*size)
    step = step_of(grey, warped(grey, scale, shift))
    boxes = [
        np.array([x * width, y * height, (x + 0.15) * width, (y + 0.1) * height], np.float32)
        for x, y in ((0.3, 0.3), (0.55, 0.45), (0.4, 0.6))
    ]
    expected = [box * scale + np.tile(shift, 2) for box in boxes]
    for box, moved, motion in zip(boxes, expected, step.forward(boxes), strict=True):
        assert np.abs(motion.move_box(box) - moved).max() < 0.006 * width
        assert motion.similarity > 0.8
        assert motion.inverse().move_box(motion.move_box(box)) == pytest.approx(box, abs=0.01)
    for box, moved, motion in zip(boxes, expected, step.backward(expected), strict=True):
        assert np.abs(motion.move_box(moved) - box).max() < 0.006 * width
    assert step.forward([]) == step.backward([]) == []


def test_several_boxes_move_as_each_alone():
    grey = texture(360, 640)
    step = step_of(grey, warped(grey, 1.04, (-8, -6)))
    boxes = [
        np.array(box, np.float32) for box in ((200, 200, 260, 230), (0, 340, 60, 360), (630, 0, 700, 40))
    ]
    assert step.forward(boxes) == [step.forward([box])[0] for box in boxes]


def test_what_does_not_look_the_same_afterwards_is_told_from_what_does():
    grey = texture(360, 640)
    boxes = [
        np.array([x, y, x + 60, y + 30], np.float32) for x in range(80, 560, 80) for y in (120, 220, 300)
    ]
    assert all(m.similarity > 0.99 for m in step_of(grey, grey).forward(boxes))
    after_cut = [m.similarity for m in step_of(grey, texture(360, 640, seed=1)).forward(boxes)]
    assert np.median(after_cut) < 0.3


def test_travel_is_that_of_the_road_in_parts_of_the_height():
    for size in ((180, 320), (720, 1280)):
        grey = texture(*size)
        sky = grey.copy()
        moved = warped(grey, 1, (0, 0.05 * size[0]))
        moved[: size[0] // 2] = sky[: size[0] // 2]
        assert step_of(grey, moved).travel == pytest.approx(0.05, abs=0.01)
        assert step_of(grey, grey).travel == pytest.approx(0, abs=0.001)


def test_motions_add_up():
    box = np.array([10, 20, 30, 50], np.float32)
    first, then = Motion((1.2, 0.9), (3, -4), 0.8), Motion((0.7, 1.5), (-6, 2), 0.6)
    both = first.then(then)
    assert both.move_box(box) == pytest.approx(then.move_box(first.move_box(box)))
    assert both.similarity == 0.6
    other = np.array([0, 5, 80, 25], np.float32)
    assert Motion.between(box, other).move_box(box) == pytest.approx(other, abs=1e-3)


def test_mask_moves_as_its_box_does():
    motion = Motion((2.0, 3.0), (5.0, -10.0))
    mask = np.zeros((10, 8), bool)
    mask[2:6, 1:7] = True
    moved = motion.move_mask(mask, (4, 20), (10, 50, 40, 90))
    rows, columns = np.nonzero(moved)
    # The part that is set lies at (5, 22, 11, 26), which goes to (15, 56, 27, 68).
    assert (columns.min() + 10, rows.min() + 50, columns.max() + 11, rows.max() + 51) == (15, 56, 27, 68)
    assert moved.sum() > 0.95 * 12 * 12


def test_a_view_is_sent_without_loss():
    view = View.of(texture(720, 1280))
    assert view.grey.shape == (180, 320)
    sent = View.from_bytes(view.to_bytes())
    assert sent.factor == view.factor == 4
    assert np.array_equal(sent.grey, view.grey)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x04",
        b"\x04 no picture",
        b"\x03" + View.of(texture(48, 64)).to_bytes()[1:],
        b"\x01" + cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes(),
    ],
    ids=["nothing", "no picture", "damaged", "factor", "colour"],
)
def test_what_is_no_view_is_refused(data):
    with pytest.raises(ValueError, match=f"{len(data)} bytes are no view"):
        View.from_bytes(data)

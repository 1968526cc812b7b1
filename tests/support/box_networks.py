"""Networks with the inputs and outputs of CenterFace and of the SSD, whose answers are known."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

ANCHORS = 1917


def write_face_network(path: Path, face: tuple[float, float], offset: tuple[float, float]) -> None:
    """Finds a face at each white cell of 4 × 4 pixels, as sure as it is white.

    Args:
        path: Where to write.
        face: Height and width of each face.
        offset: How far it lies from the middle of its cell, y and x, in cells.
    """
    pictures = ops.parameter([10, 3, 32, 32], np.float32)  # of which CenterFace was exported, too
    green = ops.gather(pictures, np.array([1]), np.int64(1))
    cell = [4, 4]
    heat = ops.avg_pool(green, cell, [0, 0], [0, 0], cell, False) / _number(255)
    nothing = heat * _number(0)
    sizes = ops.concat([nothing + _number(np.log(side / 4)) for side in face], 1)
    offsets = ops.concat([nothing + _number(by) for by in offset], 1)
    outputs = [heat, sizes, offsets, ops.concat([nothing] * 10, 1)]
    _save(path, outputs, pictures)


def write_ssd_network(
    path: Path,
    classes: int,
    found: dict[tuple[int, int], float],
    moved: tuple[float, float, float, float] = (0, 0, 0, 0),
) -> None:
    """Finds in a white picture objects at anchors.

    Args:
        path: Where to write.
        classes: How many it tells apart.
        found: The logit of each object, by its anchor and class.
        moved: How all boxes differ from their anchors, as the network says that: y, x, height, width.
    """
    pictures = ops.parameter([1, 300, 300, 3], np.float32)
    white = ops.reduce_mean(pictures, np.array([1, 2, 3]), True)
    logits = np.full((1, ANCHORS, classes, 1), -10, np.float32)
    for (anchor, class_id), logit in found.items():
        logits[0, anchor, class_id] = logit
    scaled = white * logits + (white - _number(1)) * _number(10)
    boxes = white * np.tile(np.array(moved, np.float32)[:, None], (1, ANCHORS, 1, 1))
    # For one picture alone, as the real one.
    shapes = [1, ANCHORS, 4], [1, ANCHORS, classes]
    outputs = [
        ops.reshape(array, np.array(shape), False)
        for array, shape in zip((boxes, scaled), shapes, strict=True)
    ]
    _save(path, outputs, pictures)


def _number(value: float) -> Any:
    return ops.constant(value, np.float32)


def _save(path: Path, outputs: list[Any], pictures: Any) -> None:
    model = ov.Model([ops.result(output) for output in outputs], [pictures])
    ov.save_model(model, path, compress_to_fp16=False)

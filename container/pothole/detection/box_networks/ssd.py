"""An SSD on MobileNetV2 (Liu et al., 2016, arXiv:1512.02325) finds objects of everyday life.

Its network answers for each anchor, a box of fixed place and shape, what is there and by how much its box
differs. Numbers and order of the anchors are those of MediaPipe's `SsdAnchorsCalculator`, as its object
detection with the labels of Open Images asks for them.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from openvino import opset13

from pothole.detection.box_networks.box_detector import BoxDetector, Found, read_network
from pothole.errors import ModelError
from pothole.types import Image, Size

SIDE = 300  # of its input, in pixels
OUTPUTS = 2  # boxes by anchor, logits by anchor and class
STRIDES = 16, 32, 64, 128, 256, 512  # of its layers
MIN_SCALE, MAX_SCALE = (
    0.2,
    0.95,
)  # sizes of the anchors of the first layer and the last, in parts of the input
SMALLEST = 0.1  # of the anchors
RATIOS = 1.0, 2.0, 0.5, 3.0, 0.3333  # of width to height
CENTRE_UNIT, SIZE_UNIT = 10, 5  # in which boxes differ from their anchors
MAX_OVERLAP = 0.4


class SSD(BoxDetector):
    """This is an SSD as a `Detector`.

    Args:
        path: The network's file.
        labels: What it can tell apart, in the order of its classes; the first stands for nothing.
        classes: Those of the labels that are looked for.

    Raises:
        ModelError: The file cannot be used, or a class is unknown.
    """

    name = "SSD MobileNetV2"

    def __init__(self, path: Path, labels: Sequence[str], classes: Sequence[str]) -> None:
        unknown = [name for name in classes if name not in labels[1:]]
        if unknown or not classes:
            raise ModelError(
                f"{path.name} knows no class {', '.join(unknown)}." if unknown else "No class is looked for.",
                hint=f"Known are {', '.join(labels[1:])}.",
            )
        model = read_network(path, OUTPUTS)
        self._anchors = np.array(list(anchors()), np.float32)
        expected = [(1, len(self._anchors), 4), (1, len(self._anchors), len(labels))]
        if (got := [tuple(output.shape) for output in model.outputs]) != expected:
            raise ModelError(f"{path} answers with arrays of the shapes {got}, expected {expected}.")
        _free_batch(model)
        super().__init__(model, MAX_OVERLAP)
        self.class_names = tuple(name.lower() for name in classes)
        self._columns = [labels.index(name) for name in classes]

    def input_size(self, size: Size) -> Size:
        """See `Detector.input_size`."""
        return min(size[0], SIDE), min(size[1], SIDE)

    def batch(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Return the pictures stretched to squares, `(N, 300, 300, 3)` RGB from -1 to 1."""
        squares = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images]
        return np.asarray(np.stack(squares) / 127.5 - 1, np.float32)

    def candidates(self, outputs: Sequence[NDArray[Any]], image: Image, score_threshold: float) -> Found:
        """See `BoxDetector.candidates`."""
        encoded, logits = outputs
        scores = 1 / (1 + np.exp(-logits[:, self._columns]))
        rows, class_ids = np.nonzero(scores >= score_threshold)
        anchor, by = self._anchors[rows], encoded[rows]
        # In the order y, x.
        centres = anchor[:, :2] + by[:, :2] / CENTRE_UNIT * anchor[:, 2:]
        sizes = anchor[:, 2:] * np.exp(by[:, 2:] / SIZE_UNIT)
        boxes = np.concatenate([(centres - sizes / 2)[:, ::-1], (centres + sizes / 2)[:, ::-1]], axis=1)
        return (
            boxes.astype(np.float32),
            scores[rows, class_ids].astype(np.float32),
            class_ids.astype(np.int32),
        )


def anchors() -> Iterator[tuple[float, float, float, float]]:
    """Yield the anchors as y, x, height, width, in parts of the input."""
    step = (MAX_SCALE - MIN_SCALE) / (len(STRIDES) - 1)
    scales = [MIN_SCALE + step * layer for layer in range(len(STRIDES))] + [1.0]
    for layer, stride in enumerate(STRIDES):
        shapes = [(scales[layer], ratio) for ratio in RATIOS]
        shapes.append((math.sqrt(scales[layer] * scales[layer + 1]), 1.0))
        if layer == 0:
            shapes = [(SMALLEST, 1.0), *shapes[1:3]]
        cells = math.ceil(SIDE / stride)
        for row in range(cells):
            for column in range(cells):
                for scale, ratio in shapes:
                    root = math.sqrt(ratio)
                    yield (row + 0.5) / cells, (column + 0.5) / cells, scale / root, scale * root


def _free_batch(model: Any) -> None:
    """Let a network that was made for one picture take any number of them."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Reshape" and node.get_output_shape(0)[0] == 1:
            _, *others = node.get_output_shape(0)
            node.input(1).replace_source_output(opset13.constant([-1, *others], np.int64).output(0))
    model.reshape([-1, SIDE, SIDE, 3])

"""`Network`: what the detector asks of a runtime."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.config import MaskRCNNConfig

Batch = NDArray[np.uint8]
Limits = NDArray[np.float32]
Answers = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class Network(Protocol):
    """A Mask R-CNN that is ready to run.

    Legend: B: batch, N: boxes that any picture of the batch may need, P: `mask_pool`.

    Attributes:
        config: The model's configuration.
    """

    config: MaskRCNNConfig

    def find(self, batch: Batch, limits: Limits, lowest: float) -> Answers:
        """Find the objects of pictures.

        Args:
            batch: `(B, height, width, 3)` uint8 RGB, of the configuration's `image_size`.
            limits: `(B, 4)`, see `letterbox.limits`.
            lowest: Score below which a box needs no mask, 0..1.

        Returns:
            Boxes `(B, N, 4)` xyxy in `box_units`, scores `(B, N)`, best first, masks `(B, N, 2P, 2P)`
            probabilities over each box. Rows whose score is below `lowest` mean nothing.
        """
        ...

    def warm_up(self) -> None:
        """Do once what a first picture would wait for."""
        ...

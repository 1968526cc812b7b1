"""This module says what the detector asks of a runtime: the protocol `Network`."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pothole.detection.mask_rcnn.config import MaskRCNNConfig

Batch = NDArray[np.uint8]
Limits = NDArray[np.float32]


class NetworkOutputs(NamedTuple):
    """A network answers with boxes, scores, classes and masks.

    Legend: B: batch, N: boxes that any picture of the batch may need, P: `mask_pool`.

    Attributes:
        boxes: `(B, N, 4)` xyxy in `box_units`.
        scores: `(B, N)`, best first. Rows whose score is below the threshold mean nothing.
        classes: `(B, N)` from 1; 0 is the background.
        masks: `(B, N, 2P, 2P)` probabilities over each box.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    masks: NDArray[np.float32]


class Network(Protocol):
    """A network is a Mask R-CNN that is ready to run.

    Attributes:
        config: The model's configuration.
    """

    config: MaskRCNNConfig

    def find(self, batch: Batch, limits: Limits, score_threshold: float) -> NetworkOutputs:
        """Find the objects of pictures.

        Args:
            batch: `(B, height, width, 3)` uint8 RGB, of the configuration's `image_size`.
            limits: `(B, 4)`, see `letterbox.limits`.
            score_threshold: Score below which a box needs no mask, 0..1.
        """
        ...

    def warm_up(self) -> None:
        """Do once what the first picture would otherwise wait for."""
        ...

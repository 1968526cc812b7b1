"""This module holds the network of Mask R-CNN (He et al., 2017, arXiv:1703.06870), and its weights on disk.

Legend: B: batch, A: anchors, P: proposals, N: RoIs, D: detections, K: classes with background.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from pothole.detection.mask_rcnn import boxes
from pothole.detection.mask_rcnn.anchors import anchors
from pothole.detection.mask_rcnn.backbone import BACKBONES
from pothole.detection.mask_rcnn.box_units import whole_input
from pothole.detection.mask_rcnn.boxes import Tensor
from pothole.detection.mask_rcnn.config import WEIGHTS, MaskRCNNConfig
from pothole.detection.mask_rcnn.fpn import FPN
from pothole.detection.mask_rcnn.heads import BoxHead, MaskHead
from pothole.detection.mask_rcnn.postprocess import detect, refine
from pothole.detection.mask_rcnn.roi_align import roi_align
from pothole.detection.mask_rcnn.rpn import RPNHead, propose
from pothole.errors import ModelError, reason
from pothole.files import NPZ_DAMAGE, replacing


class MaskRCNN(keras.Model):  # type: ignore[misc]
    """The network goes backbone → FPN → RPN → RoIAlign → box head → detections → RoIAlign → mask head."""

    def __init__(self, config: MaskRCNNConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.backbone = BACKBONES[config.backbone]()
        self.fpn = FPN(config.fpn_channels, config.separable, name="fpn")
        self.rpn = RPNHead(
            config.rpn_channels or config.fpn_channels,
            len(config.anchor_ratios),
            config.separable,
            name="rpn",
        )
        units, classes = config.box_head_units, config.num_classes
        self.box_head = BoxHead(units, classes, name="box_head")
        self.last_box_head = BoxHead(units, classes, name="last_box_head") if config.own_last_look else None
        self.mask_head = MaskHead(
            config.mask_head_channels, config.mask_head_layers, config.num_classes, name="mask_head"
        )
        channels = config.fpn_channels
        self.fpn.build([stage.shape for stage in self.backbone.outputs])
        self.rpn.build([(1, 1, 1, channels)])
        for head in filter(None, (self.box_head, self.last_box_head)):
            head.build((0, 0, config.box_pool, config.box_pool, channels))
        self.mask_head.build((0, 0, config.mask_pool, config.mask_pool, channels))
        self.built = True

    def call(self, images: Tensor) -> dict[str, Tensor]:
        """Find the objects of pictures, masks included.

        Args:
            images: `(B, height, width, 3)` RGB, 0..255, sides in multiples of 32.

        Returns:
            `boxes` `(B, D, 4)` xyxy in `box_units`, `scores` `(B, D)`, `classes` `(B, D)`, and `masks`
            `(B, D, 2P, 2P)` probabilities over each box. Rows without a detection have score 0.
        """
        pyramid = self.pyramid(images)
        found, scores, classes = self.detect(pyramid)
        return {
            "boxes": found,
            "scores": scores,
            "classes": classes,
            "masks": self.masks(pyramid, found, classes),
        }

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Return the feature levels of pictures `(B, height, width, 3)` RGB 0..255, finest first."""
        # float32 has no 123.7, and at the end of a deep network one sees that. JAX has no float64 by default.
        exact = "float64" if keras.backend.backend() == "tensorflow" else self.compute_dtype
        offset = ops.convert_to_tensor(self.config.pixel_offset, exact)
        scaled = ops.cast(images, self.compute_dtype) / self.config.pixel_scale
        normalised = ops.cast(ops.cast(scaled, exact) - offset, self.compute_dtype)
        return list(self.fpn(self.backbone(normalised)))

    def detect(self, pyramid: Sequence[Tensor], limits: Tensor = None) -> tuple[Tensor, Tensor, Tensor]:
        """Find objects in a pyramid.

        Args:
            pyramid: From `pyramid`.
            limits: Boxes `(B, 4)` that detections must not reach past; the whole input when None.

        Returns:
            Boxes `(B, D, 4)`, scores `(B, D)`, classes `(B, D)`, best first.
        """
        image_size = self.image_size(pyramid)
        objectness, deltas = self.rpn(pyramid)
        rois = propose(objectness, deltas, self.anchors(image_size), image_size, self.config)
        for _ in range(self.config.box_passes - 1):
            refined, scores = self.refine(pyramid, rois)
            kept = min(self.config.refined_rois or refined.shape[1], refined.shape[1])
            _, rois = boxes.best(scores, kept, refined)
        logits, deltas = self.classify(pyramid, rois, last=True)
        within = whole_input(image_size, self.config) if limits is None else limits[:, None]
        return detect(rois, logits, deltas, within, self.config)

    def image_size(self, pyramid: Sequence[Tensor]) -> tuple[int, int]:
        """Return the `(height, width)` of the pictures that a pyramid was made from."""
        rows, columns = pyramid[0].shape[1:3]
        return rows * self.config.strides[0], columns * self.config.strides[0]

    def anchors(self, image_size: tuple[int, int]) -> Tensor:
        """Return the anchors `(A, 4)` of pictures `(height, width)`."""
        return ops.convert_to_tensor(anchors(self.config, image_size))

    def classify(self, pyramid: Sequence[Tensor], rois: Tensor, last: bool = False) -> tuple[Tensor, Tensor]:
        """Return the box head's logits `(B, N, K)` and deltas `(B, N, K, 4)` of RoIs `(B, N, 4)`.

        Args:
            pyramid: From `pyramid`.
            rois: In `box_units`.
            last: Whether it is the last look, see `own_last_look`.
        """
        head = self.last_box_head if last and self.last_box_head else self.box_head
        # The coarsest level only proposes; RoIs come from the backbone's own levels (FPN, sec. 4.2).
        logits, deltas = head(roi_align(pyramid[:-1], rois, self.config.box_pool, self.config))
        return logits, deltas

    def refine(self, pyramid: Sequence[Tensor], rois: Tensor) -> tuple[Tensor, Tensor]:
        """Return RoIs `(B, N, 4)` moved to where the box head sees their objects, and scores `(B, N)`."""
        logits, deltas = self.classify(pyramid, rois)
        limits = whole_input(self.image_size(pyramid), self.config)
        refined, scores, _ = refine(rois, logits, deltas, limits, self.config)
        return refined, scores

    def mask_logits(self, pyramid: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Return `(B, N, 2P, 2P, K − 1)` mask logits of RoIs `(B, N, 4)`."""
        return self.mask_head(roi_align(pyramid[:-1], rois, self.config.mask_pool, self.config))

    def masks(self, pyramid: Sequence[Tensor], rois: Tensor, classes: Tensor) -> Tensor:
        """Return mask probabilities `(B, D, 2P, 2P)` of each RoI's own class."""
        logits = self.mask_logits(pyramid, rois)
        own = ops.cast(ops.maximum(classes - 1, 0), "int32")[..., None, None, None]
        return ops.sigmoid(ops.take_along_axis(logits, own, axis=-1)[..., 0])

    def save_folder(self, folder: Path, dtype: str = "float16") -> None:
        """Write `config.json` and the weights by name.

        Args:
            folder: Is made when it is missing.
            dtype: Of the weights; half precision keeps Git and the image small.
        """
        self.config.save(folder)
        tensors = {v.path: ops.convert_to_numpy(v).astype(dtype) for v in self.weights}
        with replacing(folder / WEIGHTS) as whole:
            np.savez(whole, **tensors)

    @classmethod
    def load_folder(cls, folder: Path) -> "MaskRCNN":
        """Read a model folder.

        Raises:
            ModelError: A file is missing or its tensors are not those of the configuration.
        """
        model = cls(MaskRCNNConfig.load(folder))
        path = folder / WEIGHTS
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                tensors = {name: file[name] for name in file.files}
        except NPZ_DAMAGE as exc:
            raise ModelError(f"{path} cannot be read: {reason(exc)}.", "Copy the model folder anew.") from exc
        wanted = {v.path: tuple(v.shape) for v in model.weights}
        found = {name: t.shape for name, t in tensors.items()}
        if wanted != found:
            odd = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
            raise ModelError(
                f"{path} does not fit its config.json: {', '.join(odd[:5])} of {len(odd)} differ."
            )
        for variable in model.weights:
            variable.assign(tensors[variable.path].astype(np.float32, copy=False))
        return model

"""The learner is the network with its losses: what `fit` trains, on whichever backend Keras runs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from pothole.detection.mask_rcnn import boxes
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.mask_rcnn.rpn import propose
from pothole.errors import ModelError
from pothole.training import losses
from pothole.training.targets import Sampling, anchor_targets, mask_targets, roi_targets

LOSSES = ("rpn_class", "rpn_box", "class", "box", "mask")


class _Look(NamedTuple):
    """A look has its two losses, and the examples it was given: RoIs, their objects, classes, positives."""

    box_class: Any
    box: Any
    examples: tuple[Any, Any, Any, Any]


class Learner(keras.Model):  # type: ignore[misc]
    """A learner computes the five losses of a Mask R-CNN from pictures and their truth.

    Its input is a dictionary: `images` `(B, height, width, 3)` RGB 0..255, `boxes` `(B, G, 4)` xyxy padded
    with zeros, `classes` `(B, G)` int padded with 0, `masks` `(B, G, M, M)` 0/1 over each box, `ignored`
    `(B, height / CELL, width / CELL)` 0/1, see `is_ignored`.
    """

    def __init__(self, network: MaskRCNN, sampling: Sampling, seed: int) -> None:
        super().__init__()
        if network.config.box_units != "pixels":
            raise ModelError(f"{network.config.name} has boxes as Matterport's: it can be used, not trained.")
        self.network = network
        self.sampling = sampling
        self.seed = keras.random.SeedGenerator(seed)
        self.means = {name: keras.metrics.Mean(name=name) for name in LOSSES}
        self.built = True

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return each loss, a scalar, by name."""
        network, config, sampling = self.network, self.network.config, self.sampling
        truth = inputs["boxes"]

        pyramid = network.pyramid(inputs["images"])
        image_size = network.image_size(pyramid)
        anchors = network.anchors(image_size)
        objectness, deltas = network.rpn(pyramid)
        index, weights, positive, wanted = anchor_targets(
            anchors, truth, inputs["ignored"], config.rpn_box_std, sampling, self.seed
        )
        rpn_class = losses.binary_cross_entropy(boxes.take(objectness, index), positive, weights)
        rpn_box = losses.smooth_l1(boxes.take(deltas, index), wanted, positive, weights)

        # The box head learns from what it will see: proposals, and what it made of them itself.
        passes = [ops.stop_gradient(propose(objectness, deltas, anchors, image_size, config))]
        scores = []
        for _ in range(config.box_passes - 1):
            refined, score = network.refine(pyramid, passes[-1])
            passes.append(ops.stop_gradient(refined))
            scores.append(ops.stop_gradient(score))
        # The last boxes were not looked at yet: they score about as those that they come from.
        scores.append(scores[-1] if scores else ops.zeros_like(passes[-1][..., 0]))
        proposals = ops.concatenate(passes, axis=1)
        looked = self._look(pyramid, proposals, ops.concatenate(scores, axis=1), inputs)
        box_class, box = looked.box_class, looked.box
        if network.last_box_head:
            last = self._look(pyramid, passes[-1], scores[-1], inputs, last=True)
            box_class, box = box_class + last.box_class, box + last.box

        count = sampling.positive_rois
        rois, match, roi_classes, foreground = (part[:, :count] for part in looked.examples)
        mask_logits = network.mask_logits(pyramid, rois)
        own_channel = ops.maximum(roi_classes - 1, 0)[..., None, None, None]
        mask_logits = ops.take_along_axis(mask_logits, own_channel, axis=-1)[..., 0]
        wanted = mask_targets(rois, match, truth, inputs["masks"], mask_logits.shape[-1])
        counted = ops.broadcast_to(foreground[..., None, None], ops.shape(mask_logits))
        mask = losses.binary_cross_entropy(mask_logits, wanted, counted)
        return dict(zip(LOSSES, (rpn_class, rpn_box, box_class, box, mask), strict=True))

    def _look(
        self, pyramid: Sequence[Any], proposals: Any, scores: Any, inputs: dict[str, Any], last: bool = False
    ) -> _Look:
        """Let a box head look at some of the proposals, whose scores say how hard they are."""
        config = self.network.config
        rois, weights, roi_classes, wanted, match = roi_targets(
            proposals,
            scores,
            inputs["boxes"],
            inputs["classes"],
            inputs["ignored"],
            config.box_std,
            self.sampling,
            self.seed,
        )
        logits, deltas = self.network.classify(pyramid, rois, last)
        own = ops.take_along_axis(deltas, roi_classes[..., None, None], axis=2)[..., 0, :]
        foreground = ops.cast(roi_classes > 0, "float32") * weights
        return _Look(
            losses.cross_entropy(logits, roi_classes, weights),
            losses.smooth_l1(own, wanted, foreground, weights),
            (rois, match, roi_classes, foreground),
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum of the losses, all of weight 1 as in the paper."""
        for name, mean in self.means.items():
            mean.update_state(y_pred[name])
        return sum(y_pred[name] for name in LOSSES)

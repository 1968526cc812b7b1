"""The learner is the network with its losses: what `fit` trains, on whichever backend Keras runs."""

from typing import Any

import keras
from keras import ops

from pothole.detection.mask_rcnn import boxes
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.mask_rcnn.rpn import propose
from pothole.errors import ModelError
from pothole.training import losses
from pothole.training.targets import Sampling, anchor_targets, mask_targets, roi_targets

LOSSES = ("rpn_class", "rpn_box", "class", "box", "mask")


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
        truth, classes = inputs["boxes"], inputs["classes"]

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
        rois, weights, roi_classes, wanted, match = roi_targets(
            proposals,
            ops.concatenate(scores, axis=1),
            truth,
            classes,
            inputs["ignored"],
            config.box_std,
            sampling,
            self.seed,
        )
        logits, deltas = network.classify(pyramid, rois)
        own = ops.take_along_axis(deltas, roi_classes[..., None, None], axis=2)[..., 0, :]
        foreground = ops.cast(roi_classes > 0, "float32") * weights
        box_class = losses.cross_entropy(logits, roi_classes, weights)
        box = losses.smooth_l1(own, wanted, foreground, weights)

        count = sampling.positive_rois
        rois, match, roi_classes = rois[:, :count], match[:, :count], roi_classes[:, :count]
        mask_logits = network.mask_logits(pyramid, rois)
        own_channel = ops.maximum(roi_classes - 1, 0)[..., None, None, None]
        mask_logits = ops.take_along_axis(mask_logits, own_channel, axis=-1)[..., 0]
        wanted = mask_targets(rois, match, truth, inputs["masks"], mask_logits.shape[-1])
        counted = ops.broadcast_to(foreground[:, :count, None, None], ops.shape(mask_logits))
        mask = losses.binary_cross_entropy(mask_logits, wanted, counted)
        return dict(zip(LOSSES, (rpn_class, rpn_box, box_class, box, mask), strict=True))

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

"""Stage by stage against what Matterport's own code computed; runs where somebody has such files.

`POTHOLE_MATTERPORT_REFERENCE` names a folder with pairs of `NAME.h5` and `NAME_reference.npz`, and where the
model was not operated as the arrays' shapes say, a `NAME.json` with upstream's names.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from pothole.detection.mask_rcnn.letterbox import fit, limits
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.mask_rcnn.postprocess import detect
from pothole.detection.mask_rcnn.rpn import propose
from pothole.detection.mask_rcnn_detector import MaskRCNNDetector
from pothole.detection.matterport.importer import import_weights
from pothole.detection.matterport.operation import read_operation
from pothole.detection.runtimes.keras import KerasNetwork

FOLDER = Path(os.environ.get("POTHOLE_MATTERPORT_REFERENCE", "/nonexistent"))
FILES = sorted(FOLDER.glob("*_reference.npz"))
pytestmark = pytest.mark.skipif(not FILES, reason="POTHOLE_MATTERPORT_REFERENCE names no references")

ACTIVATIONS = {"atol": 1e-3, "rtol": 0.0}
RPN = {"atol": 1e-4, "rtol": 0.0}
"""Of references from another kind of CPU, rounding alone may be more: docs/how-to/matterport.md."""


def in_their_order(boxes):
    return np.asarray(boxes)[..., [1, 0, 3, 2]]


def share_found(boxes, wanted, within=1e-3):
    """Match boxes one to one, and return how many of those wanted are found."""
    left, hits = np.ones(len(boxes), bool), 0
    for one in wanted:
        distance = np.where(left, np.abs(boxes - one).max(axis=1), np.inf)
        if distance.min() <= within:
            left[distance.argmin()] = False
            hits += 1
    return hits / len(wanted)


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def reference(request):
    with np.load(request.param) as file:
        return {"path": request.param, **file}


@pytest.fixture(scope="module")
def network(reference, tmp_path_factory):
    stem = reference["path"].with_name(reference["path"].name.removesuffix("_reference.npz"))
    guessed = {
        "IMAGE_MIN_DIM": 400,
        "IMAGE_MAX_DIM": reference["molded"].shape[1],
        "POST_NMS_ROIS_INFERENCE": reference["rpn_rois"].shape[1],
        "DETECTION_MAX_INSTANCES": reference["detections"].shape[1],
        "DETECTION_MIN_CONFIDENCE": 0.0,
    }
    settings = stem.with_suffix(".json")
    operation = read_operation(settings, {}) if settings.exists() else read_operation(None, guessed)
    folder = tmp_path_factory.mktemp("reference") / "model"
    import_weights(stem.with_suffix(".h5"), operation, folder)
    return MaskRCNN.load_folder(folder)


@pytest.fixture(scope="module")
def window(network, reference):
    return fit(reference["image"], network.config)[1]


@pytest.fixture(scope="module")
def pyramid(network, reference):
    served = tf.function(network.pyramid)
    return served(fit(reference["image"], network.config)[0][None])


def test_the_input(network, reference, window):
    canvas, _ = fit(reference["image"], network.config)
    molded = canvas - np.array(network.config.pixel_offset)
    assert np.allclose(molded, reference["molded"][0], atol=1e-5)
    x0, y0, x1, y1 = window
    assert reference["windows"][0].tolist() == [y0, x0, y1, x1]
    assert (in_their_order(network.anchors(network.config.image_size)) == reference["anchors"]).all()


def test_the_backbone_and_the_pyramid(network, reference, pyramid):
    stages = network.backbone(reference["molded"].astype(np.float32))
    names = [name for name in reference if name.startswith("mid_res")]
    for name, ours in zip(sorted(names), stages, strict=True):
        assert np.allclose(np.asarray(ours)[:, ::4, ::4, ::8], reference[name], **ACTIVATIONS), name
    for level, ours in enumerate(pyramid, start=2):
        theirs = reference[f"mid_fpn_p{level}"]
        assert np.allclose(np.asarray(ours)[:, ::4, ::4, ::8], theirs, **ACTIVATIONS), level


def test_the_proposals(network, reference, pyramid):
    objectness, deltas = network.rpn(pyramid)
    assert np.allclose(np.asarray(ops.sigmoid(objectness)), reference["rpn_class"][..., 1], **RPN)
    assert np.allclose(in_their_order(deltas), reference["rpn_bbox"], **RPN)
    size = network.config.image_size
    rois = propose(objectness, deltas, network.anchors(size), size, network.config)
    assert share_found(in_their_order(rois)[0], reference["rpn_rois"][0]) >= 0.99


def test_the_heads_on_their_proposals(network, reference, pyramid, window):
    rois = np.ascontiguousarray(in_their_order(reference["rpn_rois"]))
    logits, deltas = network.classify(pyramid, rois)
    assert np.allclose(np.asarray(ops.softmax(logits)), reference["mrcnn_class"], **ACTIVATIONS)
    assert np.allclose(in_their_order(deltas), reference["mrcnn_bbox"], **ACTIVATIONS)

    within = limits(window, network.config)
    boxes, scores, classes = (np.asarray(x)[0] for x in detect(rois, logits, deltas, within, network.config))
    theirs = reference["detections"][0]
    ours = np.concatenate([in_their_order(boxes), classes[:, None], scores[:, None]], axis=1)
    assert share_found(ours, theirs) >= 0.99

    masks = network.masks(
        pyramid, np.ascontiguousarray(in_their_order(theirs[None, :, :4])), theirs[None, :, 4]
    )
    own = reference["mrcnn_mask"][0][np.arange(len(theirs)), :, :, theirs[:, 4].astype(int)]
    assert np.allclose(np.asarray(masks)[0], own, **ACTIVATIONS)


def test_the_detections_of_the_picture(network, reference):
    (found,) = MaskRCNNDetector(KerasNetwork(network)).predict([reference["image"]])
    boxes = in_their_order(reference["final_rois"])
    shape = reference["final_masks_shape"]
    masks = np.unpackbits(reference["final_masks_packed"])[: np.prod(shape)].reshape(shape).astype(bool)
    equal = 0
    for box, score, (left, top, right, bottom), mask in zip(
        found.boxes, found.scores, found.mask_boxes, found.masks, strict=True
    ):
        whole = np.zeros(shape[:2], bool)
        whole[top:bottom, left:right] = mask
        same = (boxes == box).all(axis=1) & (np.abs(reference["final_scores"] - score) < 1e-3)
        overlaps = [
            (whole & masks[..., i]).sum() / max((whole | masks[..., i]).sum(), 1)
            for i in np.flatnonzero(same)
        ]
        equal += max(overlaps, default=0.0) >= 0.99
    assert len(found) == len(boxes) and equal >= 0.99 * len(boxes)

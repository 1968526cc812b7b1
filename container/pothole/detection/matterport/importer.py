"""The importer makes a model folder of a Matterport weights file, for `pothole import`."""

import tarfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from pothole.detection.mask_rcnn.backbone import RESNET_BLOCKS
from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.matterport.layout import sources
from pothole.detection.matterport.operation import Operation
from pothole.detection.matterport.weights_file import Tensors, read_tensors
from pothole.detections import DEFAULT_CLASS_NAMES
from pothole.errors import ModelError, RequestError, reason
from pothole.files import replacing

MAX_NAMED = 5
"""Weights that a message names of each kind; more would bury the sentence."""

WIDEST = 8192
"""Of a layer; Matterport's widest has 2048 channels."""


def import_weights(
    path: Path, operation: Operation, folder: Path, archive: Path | None = None
) -> MaskRCNNConfig:
    """Make a model folder from a Matterport weights file, and nothing at all when that fails.

    Args:
        path: The `.h5` file.
        operation: How the model is operated.
        folder: Is made; must not exist, or be empty.
        archive: Where to write the folder as a `.tar.gz` for SageMaker, too.

    Returns:
        The configuration of the model.

    Raises:
        RequestError: There is something at `folder` or `archive`, or `operation` does not fit the weights.
        ModelError: The file is none of Matterport's, or damaged; or the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{folder} exists already.", hint="Name a new folder: nothing is overwritten.")
    if archive and archive.exists():
        raise RequestError(f"{archive} exists already.", hint="Name a new file: nothing is overwritten.")
    network = load_network(path, operation)
    try:
        _write(network, folder, archive)
    except OSError as exc:
        raise ModelError(f"{exc.filename or folder} cannot be written: {reason(exc)}.") from exc
    config: MaskRCNNConfig = network.config
    return config


def load_network(path: Path, operation: Operation) -> MaskRCNN:
    """Return our network with the weights of a Matterport file.

    Raises:
        RequestError: `operation` does not fit the weights.
        ModelError: The file is none of Matterport's, or damaged.
    """
    tensors = read_tensors(path)
    config = configuration(path, tensors, operation)
    layers = list(sources(config))
    _check(path, tensors, {name: shape for layer in layers for name, shape in layer.shapes()})
    network = MaskRCNN(config)
    variables = {variable.path: variable for variable in network.weights}
    for layer in layers:
        for name, tensor in layer.weights(tensors):
            variable = variables[name]
            # A dense layer of ours is a convolution over the whole RoI there.
            variable.assign(tensor.reshape(variable.shape))
    return network


def configuration(path: Path, tensors: Tensors, operation: Operation) -> MaskRCNNConfig:
    """Return the configuration of a network for these weights.

    Backbone, class count and widths are read off the weights; all else is Matterport's way, or `operation`'s.
    """
    width = partial(_width, path, tensors)
    backbone, classes = _check_wishes(path, tensors, operation)
    return MaskRCNNConfig(
        name=operation.NAME or f"matterport_{backbone}",
        image_size=(operation.IMAGE_MAX_DIM, operation.IMAGE_MAX_DIM),
        letterbox="centre",
        min_side=operation.IMAGE_MIN_DIM or 0,
        min_scale=operation.IMAGE_MIN_SCALE or 0.0,
        pixel_scale=1.0,
        pixel_offset=operation.MEAN_PIXEL,
        backbone=backbone,
        strides=operation.BACKBONE_STRIDES,
        separable=False,
        fpn_channels=width("fpn_c5p5"),
        rpn_channels=width("rpn_conv_shared"),
        box_units="normalised",
        anchor_sizes=operation.RPN_ANCHOR_SCALES,
        # Ours are height over width.
        anchor_ratios=tuple(1.0 / ratio for ratio in operation.RPN_ANCHOR_RATIOS),
        anchor_centre=0.0,
        pre_nms=operation.PRE_NMS_LIMIT,
        proposals=operation.POST_NMS_ROIS_INFERENCE,
        rpn_nms_iou=operation.RPN_NMS_THRESHOLD,
        rpn_box_std=_x_first(operation.RPN_BBOX_STD_DEV),
        box_std=_x_first(operation.BBOX_STD_DEV),
        roi_canonical_size=224.0,
        roi_level_rounding="nearest",
        box_pool=width("mrcnn_class_conv1", axis=0),
        mask_pool=operation.MASK_POOL_SIZE,
        box_head_units=width("mrcnn_class_conv1"),
        mask_head_channels=width("mrcnn_mask_conv1"),
        mask_head_layers=4,
        box_passes=1,
        class_names=operation.CLASS_NAMES or _default_names(classes - 1),
        background_wins=True,
        keep_empty_rois=True,
        detections=operation.DETECTION_MAX_INSTANCES,
        detection_nms_iou=operation.DETECTION_NMS_THRESHOLD,
        mask_border="zero",
        min_confidence=operation.DETECTION_MIN_CONFIDENCE,
    )


def _width(path: Path, tensors: Tensors, layer: str, axis: int = -1, rank: int = 4) -> int:
    """Return the width of a layer, read off its kernel."""
    kernel = tensors.get(f"{layer}/kernel")
    if kernel is None or kernel.ndim != rank or not 0 < kernel.shape[axis] <= WIDEST:
        raise ModelError(
            f"{path} is not of Matterport's Mask R-CNN: it has no layer {layer} as there.",
            hint="The file has to hold the whole model, with the names of mrcnn/model.py.",
        )
    return int(kernel.shape[axis])


def _check_wishes(path: Path, tensors: Tensors, operation: Operation) -> tuple[str, int]:
    """Return backbone and number of classes, after a check that the weights are what was asked for."""
    width = partial(_width, path, tensors)
    backbone = _backbone(path, tensors)
    classes = width("mrcnn_class_logits", rank=2)
    names = operation.CLASS_NAMES
    found = {
        "BACKBONE": (backbone, operation.BACKBONE),
        "NUM_CLASSES": (classes, operation.NUM_CLASSES),
        "CLASS_NAMES without the background": (classes - 1, len(names) if names else None),
        "TOP_DOWN_PYRAMID_SIZE": (width("fpn_c5p5"), operation.TOP_DOWN_PYRAMID_SIZE),
        "FPN_CLASSIF_FC_LAYERS_SIZE": (width("mrcnn_class_conv1"), operation.FPN_CLASSIF_FC_LAYERS_SIZE),
        "POOL_SIZE": (width("mrcnn_class_conv1", axis=0), operation.POOL_SIZE),
        "RPN_ANCHOR_RATIOS": (width("rpn_bbox_pred") // 4, len(operation.RPN_ANCHOR_RATIOS)),
    }
    for name, (has, asked) in found.items():
        if asked not in (None, has):
            raise RequestError(f"{name}: {path} has {has}, asked for is {asked}.")
    if classes < 2:
        raise ModelError(f"{path} has no class but the background.")
    return backbone, classes


def _backbone(path: Path, tensors: Tensors) -> str:
    blocks = {
        name[4 : -len("_branch2a/kernel")]
        for name in tensors
        if name.startswith("res4") and name.endswith("_branch2a/kernel")
    }
    for backbone, (_, _, stage_4, _) in RESNET_BLOCKS.items():
        if len(blocks) == stage_4:
            return backbone
    raise ModelError(
        f"{path} is not of Matterport's Mask R-CNN: stage 4 of its backbone has {len(blocks)} blocks.",
        hint="ResNet-50 has 6, ResNet-101 has 23; their names are res4a_branch2a and so on.",
    )


def _default_names(count: int) -> tuple[str, ...]:
    return DEFAULT_CLASS_NAMES if count == 1 else tuple(f"class {i}" for i in range(1, count + 1))


def _x_first(std: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    dy, dx, dh, dw = std
    return dx, dy, dw, dh


def _check(path: Path, tensors: Tensors, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the weights with what the network needs, and say what is missing, too much or odd."""
    shared = wanted.keys() & tensors.keys()
    faults = {
        "missing": sorted(wanted.keys() - tensors.keys()),
        "too much": sorted(tensors.keys() - wanted.keys()),
        "of another shape": [
            f"{name} {tensors[name].shape} instead of {wanted[name]}"
            for name in sorted(shared)
            if tensors[name].shape != wanted[name]
        ],
        "not finite": sorted(name for name in shared if not np.isfinite(tensors[name]).all()),
        "negative": sorted(n for n in shared if n.endswith("/moving_variance") and (tensors[n] < 0).any()),
    }
    said = [f"{fault}: {_listed(names)}" for fault, names in faults.items() if names]
    if said:
        raise ModelError(f"{path} does not hold the weights of Matterport's Mask R-CNN; {'; '.join(said)}.")


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _write(network: MaskRCNN, folder: Path, archive: Path | None) -> None:
    """Write the model folder, and its archive."""
    with replacing(folder) as made:
        # Half precision would change the answers.
        network.save_folder(made, "float32")
        if archive:
            _archive(made, archive)


def _archive(folder: Path, archive: Path) -> None:
    # Weights hardly get smaller, however long one tries.
    with replacing(archive) as made, tarfile.open(made, "w:gz", compresslevel=1) as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)

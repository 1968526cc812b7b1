"""This is the network of the system that this one replaces: Matterport's ResNet-101 at 1024 pixels."""

import tempfile
from pathlib import Path

from pothole.detection.mask_rcnn.config import MaskRCNNConfig

MATTERPORT = MaskRCNNConfig(
    name="matterport_resnet101",
    image_size=(1024, 1024),
    letterbox="centre",
    min_side=800,
    pixel_scale=1.0,
    pixel_offset=(123.7, 116.8, 103.9),
    backbone="resnet101",
    separable=False,
    fpn_channels=256,
    rpn_channels=512,
    box_units="normalised",
    anchor_sizes=(32, 64, 128, 256, 512),
    anchor_ratios=(2.0, 1.0, 0.5),
    anchor_centre=0.0,
    pre_nms=6000,
    proposals=1000,
    roi_canonical_size=224.0,
    roi_level_rounding="nearest",
    box_head_units=1024,
    mask_head_channels=256,
    mask_head_layers=4,
    box_passes=1,
    background_wins=True,
    keep_empty_rois=True,
    detections=100,
    detection_nms_iou=0.3,
    mask_border="zero",
    min_confidence=0.7,
)


def original_model(folder: Path) -> dict[str, str]:
    """Write a model folder with random weights, once; what a network costs does not depend on them.

    But for masks: it finds hardly anything, so the masks of real weights would come on top.
    """
    if folder.is_dir():
        return {"model": str(folder)}
    from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN  # noqa: PLC0415  # Keras takes seconds to import

    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as new:
        MaskRCNN(MATTERPORT).save_folder(Path(new, folder.name))
        Path(new, folder.name).replace(folder)
    return {"model": str(folder)}

"""A network small enough to train in a test."""

from pothole.detection.mask_rcnn.config import MaskRCNNConfig

SMALL = MaskRCNNConfig(
    image_size=(64, 96),
    fpn_channels=8,
    pre_nms=60,
    proposals=10,
    box_head_units=16,
    mask_head_channels=8,
    mask_head_layers=1,
    detections=5,
)

"""The configuration of a Mask R-CNN is saved as `config.json` beside its weights.

The defaults are this project's own network. Where Matterport's (github.com/matterport/Mask_RCNN, 2.1) does
something in another way, a field chooses between the two; `pothole.detection.matterport` sets those fields.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pothole.detections import DEFAULT_CLASS_NAMES
from pothole.errors import ModelError, reason
from pothole.files import replacing

CHOICES = {
    "letterbox": ("corner", "centre"),
    "backbone": ("mobilenet_v2", "resnet50", "resnet101"),
    "box_units": ("pixels", "normalised"),
    "roi_level_rounding": ("down", "nearest"),
    "mask_border": ("repeat", "zero"),
}

WEIGHTS = "weights.npz"
"""The weights' file in a model folder, beside `config.json`."""


@dataclass(frozen=True)
class MaskRCNNConfig:
    """These are the sizes and thresholds of Mask R-CNN (arXiv:1703.06870) and FPN (arXiv:1612.03144).

    Attributes:
        name: Written in reports.
        image_size: Pictures are fitted into this `(height, width)`, multiples of 32; 384×640 fits 16:9. The
            network itself takes any such size.
        letterbox: `corner` puts the picture at the top left on grey; `centre` in the middle on black
            (Matterport `utils.resize_image`, mode `square`).
        min_side: For `centre`: the shorter side is enlarged to this, as far as the longer one fits.
        min_scale: For `centre`: pictures are enlarged at least this much, as far as they fit.
        pixel_scale: The backbone sees `RGB / pixel_scale - pixel_offset`, −1..1 by default.
        pixel_offset: Per channel; Matterport subtracts the mean pixel (`Config.MEAN_PIXEL`, `mold_image`).
        backbone: A name of `backbone.BACKBONES`.
        strides: Input pixels per cell of each pyramid level; the last is P5 subsampled (FPN, sec. 4.1).
        separable: Whether the 3×3 convolutions of FPN and RPN are separable.
        fpn_channels: Width of the pyramid.
        rpn_channels: Width of the RPN's shared convolution; the pyramid's when None.
        box_units: `pixels` of the input, the far edge exclusive; or `normalised`, 0..1 from the first to the
            last pixel (Matterport `utils.norm_boxes`), in which RoIs are pooled as `tf.image.crop_and_resize`
            does (Matterport `PyramidROIAlign`).
        anchor_sizes: Square root of an anchor's area, in pixels, one per level.
        anchor_ratios: Height over width; potholes seen from a car are flat.
        anchor_centre: Where in its cell an anchor is centred, 0 at the top left corner (Matterport
            `utils.generate_anchors`) to 1.
        pre_nms: Proposals with the best objectness that enter NMS.
        proposals: Proposals that leave it.
        rpn_nms_iou: Overlap from which the RPN's NMS drops a box.
        rpn_box_std: Scale of the RPN's box deltas `(dx, dy, dw, dh)`.
        box_std: Scale of the box head's.
        roi_canonical_size: A RoI of this size (square root of area, pixels) is pooled from the level of
            stride 16. The paper's 224 belongs to pictures twice as large.
        roi_level_rounding: `down` (FPN, eq. 1) or `nearest` (Matterport `PyramidROIAlign`).
        roi_sampling: Sample points per bin and axis of boxes in pixels; the paper found no difference
            between 1 and 4 (sec. 3).
        box_pool: Bins of RoIAlign for the box head.
        mask_pool: Bins of RoIAlign for the mask head, half of the mask's size.
        box_head_units: Width of the box head's two dense layers.
        mask_head_channels: Width of the mask head's convolutions.
        mask_head_layers: Their number.
        box_passes: How often the box head looks, each time at the boxes of the time before, as in iterative
            box regression (arXiv:1505.01749, sec. 5; Cascade R-CNN, arXiv:1712.00726, uses a head a stage).
        refined_rois: RoIs that it looks at again, the best of the time before; all of them when None.
        own_last_look: Whether the last look, which gives the scores, has a box head of its own, as a stage of
            Cascade R-CNN has; else all looks share one.
        class_names: Foreground classes.
        background_wins: Whether a RoI is dropped whose likeliest class is the background (Matterport
            `refine_detections_graph`).
        keep_empty_rois: Whether the zeros that stand for missing proposals are classified as RoIs, too (as
            there).
        detections: Most detections per picture.
        detection_nms_iou: Overlap from which the final NMS drops a detection.
        mask_border: `repeat`: past a mask's outer cells their values go on; `zero`: they fade out (Matterport
            `utils.unmold_mask`).
        mask_quality_power: Power of the mask's expected overlap by which a score is multiplied; 0 for the box
            head's own score. See `scores`.
        calibration: Slope and offset of the line over a score's logit that makes it a probability (Platt
            scaling; Guo et al., 2017, arXiv:1706.04599); None leaves the scores as they are.
        min_confidence: Score from which a detection counts by default.
        min_confidence_low: The same where little is to be found, but surely (`--sensitivity low`); None when
            nobody chose it.
        min_confidence_high: The same where much is to be found (`--sensitivity high`).
    """

    name: str = "mobilenet_v2_fpn"
    image_size: tuple[int, int] = (384, 640)
    letterbox: str = "corner"
    min_side: int = 0
    min_scale: float = 0.0
    pixel_scale: float = 127.5
    pixel_offset: tuple[float, float, float] = (1.0, 1.0, 1.0)
    backbone: str = "mobilenet_v2"
    strides: tuple[int, ...] = (4, 8, 16, 32, 64)
    separable: bool = True
    fpn_channels: int = 96
    rpn_channels: int | None = None
    box_units: str = "pixels"
    anchor_sizes: tuple[float, ...] = (14.0, 28.0, 56.0, 112.0, 224.0)
    anchor_ratios: tuple[float, ...] = (0.3, 0.6, 1.1)
    anchor_centre: float = 0.5
    pre_nms: int = 400
    proposals: int = 128
    rpn_nms_iou: float = 0.6
    rpn_box_std: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    box_std: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    roi_canonical_size: float = 112.0
    roi_level_rounding: str = "down"
    roi_sampling: int = 1
    box_pool: int = 7
    mask_pool: int = 14
    box_head_units: int = 384
    mask_head_channels: int = 96
    mask_head_layers: int = 3
    box_passes: int = 3
    refined_rois: int | None = 64
    own_last_look: bool = False
    class_names: tuple[str, ...] = DEFAULT_CLASS_NAMES
    background_wins: bool = False
    keep_empty_rois: bool = False
    detections: int = 50
    detection_nms_iou: float = 0.4
    mask_border: str = "repeat"
    mask_quality_power: float = 0.0
    calibration: tuple[float, float] | None = None
    min_confidence: float = 0.5
    min_confidence_low: float | None = None
    min_confidence_high: float | None = None

    def __post_init__(self) -> None:
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ModelError(f"{field} is {getattr(self, field)!r}, expected {' or '.join(choices)}.")
        if self.calibration is not None and not self.calibration[0] > 0.0:
            raise ModelError(f"calibration is {self.calibration}, expected a slope above 0 and an offset.")

    @property
    def sensitivities(self) -> dict[str, float]:
        """Return the score thresholds that were chosen, by the name of the sensitivity."""
        given = {
            "low": self.min_confidence_low,
            "normal": self.min_confidence,
            "high": self.min_confidence_high,
        }
        return {name: confidence for name, confidence in given.items() if confidence is not None}

    @property
    def num_classes(self) -> int:
        """Return the number of classes, background included."""
        return len(self.class_names) + 1

    def save(self, folder: Path) -> None:
        """Write `config.json`."""
        with replacing(folder / "config.json") as whole:
            whole.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "MaskRCNNConfig":
        """Read `config.json`.

        Raises:
            ModelError: The file is missing, is not JSON, or holds other fields than these.
        """
        path = folder / "config.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise ModelError(
                f"{folder} is no model folder: it has no config.json.",
                "Name a folder that `pothole train`, `pothole export` or `pothole import` wrote.",
            ) from exc
        except (OSError, ValueError, RecursionError) as exc:
            raise ModelError(f"{path} cannot be read: {reason(exc)}.", "Copy the model folder anew.") from exc
        if not isinstance(values, dict):
            raise ModelError(f"{path} is not a JSON object.", "Copy the model folder anew.")
        unknown = values.keys() - {f.name for f in fields(cls)}
        if unknown:
            raise ModelError(f"{path} has unknown fields: {', '.join(sorted(unknown))}.")
        fixed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fixed)

"""An operation holds what users of Matterport's code wrote into a subclass of `mrcnn.config.Config`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pothole.errors import ConfigError, reason

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Positive = Annotated[float, Field(gt=0, le=10_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Four = tuple[Positive, Positive, Positive, Positive]

FOR_TRAINING = {
    "BATCH_SIZE",
    "COMPUTE_BACKBONE_SHAPE",
    "GPU_COUNT",
    "GRADIENT_CLIP_NORM",
    "IMAGES_PER_GPU",
    "IMAGE_META_SIZE",
    "IMAGE_SHAPE",
    "LEARNING_MOMENTUM",
    "LEARNING_RATE",
    "LOSS_WEIGHTS",
    "MASK_SHAPE",
    "MAX_GT_INSTANCES",
    "MINI_MASK_SHAPE",
    "POST_NMS_ROIS_TRAINING",
    "ROI_POSITIVE_RATIO",
    "RPN_TRAIN_ANCHORS_PER_IMAGE",
    "STEPS_PER_EPOCH",
    "TRAIN_BN",
    "TRAIN_ROIS_PER_IMAGE",
    "USE_MINI_MASK",
    "USE_RPN_ROIS",
    "VALIDATION_STEPS",
    "WEIGHT_DECAY",
}
"""Names of `Config` on which no answer depends any more. A file may have them; they are left out."""


class Operation(BaseModel):
    """An operation has the names and defaults of `mrcnn/config.py`, and `CLASS_NAMES`.

    What the weights say themselves (`BACKBONE`, `NUM_CLASSES`, the sizes of the heads) need not be given;
    where it is, it has to agree with them.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    NAME: Name | None = None
    CLASS_NAMES: tuple[Name, ...] | None = None
    BACKBONE: Literal["resnet50", "resnet101"] | None = None
    NUM_CLASSES: Count | None = None
    TOP_DOWN_PYRAMID_SIZE: Count | None = None
    FPN_CLASSIF_FC_LAYERS_SIZE: Count | None = None
    POOL_SIZE: Count | None = None

    IMAGE_RESIZE_MODE: Literal["square"] = "square"
    IMAGE_MIN_DIM: Annotated[int, Field(ge=0, le=4096)] | None = 800
    IMAGE_MAX_DIM: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 1024
    IMAGE_MIN_SCALE: Annotated[float, Field(ge=0, le=100)] | None = 0.0
    IMAGE_CHANNEL_COUNT: Literal[3] = 3
    MEAN_PIXEL: tuple[float, float, float] = (123.7, 116.8, 103.9)

    BACKBONE_STRIDES: tuple[Literal[4], Literal[8], Literal[16], Literal[32], Literal[64]] = (
        4,
        8,
        16,
        32,
        64,
    )
    RPN_ANCHOR_SCALES: tuple[Positive, Positive, Positive, Positive, Positive] = (32, 64, 128, 256, 512)
    RPN_ANCHOR_RATIOS: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=20)] = (0.5, 1, 2)
    RPN_ANCHOR_STRIDE: Literal[1] = 1
    RPN_BBOX_STD_DEV: Four = (0.1, 0.1, 0.2, 0.2)
    RPN_NMS_THRESHOLD: Share = 0.7
    PRE_NMS_LIMIT: Count = 6000
    POST_NMS_ROIS_INFERENCE: Count = 1000

    MASK_POOL_SIZE: Annotated[int, Field(ge=1, le=64)] = 14
    BBOX_STD_DEV: Four = (0.1, 0.1, 0.2, 0.2)
    DETECTION_MAX_INSTANCES: Count = 100
    DETECTION_MIN_CONFIDENCE: Share = 0.7
    DETECTION_NMS_THRESHOLD: Share = 0.3


def read_operation(path: Path | None, changes: dict[str, Any]) -> Operation:
    """Read a JSON object of upstream's names, or take its defaults, and apply changes to it.

    Raises:
        ConfigError: The file cannot be read, or a name or value is none that is known here.
    """
    where = str(path or "The configuration")
    try:
        values = json.loads(path.read_text()) if path else {}
    except (OSError, ValueError, RecursionError) as exc:
        raise ConfigError(f"{where} cannot be read: {reason(exc)}.") from exc
    if not isinstance(values, dict):
        raise ConfigError(f"{where} is not a JSON object.", hint='Write {"IMAGE_MAX_DIM": 1024, …}.')
    kept = {name: value for name, value in values.items() if name not in FOR_TRAINING} | changes
    try:
        return Operation.model_validate_json(json.dumps(kept))
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        field = str(error["loc"][0])
        if error["type"] == "extra_forbidden":
            raise ConfigError(
                f"{where}: {field} is not a name of mrcnn/config.py that is known here.",
                hint=f"Known are {', '.join(Operation.model_fields)}.",
            ) from exc
        raise ConfigError(f"{where}: {field} is {json.dumps(kept[field])[:60]}: {error['msg']}.") from exc

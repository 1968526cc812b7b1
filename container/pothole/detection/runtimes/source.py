"""An export tells by a digest what it was made from."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from pothole.detection.mask_rcnn.config import WEIGHTS, MaskRCNNConfig
from pothole.errors import ModelError, reason

NOT_IN_GRAPH = (  # may be changed without a new export
    *("name", "mask_quality_power", "calibration"),
    *("min_confidence", "min_confidence_low", "min_confidence_high"),
    "own_last_look",  # may not, but the digest of the weights tells
)


def source_digest(folder: Path) -> str:
    """Return a digest of the weights and of the configuration, as far as it shapes the network.

    Raises:
        ModelError: One of them cannot be read.
    """
    config = asdict(MaskRCNNConfig.load(folder))
    shape = {key: value for key, value in config.items() if key not in NOT_IN_GRAPH}
    digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
    try:
        with (folder / WEIGHTS).open("rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
    except OSError as exc:
        raise ModelError(
            f"{folder / WEIGHTS} cannot be read: {reason(exc)}.", "Copy the model folder anew."
        ) from exc
    return digest.hexdigest()

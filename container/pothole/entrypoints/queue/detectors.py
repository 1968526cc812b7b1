"""The detectors that look at the videos of a queue: the server's model, and others that lie beside it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from pothole.detection.combined import CombinedDetector
from pothole.detection.detector import Detector
from pothole.detection.lock import SharedDetector
from pothole.detection.registry import CONFIGURATION
from pothole.entrypoints.queue.variables import MAIN_DETECTOR, Detection
from pothole.errors import ConfigError
from pothole.files import folder_digest
from pothole.metrics import Metrics
from pothole.settings import Settings


def load_detectors(
    detection: Detection, settings: Settings, load_detector: Callable[[Path], Detector], metrics: Metrics
) -> tuple[Detector, str]:
    """Load what looks at the videos, each detector with a lock of its own around it.

    Args:
        detection: Names the detectors.
        settings: Where they are.
        load_detector: Loads a model folder.
        metrics: Get the times that the detectors take.

    Returns:
        What looks, and a digest of it: another choice makes other outputs.

    Raises:
        ConfigError: One is named that is not there.
        ModelError: One cannot be loaded, or two find the same class.
    """
    folders = [_folder(name, settings) for name, _ in detection.detectors]
    shared = [SharedDetector(load_detector(folder), metrics) for folder in folders]
    digests = [folder_digest(folder) for folder in folders]
    if len(shared) == 1:
        return shared[0], digests[0]
    scores = [options.min_detection_score for _, options in detection.detectors]
    told = json.dumps(list(zip(digests, scores, strict=True)))
    return CombinedDetector(shared, scores), hashlib.sha256(told.encode()).hexdigest()[:32]


def _folder(name: str, settings: Settings) -> Path:
    """Return the model folder of a detector."""
    if name == MAIN_DETECTOR:
        return settings.model_dir
    others = {path.parent.name: path.parent for path in settings.detectors_dir.glob(f"*/{CONFIGURATION}")}
    if name not in others:
        raise ConfigError(
            f"There is no detector {name!r}.",
            hint=f"Known are {', '.join([MAIN_DETECTOR, *sorted(others)])}; others are model folders in "
            f"DETECTORS_DIR, {settings.detectors_dir}.",
        )
    return others[name]

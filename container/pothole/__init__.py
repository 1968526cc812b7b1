"""This package marks the potholes of road videos with a Mask R-CNN. Read `job.run_job` first.

The names of `__all__` are for users. They are imported when they are asked for, so that `import pothole` is
fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pothole.detection.registry import load_detector
    from pothole.detections import Detections
    from pothole.entrypoints.python import mark
    from pothole.job import run_job
    from pothole.job_order import Job
    from pothole.media import Video
    from pothole.settings import Settings

__version__ = "0.1.0"
__all__ = ["Detections", "Job", "Settings", "Video", "load_detector", "mark", "run_job"]

_HOMES = {
    "Detections": "pothole.detections",
    "Job": "pothole.job_order",
    "Settings": "pothole.settings",
    "Video": "pothole.media",
    "load_detector": "pothole.detection.registry",
    "mark": "pothole.entrypoints.python",
    "run_job": "pothole.job",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pothole' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""The application as in production, but for a model that is never loaded."""

import os
import threading
from pathlib import Path

from pothole.detection.detector import Detector
from pothole.entrypoints.http.app import create_app
from pothole.settings import Settings


def load_for_ever(model_dir: Path) -> Detector:
    """Wait for what does not come."""
    threading.Event().wait()
    raise AssertionError("unreachable")


app = create_app(Settings.from_env(os.environ), load_for_ever)

"""The application as in production, but for a detector that sees magenta, ten pictures a second."""

import os
import time
from collections.abc import Sequence
from typing import Any

from pothole.detections import Detections
from pothole.entrypoints.http.app import create_app
from pothole.settings import Settings
from pothole.types import Image
from support.fakes import MagentaDetector


class PatientDetector(MagentaDetector):
    """Takes a tenth of a second for each picture."""

    def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
        time.sleep(0.1 * len(images))
        return super().predict(images, *args, **kwargs)


app = create_app(Settings.from_env(os.environ), lambda model_dir: PatientDetector())

"""The application as in production, but for a detector that sees magenta, and little patience with S3."""

import os
import time
from collections.abc import Sequence
from typing import Any

from pothole.detections import Detections
from pothole.entrypoints.http.app import create_app
from pothole.settings import Settings
from pothole.storage import s3
from pothole.types import Image
from support.fakes import MagentaDetector

s3.ATTEMPTS = 2


class PatientDetector(MagentaDetector):
    """Takes half a second for each picture, in which S3 may fail."""

    def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
        time.sleep(0.5 * len(images))
        return super().predict(images, *args, **kwargs)


app = create_app(Settings.from_env(os.environ), lambda model_dir: PatientDetector())

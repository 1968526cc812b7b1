"""The application as in production, but for a detector that sees magenta and takes its time."""

import time
from collections.abc import Sequence
from typing import Any

from fakes import MagentaDetector
from pothole.detections import Detections
from pothole.detector import Image
from pothole.serving.app import create_app
from pothole.settings import Settings


class SlowDetector(MagentaDetector):
    """Takes 3 s for each picture."""

    def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
        time.sleep(3 * len(images))
        return super().predict(images, *args, **kwargs)


app = create_app(Settings.from_env(), lambda model_dir: SlowDetector())

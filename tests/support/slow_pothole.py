"""`pothole` with a detector that sees magenta and takes LOOK_SECONDS for a picture."""

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

from pothole.detections import Detections
from pothole.entrypoints.cli import common, local_jobs, main
from pothole.types import Image
from support.fakes import MagentaDetector


class SlowDetector(MagentaDetector):
    """Takes its time for each picture."""

    def predict(self, images: Sequence[Image], *args: Any, **kwargs: Any) -> list[Detections]:
        time.sleep(float(os.environ["LOOK_SECONDS"]) * len(images))
        return super().predict(images, *args, **kwargs)


_load_detector = common.load_detector
common.load_detector = lambda folder, runtime: (  # type: ignore[assignment]
    _load_detector(folder, runtime) if (folder / "detector.json").is_file() else SlowDetector()
)
local_jobs.LEASE_S = 1
# A shell lets what it starts in the background ignore SIGINT, and tests so started could stop nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
main.main()

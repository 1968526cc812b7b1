"""Samples of what the model sees are published, so that people look at them and the model learns from them.

A sample is a picture with what was found on it: those that the model is unsure of, and a small share of all,
which tell what it is sure of and mistaken. They go to a topic of SNS in a thread of their own: nobody waits
for them, and where the topic does not take them they are dropped, and logged.
"""

import base64
import json
import logging
import math
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Self

import boto3
import cv2
import numpy as np
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pothole.detection.detector import DOUBTFUL, Detector, uncertainty
from pothole.detections import Detections
from pothole.media.picture import encode_picture
from pothole.settings import Settings
from pothole.types import Image

MAX_WAITING = 20  # of up to 5 MB each
CLOSE_S = 5.0
# SNS takes 256 KB, in which a picture stands as text, a third longer.
MAX_PICTURE_BYTES = 150_000
LONGEST_SIDE = 1280
QUALITIES = (90, 75, 60, 45)
THOUSAND = 1000
_logger = logging.getLogger("pothole.samples")


class SamplePublisher:
    """A sample publisher chooses pictures and publishes them.

    Args:
        topic: ARN of the topic.
        per_thousand: Pictures in a thousand that are samples whatever is on them.
        client: Of SNS.
        dice: Chooses.
    """

    def __init__(self, topic: str, per_thousand: int, client: Any, dice: random.Random | None = None) -> None:
        self._topic, self._per_thousand, self._client = topic, per_thousand, client
        self._dice = dice or random.Random()  # noqa: S311  # no secret
        self._ends = math.inf
        self._room = threading.BoundedSemaphore(MAX_WAITING)
        self._thread = ThreadPoolExecutor(1, "samples")

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the publisher that settings ask for; None where they name no topic."""
        if not settings.samples_topic:
            return None
        config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
        client = boto3.client("sns", region_name=settings.s3_region or None, config=config)
        return cls(settings.samples_topic, settings.samples_per_thousand, client)

    def consider(self, image: Image, found: Detections, detector: Detector) -> None:
        """Publish a picture if it is worth it; does not wait, and raises nothing.

        Args:
            image: `(height, width, 3)` uint8 RGB; may be changed afterwards.
            found: What is on it, from `DOUBTFUL` times the confidence on.
            detector: Found it.
        """
        doubt = max(
            (uncertainty(float(score), detector.min_confidence) for score in found.scores), default=0.0
        )
        by_chance = self._dice.random() * THOUSAND < self._per_thousand
        if not (doubt >= DOUBTFUL or by_chance):
            return
        if not self._room.acquire(blocking=False):
            _logger.warning("a sample was dropped: %d wait already", MAX_WAITING)
            return
        about = {
            "id": str(uuid.uuid4()),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": detector.name,
            "reason": "unsure" if doubt >= DOUBTFUL else "share",
            "uncertainty": round(doubt, 4),
            "score": round(float(found.scores.max(initial=0.0)), 4),
            "image": {"width": image.shape[1], "height": image.shape[0]},
        }
        self._thread.submit(self._publish, about, found, _shrunk(image))

    def close(self) -> None:
        """Publish what waits, and drop what does not go within some seconds."""
        self._ends = time.monotonic() + CLOSE_S
        self._thread.shutdown()

    def _publish(self, about: dict[str, Any], found: Detections, image: Image) -> None:
        try:
            if time.monotonic() > self._ends:
                _logger.warning("a sample was dropped: the server ends")
                return
            picture = base64.b64encode(_coded(image)).decode()
            sample = about | {"predictions": found.to_json(), "picture": picture}
            self._client.publish(TopicArn=self._topic, Message=json.dumps(sample))
        except (ClientError, BotoCoreError) as exc:
            _logger.warning("a sample was dropped: %s", exc)
        finally:
            self._room.release()


def _shrunk(image: Image) -> Image:
    """Return a copy of a picture that is no larger than a sample needs it, so that many may wait."""
    scale = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.array(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _coded(image: Image) -> bytes:
    """Return a picture as a JPEG that a message can hold, made smaller where it has to be."""
    while True:
        for quality in QUALITIES:
            coded = encode_picture(image, "image/jpeg", quality)
            if len(coded) <= MAX_PICTURE_BYTES:
                return coded
        half = max(1, image.shape[1] // 2), max(1, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)

"""The model in this process looks at pictures of streams, and the tracker follows potholes through them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice

import cv2
import numpy as np

from pothole.detection.detector import Detector
from pothole.detections import Detections
from pothole.entrypoints.stream.inference import Answer
from pothole.media.picture import encode_picture
from pothole.tracking.observation import Observation
from pothole.tracking.optical_flow import View
from pothole.tracking.tracker import Tracker
from pothole.types import Image, Size

# A camera that stands shows the same road in pictures that are minutes apart, and one that drives another
# road after a second. Motion tells which it is; the tracker's own limits of time would part them too soon.
STEP = Fraction(1, 2)  # seconds that the tracker is told to be between two pictures, whatever they are
MAX_PICTURES = 2000  # that one tracker sees, which keeps all it has seen


@dataclass(frozen=True)
class Body:
    """A body is what is kept of a picture.

    Attributes:
        image: The picture as small as the detector wants it.
        size: How large it was.
        view: What optical flow sees of it.
    """

    image: Image
    size: Size
    view: View


@dataclass(frozen=True)
class Seen:
    """This was seen in a picture.

    Attributes:
        body: The picture.
        found: Its potholes.
    """

    body: Body
    found: Detections


class LocalDetector:
    """A local detector looks at pictures as an endpoint does, and answers as one of ours.

    To its answers each object's `new` is added: whether no earlier picture of the stream showed it.

    Args:
        detector: Does the work, and may be called from several threads.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def prepare(self, picture: Image) -> Body:
        """See `Predictor.prepare`."""
        size = picture.shape[0], picture.shape[1]
        height, width = self._detector.input_size(size)
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        return Body(np.asarray(small, np.uint8), size, View.of(np.asarray(luma, np.uint8)))

    def size(self, body: Body) -> int:
        """See `Predictor.size`."""
        return body.image.nbytes + body.view.grey.nbytes

    def coded(self, body: Body) -> bytes:
        """See `Predictor.coded`."""
        return encode_picture(body.image, "image/jpeg")

    def predict(self, body: Body, deadline: float) -> Seen:
        """See `Predictor.predict`."""
        return Seen(body, self._detector.predict([body.image], sizes=[body.size])[0])

    def follow(self, seen: Iterable[Seen]) -> Iterator[Answer]:
        """See `Predictor.follow`: a picture with a pothole that may yet be none waits for the next one."""
        pictures, before = iter(seen), 0
        for first in pictures:
            tracker = Tracker(min_confidence=self._detector.min_confidence)
            known: set[int] = set()
            some = enumerate(chain([first], islice(pictures, MAX_PICTURES - 1)))
            for tracked in tracker.track(
                Observation(index, index * STEP, picture.body.size, picture.body.view, picture.found)
                for index, picture in some
            ):
                told = tracked.detections.picture_json()
                for potholes in told["output"]:
                    potholes["new"] = potholes["track_id"] not in known
                    known.add(potholes["track_id"])
                    potholes["track_id"] += before
                yield Answer(json.dumps(told).encode(), sum(p["new"] for p in told["output"]))
            before += tracker.count

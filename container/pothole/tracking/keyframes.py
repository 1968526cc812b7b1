"""Which frames the detector looks at, and how the picture moves from one to the next."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from pothole.detection.detector import Detector
from pothole.detections import Detections
from pothole.media import Frame
from pothole.tracking.optical_flow import MotionEstimator, Step
from pothole.tracking.tracker import Sighting

# Between two key frames the road may move by so much, in parts of the picture's height, ...
MOST_TRAVEL = 0.115
# ... and no more time may pass than this, so that a pothole far ahead is found when it comes into sight.
MOST_TIME = Fraction(1, 4)


@dataclass
class KeyFrames:
    """Chooses the frames that the detector looks at: the first, and then as the road moves.

    Attributes:
        interval: Every n-th frame instead, whatever happens in them; None to go by motion.
        most: Frames that fit into memory from one to the next.
    """

    interval: int | None = None
    most: int = 64

    def __post_init__(self) -> None:
        self._travel = 0.0
        self._last: Frame | None = None

    def is_key(self, frame: Frame, step: Step | None) -> bool:
        """Say whether the detector should look at a frame; to be asked of each, in order."""
        if step is not None and self.interval is None:
            self._travel += step.travel
        key = self._last is None or self._is_due(frame, self._last)
        if key:
            self.start_from(frame)
        return key

    def start_from(self, key: Frame) -> None:
        """Go on from a key frame that was looked at before."""
        self._last, self._travel = key, 0.0

    def _is_due(self, frame: Frame, last: Frame) -> bool:
        if frame.index - last.index >= min(self.interval or self.most, self.most):
            return True
        moved = self._travel >= MOST_TRAVEL or frame.time - last.time >= MOST_TIME
        return self.interval is None and moved


def watch(
    frames: Iterable[Frame],
    detector: Detector,
    keys: KeyFrames,
    min_confidence: float | None = None,
    looked: int = -1,
) -> Iterator[Sighting]:
    """Look at the frames, the key frames and the last one with the detector.

    Args:
        frames: In order.
        detector: Finds the potholes.
        keys: Chooses the key frames.
        min_confidence: Lowest score that counts; the model's own when None.
        looked: Index of a key frame up to which all was done before: it is gone on from there.
    """

    def find(frame: Frame) -> Detections:
        small = frame.rgb(detector.input_size(frame.size))
        [found] = detector.predict([small], min_confidence, [frame.size])
        return found

    motion = MotionEstimator()
    held: Sighting | None = None  # until it is known whether it is the last
    for frame in frames:
        if held:
            yield held
        step = motion.advance(frame.planes[0])
        if frame.index <= looked:
            keys.start_from(frame)
            yield Sighting(frame, None, None)
            continue
        held = Sighting(frame, step, find(frame) if keys.is_key(frame, step) else None)
    if held:
        # Not by its truth: that of no potholes is false.
        yield held if held.found is not None else Sighting(held.frame, held.step, find(held.frame))

"""Several detectors look at the same pictures, and answer as one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pothole.detection.detector import Detector, score_threshold
from pothole.detections import Detections
from pothole.errors import ModelError
from pothole.types import Image, Size


class CombinedDetector:
    """A combined detector asks several detectors, one after the other, and finds what each of them finds.

    Its class ids count on from one detector to the next. A lock, where one is needed, belongs around each
    detector and not around all, so that two jobs can be with two of them.

    Args:
        detectors: Those that are asked.
        thresholds: The score threshold of each; its own where None.

    Raises:
        ModelError: Two of them find the same class, so that nobody could tell whose an object is.
    """

    def __init__(self, detectors: Sequence[Detector], thresholds: Sequence[float | None]) -> None:
        self._parts = [
            (detector, score_threshold(detector, given))
            for detector, given in zip(detectors, thresholds, strict=True)
        ]
        self.name = " + ".join(detector.name for detector in detectors)
        self.min_confidence = min(threshold for _, threshold in self._parts)
        self.class_names = tuple(name for detector in detectors for name in detector.class_names)
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice:
            raise ModelError(
                f"Two of the detectors {self.name} find {', '.join(twice)}.", hint="Leave one of them out."
            )

    def input_size(self, size: Size) -> Size:
        """Return the largest of the sizes that the detectors ask for."""
        asked = [detector.input_size(size) for detector, _ in self._parts]
        return max(height for height, _ in asked), max(width for _, width in asked)

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """See `Detector.predict`; without `min_confidence` each detector has its own threshold."""
        answers = []
        for detector, threshold in self._parts:
            asked = threshold if min_confidence is None else min_confidence
            answer = detector.predict(images, asked, sizes)
            if len(answer) != len(images):
                raise ModelError(
                    f"The detector {detector.name!r} gave {len(answer)} answers for {len(images)} pictures."
                )
            answers.append(answer)
        return [self._joined(of_one) for of_one in zip(*answers, strict=True)]

    def _joined(self, answers: Sequence[Detections]) -> Detections:
        """Return what all detectors found in one picture."""
        class_ids, before = [], 0
        for (detector, _), found in zip(self._parts, answers, strict=True):
            class_ids.append(found.class_ids + before)
            before += len(detector.class_names)
        return replace(
            answers[0],
            boxes=np.concatenate([found.boxes for found in answers]),
            scores=np.concatenate([found.scores for found in answers]),
            masks=tuple(mask for found in answers for mask in found.masks),
            track_ids=np.concatenate([found.track_ids for found in answers]),
            class_ids=np.concatenate(class_ids),
            class_names=self.class_names,
        )

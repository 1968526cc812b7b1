"""This module measures what each stage of the job costs by itself."""

import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pothole.detection.detector import Detector
from pothole.detections import Detections
from pothole.entrypoints.cli.common import load_model
from pothole.media import SegmentWriter, Video, VideoWriter
from pothole.outputs.annotate import marked
from pothole.pipeline.waiting import WaitingFrames
from pothole.tracking.keyframes import KeyFrames, detect_key_frames
from pothole.tracking.tracker import Tracker
from pothole.types import Image, Size


class ClockedDetector:
    """A detector that adds up the CPU time it takes.

    Args:
        detector: The one that does the work.
    """

    def __init__(self, detector: Detector) -> None:
        self.name, self.min_confidence = detector.name, detector.min_confidence
        self.class_names = detector.class_names
        self.input_size = detector.input_size
        self.seconds = 0.0
        self._detector = detector

    def predict(
        self,
        images: Sequence[Image],
        min_confidence: float | None = None,
        sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """See `Detector.predict`."""
        clock = time.process_time()
        found = self._detector.predict(images, min_confidence, sizes)
        self.seconds += time.process_time() - clock
        return found


def stages(clip: Path, count: str) -> dict[str, Any]:
    """Do one stage after the other for all frames, so that none hides behind another's threads.

    Args:
        clip: The video.
        count: Number of frames, which are kept in memory.

    Returns:
        Milliseconds of CPU time, of all threads, by stage, for each frame of the video, key frame or not.
    """
    detector = ClockedDetector(load_model(None))
    costs: dict[str, float] = {}
    clock = time.process_time()

    def done(stage: str) -> None:
        nonlocal clock
        now = time.process_time()
        costs[stage], clock = 1000 * (now - clock) / len(frames), time.process_time()

    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Video.open(clip) as video:
        clock = time.process_time()
        frames = list(islice(video.frames(), int(count)))
        done("decode")
        observed = list(detect_key_frames(frames, detector, KeyFrames()))
        done("flow")
        costs["detect"] = 1000 * detector.seconds / len(frames)
        costs["flow"] -= costs["detect"]
        clock = time.process_time()
        waiting, tracker = WaitingFrames(), Tracker(len(frames))
        tracked = list(waiting.join(tracker.track(waiting.observations(observed))))
        done("track")
        drawn = [marked(frame, said.detections) for frame, said in tracked]
        done("draw")
        with VideoWriter(Path(folder, "out.mp4"), video.info, clip) as writer:
            with SegmentWriter(Path(folder, "out.nut"), video.info) as segment:
                for frame in drawn:
                    segment.write(frame)
            writer.append(Path(folder, "out.nut"))
        done("encode")
    return {"frames": len(frames), "stages": costs}

"""What each stage of the job costs by itself."""

import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from pothole.cli import load_model
from pothole.draw import draw
from pothole.tracker import Tracker
from pothole.video import Video, VideoWriter


def stages(clip: Path, count: str) -> dict[str, Any]:
    """Do one stage after the other for all frames, so that none hides behind another's threads.

    Args:
        clip: The video.
        count: Number of frames, which are kept in memory.

    Returns:
        Milliseconds of CPU time, of all threads, by stage, for each frame that it works on.
    """
    detector = load_model(None)
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
        found = [detector.predict([frame.image])[0] for frame in frames]
        done("detect")
        tracker = Tracker()
        potholes = [tracker.update(each, frame) for each, frame in zip(found, frames, strict=True)]
        done("track")
        for frame, each in zip(frames, potholes, strict=True):
            draw(frame.image, each)
        done("draw")
        with VideoWriter(Path(folder, "out.mp4"), video.info, clip) as writer:
            for frame in frames:
                writer.write(frame)
        done("encode")
    return {"frames": len(frames), "stages": costs}

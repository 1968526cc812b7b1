"""What a row's process does: `python -m speed.work NAME CLIP ... ANSWER.json`.

The clock runs from opening the video to having the whole output on the disk. The model is loaded and warm
before: starting is measured apart.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from pothole.entrypoints.cli.common import load_model
from pothole.job import run_job
from pothole.job_order import Job
from pothole.media import SegmentWriter, Video, VideoWriter
from pothole.settings import Settings
from pothole.storage import LocalStorage
from speed.clips import pictures
from speed.clock import clocked
from speed.original import original_model
from speed.stages import stages

Answer = dict[str, Any]


def job(clip: Path, *interval: str) -> Answer:
    """Do the whole job as it ships, or with a `frame_interval`."""
    return _job(clip, {"frame_interval": int(interval[0])} if interval else {})


def job_smart(clip: Path) -> Answer:
    """Do the whole job, and code anew only what carries a mark."""
    return _job(clip, {"render": "smart"})


def job_json(clip: Path) -> Answer:
    """Do the job without the marked video: nothing is drawn or encoded."""
    return _job(clip, {"outputs": ("json",)})


def _job(clip: Path, given: dict[str, Any]) -> Answer:
    settings = Settings.from_env(os.environ)
    detector = load_model(None)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        task = Job(str(clip.absolute().parent), clip.name, is_live=True, output_bucket=folder, **given)
        with clocked() as answer:
            result = run_job(task, detector, lambda bucket: LocalStorage(Path(bucket)), settings)
        [report] = [Path(output) for output in result.outputs if output.endswith(".json")]
        copied = json.loads(report.read_text())["video"]["copied_frames"]
        return answer | {"frames": result.frames, "potholes": result.potholes, "copied_frames": copied}


def transcode(clip: Path) -> Answer:
    """Decode, encode and copy the audio as the job does, and nothing else: what bounds it."""
    frames = 0
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        clocked() as answer,
        Video.open(clip) as video,
        VideoWriter(Path(folder, "out.mp4"), video.info, clip) as writer,
    ):
        with SegmentWriter(Path(folder, "out.nut"), video.info) as segment:
            for frame in video.frames():
                segment.write(frame)
                frames += 1
        writer.append(Path(folder, "out.nut"))
    return answer | {"frames": frames}


def decode(clip: Path) -> Answer:
    """Decode as the job does, and nothing else."""
    with clocked() as answer, Video.open(clip) as video:
        frames = sum(1 for _ in video.frames())
    return answer | {"frames": frames}


def detect(clip: Path, count: str) -> Answer:
    """Run the detector alone, on frames that are in memory."""
    detector = load_model(None)
    images = pictures(clip, int(count))
    detector.predict(images[:1])
    with clocked() as answer:
        for image in images:
            detector.predict([image])
    return answer | {"frames": len(images)}


def opencv(clip: Path) -> Answer:
    """Decode and encode with OpenCV as its tutorials do: MPEG-4 Part 2, no audio."""
    frames = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, clocked() as answer:
        source = cv2.VideoCapture(str(clip))
        size = (int(source.get(cv2.CAP_PROP_FRAME_WIDTH)), int(source.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        code = cv2.VideoWriter.fourcc(*"mp4v")
        target = cv2.VideoWriter(str(Path(folder, "out.mp4")), code, source.get(cv2.CAP_PROP_FPS), size)
        while True:
            read, image = source.read()
            if not read:
                break
            target.write(image)
            frames += 1
        target.release()
        source.release()
    return answer | {"frames": frames}


WORK: dict[str, Callable[..., Answer]] = {
    f.__name__: f
    for f in (job, job_smart, job_json, transcode, decode, detect, opencv, original_model, stages)
}


def main() -> None:
    """Run the command line."""
    name, clip, *arguments, answer = sys.argv[1:]
    Path(answer).write_text(json.dumps(WORK[name](Path(clip), *arguments)))


if __name__ == "__main__":
    main()

"""This is the front door for Python: `from pothole import mark`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pothole.detection.detector import Detector
from pothole.detection.registry import load_detector
from pothole.files import private_folder
from pothole.geo.plane import Camera
from pothole.job import run_job
from pothole.job_order import Job
from pothole.job_result import JobResult, Progress
from pothole.media.smart.plan import Render
from pothole.outputs.registry import DEFAULT_OUTPUTS
from pothole.settings import SHIPPED_MODEL, Settings
from pothole.storage import open_own_folder


def mark(
    video: Path | str,
    output_dir: Path | str | None = None,
    *,
    detector: Detector | None = None,
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS,
    frame_interval: int | None = None,
    min_confidence: float | None = None,
    track: Path | str | None = None,
    track_offset_s: float | None = None,
    camera: Camera | None = None,
    render: Render = Job.render,
    settings: Settings | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> JobResult:
    """Mark the potholes of a local video.

    Args:
        video: The file, or a folder of pictures in order.
        output_dir: Where the outputs go; beside the video when None.
        detector: Finds the potholes; the shipped model when None, which then is loaded for this call.
        outputs: What to make: names of `pothole.outputs.registry.OUTPUTS`.
        frame_interval: Detect on every n-th frame; as the road moves when None.
        min_confidence: Score threshold, 0..1; the model's own when None.
        track: GPX, NMEA or CSV file that says where the camera was; what the video itself says when None.
        track_offset_s: Seconds by which its positions are moved to later; found by itself when None.
        camera: What is known of the camera.
        render: "smart" copies what carries no mark, where the source allows it; "full" codes all anew.
        settings: Limits; the defaults when None.
        on_progress: Called after each frame; what it raises ends the work.

    Returns:
        What was found; `tracks` has a record per pothole.

    Raises:
        PotholeError: The video cannot be read, or an output cannot be written.
        Exception: Whatever a detector of your own or `on_progress` raises. Nothing is left in either case.
    """
    source = Path(video).absolute()
    positions = Path(track).absolute() if track else None
    job = Job(
        source_bucket=str(source.parent),
        source_key=source.name + ("/" if source.is_dir() else ""),
        is_live=True,
        frame_interval=frame_interval,
        min_confidence=min_confidence,
        output_bucket=str(Path(output_dir).absolute()) if output_dir else None,
        outputs=outputs,
        track=positions.name if positions else None,
        track_bucket=str(positions.parent) if positions else None,
        track_offset_s=track_offset_s,
        camera=camera,
        render=render,
    )
    detector = detector or load_detector(SHIPPED_MODEL)
    settings = settings or Settings()
    with private_folder(settings.temp_dir, "pothole-mark-") as folder:
        return run_job(job, detector, open_own_folder, replace(settings, temp_dir=folder), on_progress)

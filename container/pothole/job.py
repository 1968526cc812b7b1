"""The main job makes of a road video the same video with its potholes marked, and data about them.

Read this first: `run_job` is the whole of it, a stage a line.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from pothole.detection.detector import Detector, score_threshold
from pothole.errors import RequestError
from pothole.geo.flow import FlowMeter
from pothole.geo.plane import Camera
from pothole.job_order import Job
from pothole.job_result import JobResult, Progress
from pothole.media import Video
from pothole.media.limits import check_frames, check_length, check_time
from pothole.media.sequence import PictureSequence
from pothole.media.smart.plan import Rendering
from pothole.outputs.registry import OUTPUTS
from pothole.outputs.sightings import SightingsSink
from pothole.outputs.sink import Sink, Source, Summary
from pothole.outputs.video import VideoSink
from pothole.pipeline.prefetch import Stages
from pothole.pipeline.segments import Checkpoints, Counts, NoCheckpoints, mark, write_segments
from pothole.pipeline.source import fetch_source, fetch_track, work_folder
from pothole.pipeline.waiting import WaitingFrames
from pothole.settings import Settings
from pothole.storage import (
    Publish,
    Storage,
    check_disk,
    publishing_at_once,
)
from pothole.tracking.keyframes import KeyFrames, detect_key_frames
from pothole.tracking.tracker import Tracker
from pothole.tracking.tracks import Track

MAX_PREFETCHED = 16  # frames that wait between two stages
MAX_PREFETCHED_BYTES = 2**25  # bytes of the frames that wait between two stages
MAX_WAITING_BYTES = 2**27  # bytes of frames between two key frames, and of those that wait for the tracker


def run_job(
    job: Job,
    detector: Detector,
    open_store: Callable[[str], Storage],
    settings: Settings,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    publishing: Callable[[], AbstractContextManager[Publish]] = publishing_at_once,
    checkpoints: Checkpoints | None = None,
) -> JobResult:
    """Mark the potholes of one video.

    Frames stream through, each stage in a thread of its own, so memory does not grow with the video, and come
    out in segments, each a checkpoint. Nothing is published before all is done, and the marked video last:
    where it is, everything is.

    Args:
        job: What to do.
        detector: Finds the potholes.
        open_store: Opens a bucket.
        settings: Limits, and the folder for temporary files.
        on_progress: Called after each frame; what it raises ends the job.
        publishing: Entered when all is done; gives what publishes an output, and what it raises ends the job.
        checkpoints: Where segments are kept; nowhere when None.

    Raises:
        PotholeError: See `Storage`, `Video`, `VideoWriter` and `Checkpoints`.
    """
    started = time.monotonic()
    inputs, outputs = open_store(job.source_bucket), open_store(job.output_bucket or job.source_bucket)
    with work_folder(inputs, job.source_key, settings) as folder:
        file, pictures = fetch_source(inputs, job.source_key, job.source_version, folder, settings)
        with Video.open(
            file, settings.max_image_pixels, job.video_stream, job.deinterlace, pictures.remarks
        ) as video:
            source = _source(job, file, pictures, video, detector, inputs, outputs)
            with _open_sinks(job, source, folder) as sinks:
                sightings = _sightings(job, open_store, video, file, pictures, folder)
                recording = sinks | ({"sightings": sightings} if sightings else {})
                kept = checkpoints or NoCheckpoints()
                summary, tracks = _mark(
                    job, source, video, detector, recording, kept, folder, settings, on_progress
                )
                located = sightings.located(video) if sightings else None
                for sink in sinks.values():
                    sink.finish(summary, tracks, video, located)
        with publishing() as publish:
            for output in reversed(job.outputs):
                kind = OUTPUTS[output]
                publish(outputs, _path(output, folder), job.output_key(output), kind.content_type)
    return JobResult(
        outputs=tuple(outputs.address(job.output_key(o)) for o in job.outputs),
        frames=summary.frames,
        potholes=summary.potholes,
        frames_with_potholes=summary.frames_with_potholes,
        seen_once=summary.seen_once,
        seconds=time.monotonic() - started,
        missing_frames=video.missing_frames,
        warning=video.decode_warning,
        tracks=tuple(tracks),
    )


def _sightings(
    job: Job,
    open_store: Callable[[str], Storage],
    video: Video,
    file: Path,
    pictures: PictureSequence,
    folder: Path,
) -> SightingsSink | None:
    """Return what records where potholes are; None when nothing is known of the camera or its way."""
    store = open_store(job.track_bucket or job.source_bucket)
    gps = fetch_track(store, job.track, job.track_offset_s, video, file, pictures, folder)
    maps = [output for output in job.outputs if OUTPUTS[output].needs_track]
    if gps is None and maps:
        raise RequestError(
            f"Nothing says where the camera was, so that there is no map for {', '.join(maps)}.",
            hint="Name a track of positions, or leave it out of outputs.",
        )
    if gps is None and job.camera is None:
        return None
    return SightingsSink(video.info.rate, gps, job.camera or Camera(), job.track_offset_s is None)


def _mark(
    job: Job,
    source: Source,
    video: Video,
    detector: Detector,
    sinks: Mapping[str, Sink],
    checkpoints: Checkpoints,
    folder: Path,
    settings: Settings,
    on_progress: Callable[[Progress], None],
) -> tuple[Summary, list[Track]]:
    """Decode, detect, track, mark and write, each stage ahead of the next; return what was found."""
    if job.is_live:
        check_length(video.info, settings)
    began = time.monotonic()
    start = checkpoints.resume(sinks, folder)
    depth = video.info.frames_in(MAX_PREFETCHED_BYTES, MAX_PREFETCHED)
    held = video.info.frames_in(MAX_WAITING_BYTES, settings.max_held_frames)
    key_frames, waiting = KeyFrames(job.frame_interval, held), WaitingFrames(start.released)
    threshold = score_threshold(detector, job.min_confidence)
    plan, counts = source.rendering.plan, Counts()
    tracker = Tracker(held, settings.segment_s, start, threshold, plan.begins if plan else None)
    total = video.info.frame_count if job.is_live else None
    draws = any(OUTPUTS[output].draws for output in job.outputs)
    meter = FlowMeter(video.info.rate) if "sightings" in sinks else None

    def tell(frames: int) -> None:
        check_time(time.monotonic() - began, settings)
        check_frames(video.info, frames, settings)
        check_disk(settings)
        on_progress(Progress(frames, total, tracker.count, start.released))

    with Stages() as stages:
        decoded = video.frames(job.until, start.first, lambda: tell(start.released))
        frames = stages.prefetch(decoded, depth)
        detected = detect_key_frames(
            frames, detector, key_frames, job.min_confidence, start.last_key_frame, settings.batch_size
        )
        observed = waiting.observations(stages.prefetch(detected, depth))
        tracked = waiting.join(tracker.track(observed))
        marks = stages.prefetch(mark(tracked, draws, job.short_labels, meter), depth)
        segments = stages.prefetch(write_segments(marks, sinks, folder, tell), 1)
        for segment in checkpoints.save(segments):
            counts += segment.counts
            for output, sink in sinks.items():
                sink.append(segment.parts[output])
    tracks = tracker.tracks()
    summary = Summary(
        potholes=len(tracks),
        detections=counts.detections,
        frames=counts.frames,
        frames_with_potholes=counts.frames_with_potholes,
        seen_once=tracker.uncounted,
        copied_frames=sum(sink.copied_frames for sink in sinks.values() if isinstance(sink, VideoSink)),
    )
    return summary, tracks


@contextmanager
def _open_sinks(job: Job, source: Source, folder: Path) -> Iterator[dict[str, Sink]]:
    """Open the sinks of a job's outputs, by name; what a failure leaves of them is removed."""
    with ExitStack() as stack:
        yield {o: stack.enter_context(OUTPUTS[o].open(_path(o, folder), source)) for o in job.outputs}


def _path(output: str, folder: Path) -> Path:
    return folder / f"{output}{OUTPUTS[output].suffix}"


def _source(
    job: Job,
    file: Path,
    pictures: PictureSequence,
    video: Video,
    detector: Detector,
    inputs: Storage,
    outputs: Storage,
) -> Source:
    return Source(
        path=file,
        info=video.info,
        until=job.until,
        address=inputs.address(job.source_key),
        output=outputs.address(job.output_key("video")) if "video" in job.outputs else None,
        model=detector.name,
        min_confidence=score_threshold(detector, job.min_confidence),
        class_names=detector.class_names,
        settings=job.settings,
        pictures=pictures.taken,
        rendering=_rendering(job, file, video),
    )


def _rendering(job: Job, file: Path, video: Video) -> Rendering:
    """Decide whether pictures of a source are copied, where a marked video is made of it."""
    if "video" not in job.outputs:
        return Rendering()
    return Rendering.of(job.render, file, video.info, job.until)

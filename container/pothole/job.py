"""The main job makes of a road video the same video with its potholes marked, and data about them.

Read this first: `run_job` is the whole of it, a stage a line.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pothole.detection.detector import Detector, score_threshold
from pothole.errors import RequestError, SourceIsOutput
from pothole.files import is_output, split_key
from pothole.job_result import JobResult, Progress
from pothole.media import Video
from pothole.media.limits import check_frames, check_length
from pothole.media.sequence import PictureSequence, join_pictures
from pothole.outputs.registry import DEFAULT_OUTPUTS, OUTPUTS, chosen_outputs
from pothole.outputs.sink import Sink, Source, Summary
from pothole.pipeline.prefetch import Stages
from pothole.pipeline.segments import Checkpoints, Counts, NoCheckpoints, mark, write_segments
from pothole.pipeline.waiting import WaitingFrames
from pothole.settings import Settings
from pothole.storage import (
    Publish,
    Storage,
    check_disk,
    disk_space,
    fetch_pictures,
    publishing_at_once,
    stat_source,
)
from pothole.tracking.keyframes import KeyFrames, detect_key_frames
from pothole.tracking.tracker import Tracker
from pothole.tracking.tracks import Track

# The disk has to hold the source and the marked video, which is about as large. It also holds three segments
# at most, and those of an earlier attempt, which are deleted as the marked video grows.
COPIES = 2
MAX_PREFETCHED = 16  # frames that wait between two stages
MAX_PREFETCHED_BYTES = 2**25  # bytes of the frames that wait between two stages
MAX_WAITING_BYTES = 2**27  # bytes of frames between two key frames, and of those that wait for the tracker
SAMPLE = Fraction(1, 100)  # seconds that are marked of a video when `is_live` is false


@dataclass(frozen=True)
class Job:
    """A job says what to mark, how, and where to put it.

    Attributes:
        source_bucket: Bucket, or folder, of the video.
        source_key: Key of the video, or of a folder of pictures, with a slash at the end.
        is_live: Mark the whole video; otherwise the frames of its first 0.01 s, at least one.
        frame_interval: Detect on every n-th frame; None chooses the key frames by how the road moves.
            Potholes are followed through the others.
        min_confidence: Lowest score of a pothole, 0..1; the model's own when None.
        output_bucket: Where the outputs go; the source's bucket when None.
        output_prefix: Folder put before the outputs' keys.
        outputs: What to make, by its names in `outputs.registry`; kept in the order there.
        video_stream: Which of the file's video streams is marked, counted from 0; the first when None.
        deinterlace: Make whole pictures of interlaced ones; else they are marked as they are.
        short_labels: Leave the class out of the labels on the video where the model knows but one.
        names_preview: Name the outputs `<stem>_preview_output`, so that those of the whole video stay.
        names_extension: Name the outputs after the whole name, as in `clip.mov_output.mp4`, where those of
            another video have the short names.
        source_version: Version of the video that is meant, see `Stat`; the one that is there when None.
    """

    source_bucket: str
    source_key: str
    is_live: bool = False
    frame_interval: int | None = None
    min_confidence: float | None = None
    output_bucket: str | None = None
    output_prefix: str | None = None
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    video_stream: int | None = None
    deinterlace: bool = True
    short_labels: bool = False
    names_preview: bool = False
    names_extension: bool = False
    source_version: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", chosen_outputs(self.outputs))
        every, score = self.frame_interval, self.min_confidence
        if every is not None and not (isinstance(every, int) and every >= 1):
            raise RequestError(f"frame_interval is {every!r}, expected a whole number of 1 or more.")
        if score is not None and not (isinstance(score, int | float) and 0 <= score <= 1):
            raise RequestError(f"min_confidence is {score!r}, expected a number from 0 to 1.")
        if not split_key(self.source_key)[1]:
            raise RequestError(
                f"{self.source_key!r} names nothing.", hint="Name a video, or a folder of pictures."
            )
        if is_output(self.source_key):
            raise SourceIsOutput(
                f"{self.source_key!r} already is an output.",
                hint="Name a source; if this is one, rename it so that it does not end in '_output'.",
            )

    @property
    def is_of_pictures(self) -> bool:
        """Return whether the source is a folder of pictures."""
        return self.source_key.endswith("/")

    @property
    def until(self) -> Fraction | None:
        """Return at which second of the video to end; None for the whole of it."""
        return None if self.is_live else SAMPLE

    @property
    def settings(self) -> dict[str, Any]:
        """Return what a report says of how the work was asked for."""
        names = "is_live", "frame_interval", "video_stream", "deinterlace", "short_labels"
        return {name: getattr(self, name) for name in names}

    def output_key(self, suffix: str) -> str:
        """Return `<stem>_output<suffix>` beside the source, or below the prefix."""
        folder, name = split_key(self.source_key)
        stem = name if self.is_of_pictures or self.names_extension else name.rpartition(".")[0] or name
        if self.is_of_pictures and self.names_extension:
            stem += "_pictures"
        prefix = f"{self.output_prefix.strip('/')}/" if self.output_prefix else ""
        preview = "_preview" if self.names_preview else ""
        return f"{prefix}{folder}{stem}{preview}_output{suffix}"


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
    with _work_folder(job, inputs, settings) as folder:
        file, pictures = _fetch(job, inputs, folder, settings)
        with (
            Video.open(
                file, settings.max_image_pixels, job.video_stream, job.deinterlace, pictures.remarks
            ) as video,
            _open_sinks(job, _source(job, file, pictures, video, detector, inputs, outputs), folder) as sinks,
        ):
            summary, tracks = _mark(
                job, video, detector, sinks, checkpoints or NoCheckpoints(), folder, settings, on_progress
            )
            for sink in sinks.values():
                sink.finish(summary, tracks, video)
        with publishing() as publish:
            for output in reversed(job.outputs):
                kind = OUTPUTS[output]
                publish(outputs, _path(output, folder), job.output_key(kind.suffix), kind.content_type)
    return JobResult(
        outputs=tuple(outputs.address(job.output_key(OUTPUTS[o].suffix)) for o in job.outputs),
        frames=summary.frames,
        potholes=summary.potholes,
        frames_with_potholes=summary.frames_with_potholes,
        seen_once=summary.seen_once,
        seconds=time.monotonic() - started,
        missing_frames=video.missing_frames,
        warning=video.decode_warning,
        tracks=tuple(tracks),
    )


@contextmanager
def _work_folder(job: Job, inputs: Storage, settings: Settings) -> Iterator[Path]:
    """Make a temporary folder with room for the source and the outputs."""
    needed = COPIES * stat_source(inputs, job.source_key).size
    with (
        disk_space(settings, needed),
        tempfile.TemporaryDirectory(prefix="job-", dir=settings.temp_dir) as folder,
    ):
        yield Path(folder)


def _fetch(job: Job, inputs: Storage, folder: Path, settings: Settings) -> tuple[Path, PictureSequence]:
    """Fetch the source to this machine; a folder of pictures becomes a video file."""
    to, limit, version = folder / "source", settings.max_video_bytes, job.source_version
    if not job.is_of_pictures:
        return inputs.fetch(job.source_key, to, limit, version), PictureSequence()
    file = folder / "pictures.mov"
    pictures = fetch_pictures(inputs, job.source_key, to, limit, version)
    return file, join_pictures(pictures, file, settings.max_image_pixels)


def _mark(
    job: Job,
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
    start = checkpoints.resume(sinks, folder)
    depth = min(video.info.frames_in(MAX_PREFETCHED_BYTES), MAX_PREFETCHED)
    held = video.info.frames_in(MAX_WAITING_BYTES)
    key_frames, waiting = KeyFrames(job.frame_interval, held), WaitingFrames(start.released)
    threshold = score_threshold(detector, job.min_confidence)
    tracker, counts = Tracker(held, settings.segment_s, start, threshold), Counts()
    total = video.info.frame_count if job.is_live else None
    draws = any(OUTPUTS[output].draws for output in sinks)

    def tell(frames: int) -> None:
        check_frames(video.info, frames, settings)
        check_disk(settings)
        on_progress(Progress(frames, total, tracker.count, start.released))

    with Stages() as stages:
        decoded = video.frames(job.until, start.first, lambda: tell(start.released))
        frames = stages.prefetch(decoded, depth)
        detected = detect_key_frames(frames, detector, key_frames, job.min_confidence, start.last_key_frame)
        observed = waiting.observations(stages.prefetch(detected, depth))
        tracked = waiting.join(tracker.track(observed))
        marks = stages.prefetch(mark(tracked, draws, job.short_labels), depth)
        segments = stages.prefetch(write_segments(marks, sinks, folder, tell), 1)
        for segment in checkpoints.save(segments):
            counts += segment.counts
            for output, sink in sinks.items():
                sink.append(segment.parts[output])
    tracks = tracker.tracks()
    summary = Summary(
        len(tracks), counts.detections, counts.frames, counts.frames_with_potholes, tracker.uncounted
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
        output=outputs.address(job.output_key(OUTPUTS["video"].suffix)) if "video" in job.outputs else None,
        model=detector.name,
        min_confidence=score_threshold(detector, job.min_confidence),
        class_names=detector.class_names,
        settings=job.settings,
        pictures=pictures.taken,
    )

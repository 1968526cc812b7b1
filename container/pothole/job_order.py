"""A job order says what to mark, how, and where to put it; `job.run_job` carries it out."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, get_args

from pothole.errors import RequestError, SourceIsOutput
from pothole.files import is_output, split_key
from pothole.geo.plane import Camera
from pothole.media.smart.plan import Render
from pothole.outputs.registry import DEFAULT_OUTPUTS, OUTPUTS, chosen_outputs

DEFAULT_STEP = "pothole_detection"
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
        step: Name of the pipeline's step that the job is; the folder of a result file.
        source_version: Version of the video that is meant, see `Stat`; the one that is there when None.
        track: Key of a file that says where the camera was; what the video itself says when None.
        track_bucket: Bucket, or folder, of that file; the source's when None.
        track_offset_s: Seconds by which its positions are moved to later; None leaves that to the flow.
        camera: What the user knows of the camera; None for nothing.
        render: "smart" copies what carries no mark, where the source allows it; "full" codes all anew.
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
    step: str = DEFAULT_STEP
    source_version: str | None = None
    track: str | None = None
    track_bucket: str | None = None
    track_offset_s: float | None = None
    camera: Camera | None = None
    render: Render = "full"

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", chosen_outputs(self.outputs))
        every, score = self.frame_interval, self.min_confidence
        if every is not None and not (isinstance(every, int) and every >= 1):
            raise RequestError(f"frame_interval is {every!r}, expected a whole number of 1 or more.")
        if score is not None and not (isinstance(score, int | float) and 0 <= score <= 1):
            raise RequestError(f"min_confidence is {score!r}, expected a number from 0 to 1.")
        if self.render not in get_args(Render):
            raise RequestError(f"render is {self.render!r}, expected {' or '.join(get_args(Render))}.")
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
        names = "is_live", "frame_interval", "video_stream", "deinterlace", "short_labels", "render"
        settings = {name: getattr(self, name) for name in names}
        if self.track is not None:
            settings["track"] = self.track
        if self.track_offset_s is not None:
            settings["track_offset_s"] = self.track_offset_s
        if self.camera is not None:
            settings["camera"] = self.camera.given
        return settings

    def output_key(self, output: str) -> str:
        """Return the key of an output: `<stem>_output<suffix>` beside the source, or below the prefix."""
        kind = OUTPUTS[output]
        if not kind.is_of_step:
            return f"{self.outputs_key}{kind.suffix}"
        parent = self._prefix + self._folder.rstrip("/").rpartition("/")[0]
        return f"{parent}/{self.step}/{self._stem}{kind.suffix}".lstrip("/")

    @property
    def outputs_key(self) -> str:
        """Return how the keys of the outputs begin."""
        return f"{self._prefix}{self._folder}{self._stem}_output"

    @property
    def _prefix(self) -> str:
        return f"{self.output_prefix.strip('/')}/" if self.output_prefix else ""

    @property
    def _folder(self) -> str:
        return split_key(self.source_key)[0]

    @property
    def _stem(self) -> str:
        name = split_key(self.source_key)[1]
        stem = name if self.is_of_pictures or self.names_extension else name.rpartition(".")[0] or name
        if self.is_of_pictures and self.names_extension:
            stem += "_pictures"
        return f"{stem}_preview" if self.names_preview else stem

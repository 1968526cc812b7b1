"""The rows: what is run, on which clip, in which environment."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speed.clips import Clip, shortened

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"
ORIGINAL_FRAMES = 3  # at some seconds each
DETECTED_FRAMES = 60
STAGE_FRAMES = 90
RUNTIMES = {"openvino": "OpenVINO", "tensorflow": "TensorFlow"}
PEERS = {
    "ultralytics": "ultralytics, YOLO11n-seg on OpenVINO, 384×640",
    "supervision": "supervision.process_video, our detector",
}
# ultralytics would look for updates, and install what it finds missing.
QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
ENVIRONMENT = {"PYTHONPATH": str(BENCH)}


@dataclass(frozen=True)
class Row:
    """One line of the table, run as a process.

    Attributes:
        name: In the JSON.
        title: In tables and in the plot.
        clip: What it works on.
        command: The process; it is given a file to write its answer to as its last argument.
        reference: Name of the row that it is compared with, None for those that do no video.
        environment: Beside our own.
        first: A command that is run once, before all rows.
    """

    name: str
    title: str
    clip: Clip
    command: Sequence[str]
    reference: str | None = "transcode"
    environment: dict[str, str] = field(default_factory=dict)
    first: Sequence[str] = ()


def work(name: str, path: Path, *arguments: str) -> list[str]:
    """Return the command that does a piece of `speed.work`."""
    return [sys.executable, "-m", "speed.work", name, str(path), *arguments]


def smart_rows(clips: Mapping[int, Clip]) -> list[Row]:
    """Return the rows of smart rendering.

    Args:
        clips: Roads with potholes in so many of a hundred of their GOPs.
    """
    rows = []
    for percent, clip in clips.items():
        limit, of = f"transcode_marked_{percent}", f"potholes in {percent} % of the GOPs"
        rows += [
            Row(limit, f"transcode only, {of}", clip, work("transcode", clip.path), limit),
            Row(f"smart_{percent}", f"whole job, smart, {of}", clip, work("job_smart", clip.path), limit),
        ]
    return rows


def our_rows(clip: Clip, others: Sequence[Clip], folder: Path) -> list[Row]:
    """Return the rows of this project, of what it succeeds, and of OpenCV, which it has installed.

    Args:
        clip: What all rows share.
        others: Of other sizes, for two rows more each.
        folder: An absolute one, for what has to be made before.
    """
    path = clip.path
    rows = [
        Row("transcode", "transcode only", clip, work("transcode", path)),
        Row("job", "whole job", clip, work("job", path)),
        Row("job_json", "job without the video (`--outputs json`)", clip, work("job_json", path)),
        Row("decode", "decode only", clip, work("decode", path)),
        Row("every_frame", "whole job, every frame detected", clip, work("job", path, "1")),
        Row(
            "job_tensorflow",
            "whole job on TensorFlow",
            clip,
            work("job", path),
            environment={"POTHOLE_RUNTIME": "tensorflow"},
        ),
    ]
    for runtime, title in RUNTIMES.items():
        command, chosen = work("detect", path, str(DETECTED_FRAMES)), {"POTHOLE_RUNTIME": runtime}
        rows.append(Row(f"detect_{runtime}", f"detector alone on {title}", clip, command, None, chosen))
    for other in others:
        size = f"{other.height}p"
        limit = f"transcode_{size}"
        rows += [
            Row(limit, f"transcode only, {size}", other, work("transcode", other.path), limit),
            Row(f"job_{size}", f"whole job, {size}", other, work("job", other.path), limit),
        ]
    few = Clip.of(shortened(clip, ORIGINAL_FRAMES, folder))
    model = folder / "resnet101"
    return [
        *rows,
        Row(
            "original",
            "ResNet-101 at 1024 pixels, every frame",
            few,
            work("job", few.path, "1"),
            environment={"SM_MODEL_DIR": str(model)},
            first=work("original_model", model),
        ),
        Row("opencv", "OpenCV, decode and encode only", clip, work("opencv", path)),
    ]


def peer_rows(clip: Clip, folder: Path) -> tuple[list[Row], dict[str, str]]:
    """Return the rows of the peers that are installed, and why the others are left out."""
    rows, skipped = [], {}
    for name, title in PEERS.items():
        python = ROOT / f".venv-{name}" / "bin" / "python"
        if (python.parents[1] / ".ready").is_file():
            script = BENCH / "peers" / f"{name}_pipeline.py"
            command = [str(python), str(script), str(clip.path), str(folder / name)]
            rows.append(Row(name, title, clip, command, environment=QUIET | {"YOLO_CONFIG_DIR": str(folder)}))
        else:
            skipped[name] = "it is not installed; `make bench-peers` does that."
    return rows, skipped

"""The main job for real, on this machine: a video is uploaded, and its marked copy appears beside it.

python local_test/demo.py [VIDEO]      without one, a road is rendered

Emulators play AWS, a small front plays SageMaker's runtime; what `make deploy` makes, the server (nginx,
gunicorn) and the model are the real ones. `make demo` installs what that takes.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

import boto3
from botocore.exceptions import ClientError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.status import Status
from rich.table import Table

import local_aws
from local_aws import Failed, Process
from pothole.errors import PotholeError
from pothole.media import Video
from roads.output import write_video
from roads.trip import Trip
from roads.world import Road
from sagemaker_front import SageMakerFront

# Folders that are no packages: their files are started by themselves or pasted into AWS.
sys.path.insert(0, str(local_aws.ROOT / "lambda"))
sys.path.insert(0, str(local_aws.ROOT / "infra"))
sys.path.insert(0, str(local_aws.ROOT / "bench"))
import deploy
import stacks
from matching import compare, taken_for_potholes
from pothole.files import VIDEO_SUFFIXES

OUTPUT = local_aws.ROOT / "demo_output"
WANTED = "Outputs=video,json,contact_sheet"
READY_S = 300
# The event passes through the emulator and a process that it starts for the function.
TRIGGERED_S = 60
LOG_TAIL = 25
SEED = 4
console = Console()


def main(run: Callable[[Path, Path], None] | None = None, description: str | None = __doc__) -> int:
    """Run a demo on the video that the command line names, or on a rendered road.

    Args:
        run: Does it, with the video and a folder for temporary files; by an upload when None.
        description: What it is.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path, nargs="?", help="a road video (default: a rendered road)")
    given: Path | None = parser.parse_args().video
    # SIGINT, too: a shell lets what it starts in the background ignore it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        if given is not None:
            check(given)
        OUTPUT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="demo-") as folder:
            (run or run_upload)(given or render(), Path(folder))
    except (Failed, stacks.Failed, PotholeError) as exc:
        console.print(f"[red]{exc}", highlight=False)
        return 1
    return 0


def check(video: Path) -> None:
    """Say early what cannot work.

    Raises:
        Failed: There is no such file, or the function would skip it.
        InvalidMedia: It is no video.
    """
    if not video.is_file() or not os.access(video, os.R_OK):
        raise Failed(f"{video} is not a file that can be read. Say make demo VIDEO=path/to/a/video.")
    if not video.name.lower().endswith(VIDEO_SUFFIXES):
        raise Failed(f"{video} does not end like a video. Known are {', '.join(VIDEO_SUFFIXES)}.")
    if video.stem.endswith("_output"):
        raise Failed(f"{video} is named like an output. Rename it so that it does not end in _output.")
    with Video.open(video):
        pass


def render() -> Path:
    """Render ten seconds of a road with potholes."""
    path = OUTPUT / "road.mp4"
    with doing("Rendering a road ..."):
        road = Road(seed=SEED, length=100, potholes=12)
        truth = write_video(path, road, 300, Fraction(30), Trip(10.0), count_area=400, sound=True)
        there = truth["potholes"]
    say(f"rendered {path.name}: 300 frames, {there} potholes, and manholes, patches and stains between them")
    return path


def run_upload(video: Path, folder: Path) -> None:
    """Start all parts, upload the video, wait for the outputs, and take all down again."""
    pothole = [str(Path(sys.executable).with_name("pothole"))]
    cloud = local_aws.Cloud(folder, pothole)
    processes = [cloud.ministack, cloud.moto]
    with ExitStack() as stack:
        # Registered first, so called last and for failures only: while the logs are still there.
        stack.push(lambda kind, *_: show_logs(processes) if kind and issubclass(kind, Exception) else None)
        with doing("Starting the AWS emulators ..."):
            stack.enter_context(cloud)
        say(f"AWS emulator at {cloud.url}")
        with doing("Starting the server and loading the model ..."):
            started = time.monotonic()
            server, url = start_server(folder)
            stack.enter_context(server)
            processes.insert(0, server)
            server.wait_for(f"{url}/ping", READY_S)
        front_end = "nginx and gunicorn" if nginx() else "gunicorn alone, nginx is not installed"
        say(f"server at {url} ready in {time.monotonic() - started:.0f} s ({front_end})")
        cloud.front.server = url
        bucket = deploy.run(["deploy", "--name", "demo", "--image", "demo", "--no-smoke", WANTED])[
            "VideosBucket"
        ]
        job = Job(bucket, video, cloud.front, processes)
        job.upload()
        job.wait()
        job.fetch()


def start_server(folder: Path) -> tuple[Process, str]:
    """Return the real `serve`, not yet started, and its address."""
    [port] = local_aws.free_ports(1)
    settings = {"SAGEMAKER_BIND_TO_PORT": str(port), "TMPDIR": str(folder), "LOG_LEVEL": "INFO"}
    serve = [str(Path(sys.executable).with_name("pothole")), "serve"]
    process = Process("the server", serve, settings, folder / "server.log", stop_s=30)
    return process, f"http://127.0.0.1:{port}"


class Job:
    """A job is one video on its way."""

    def __init__(self, bucket: str, video: Path, front: SageMakerFront, processes: list[Process]) -> None:
        self._s3 = boto3.client("s3")
        self._bucket, self._video, self._front, self._processes = bucket, video, front, processes
        self._key = f"roads/{video.name}"
        self._stem = f"roads/{video.stem}_output"

    def upload(self) -> None:
        """Upload the video, which sets off all the rest."""
        self._started = time.monotonic()
        self._s3.upload_file(str(self._video), self._bucket, self._key)
        say(f"uploaded s3://{self._bucket}/{self._key}")

    def wait(self) -> None:
        """Show progress until the marked video is there.

        Raises:
            Failed: A process ended, nothing was invoked, or the server refused the video.
        """
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames"),
            TimeElapsedColumn(),
        )
        with (
            Progress(*columns, console=console, transient=True) as progress,
            self._processes[0].log.open() as log,
        ):
            task = progress.add_task("waiting for the Lambda function", total=None)
            invoked = False
            while not self._exists(f"{self._stem}.mp4"):
                for process in self._processes:
                    process.check()
                if self._front.invocations and not invoked:
                    invoked = True
                    progress.update(task, description="the endpoint was invoked")
                if not invoked and time.monotonic() - self._started > TRIGGERED_S:
                    raise Failed(f"The upload invoked nothing in {TRIGGERED_S} s.")
                for line in read_lines(log):
                    if line.get("message") == "marking":
                        found = f"marking, {line['potholes']} potholes so far"
                        done, total = line["frames"], line["total"]
                        progress.update(task, description=found, completed=done, total=total)
                        if not console.is_terminal:  # where no bar moves
                            console.print(f"  {done} of {total or '?'} frames, {found}")
                    if line.get("path") == "/invocations" and line.get("status", 200) >= 400:
                        raise Failed(f"The server answered {line['status']}; its log tells why.")
                time.sleep(0.25)
        self._seconds = time.monotonic() - self._started
        say(f"s3://{self._bucket}/{self._stem}.mp4 appeared")

    def fetch(self) -> None:
        """Bring the outputs here, and show what was found."""
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._stem}.")["Contents"]
        files = {}
        for key in (item["Key"] for item in listed):
            path = OUTPUT / Path(key).name
            self._s3.download_file(self._bucket, key, str(path))
            files[path.suffix] = path
        report = json.loads(files[".json"].read_text())
        table = Table("file", "frames", "with potholes", "potholes", "seconds")
        summary = report["summary"]
        counts = (summary["frames"], summary["frames_with_potholes"], summary["potholes"])
        table.add_row(self._video.name, *(str(n) for n in counts), f"{self._seconds:.1f}")
        console.print(table)
        truth = self._video.with_suffix(".truth.json")
        if truth.is_file():
            console.print(verdict(json.loads(truth.read_text()), report), highlight=False)
        if report["video"]["warning"]:
            console.print(f"[yellow]{report['video']['warning']}", highlight=False)
        for title, path in (
            ("marked video", files[".mp4"]),
            ("data", files[".json"]),
            ("contact sheet", files[".jpg"]),
        ):
            console.print(f"{title:14}{path}", highlight=False, soft_wrap=True)

    def _exists(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "404":
                raise
            return False
        return True


def verdict(truth: dict[str, Any], report: dict[str, Any]) -> str:
    """Say how many of a rendered road's potholes were found, and what else was taken for one."""
    figures, kinds = compare(truth, report), taken_for_potholes(truth, report)
    told = f"{figures.found} of {figures.there} found"
    if figures.twice:
        told += f", {figures.twice} counted twice"
    if kinds:
        names = (kind if count == 1 else f"{kind}s" for kind, count in kinds.most_common())
        told += f", {figures.false_tracks} false ({', '.join(names)})"
    return told


def read_lines(log: TextIO) -> list[dict[str, Any]]:
    """Return the JSON lines written since the last call; others, such as a library's, are passed over."""
    lines: list[dict[str, Any]] = []
    while True:
        start, text = log.tell(), log.readline()
        if not text.endswith("\n"):  # still being written
            log.seek(start)
            return lines
        with suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict):
                lines.append(line)


def nginx() -> str | None:
    """Return nginx's path, as `serve` looks for it."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


def show_logs(processes: list[Process]) -> None:
    """Print the end of each log."""
    for process in processes:
        console.rule(f"end of the log of {process.name}")
        for line in process.log.read_text(errors="replace").splitlines()[-LOG_TAIL:]:
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def doing(text: str) -> Status:
    """Show a step that takes a while; a context manager."""
    if not console.is_terminal:  # where no spinner turns
        console.print(text)
    return console.status(text)


def say(text: str) -> None:
    """Print a step that is done."""
    console.print(f"[green]✓[/] {text}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())

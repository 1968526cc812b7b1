"""Outputs that are there already are replaced where they belong to the same video, model and settings.

A report says so in its first line. Other outputs have no room for it, so each file that is made also carries
it in an extended attribute, where the file system has these.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pothole.detection.detector import Detector, score_threshold
from pothole.entrypoints.cli import common
from pothole.errors import RequestError
from pothole.job_order import Job
from pothole.storage import Storage

ATTRIBUTE = "user.pothole"
HEAD = "source", "model", "settings"
MAX_HEAD = 2**16  # characters of a report's first line


class Belonging:
    """A belonging chooses the names of jobs' outputs, so that none takes the place of another job's.

    Args:
        detector: Of all jobs.
        open_store: Opens the buckets of their sources.
        overwrite: Whether outputs of other videos or of other settings are replaced.
    """

    def __init__(self, detector: Detector, open_store: Callable[[str], Storage], overwrite: bool) -> None:
        self._detector, self._open_store, self._overwrite = detector, open_store, overwrite
        self._taken: set[Path] = set()

    def named(self, job: Job) -> Job:
        """Return the job with names of its own for its outputs, which can be written.

        Raises:
            RequestError: The folder is a file, or outputs of another video or of other settings are there.
            AccessDenied: The folder may not be written to.
        """
        outputs = _outputs(job)
        if not job.names_extension and (self._taken.intersection(outputs) or _is_of_a_sibling(job)):
            return self.named(replace(job, names_extension=True))
        if both := self._taken.intersection(outputs):
            raise RequestError(
                f"{min(both)} would be the output of two videos of one name.",
                hint="Mark them one after the other, each with its own --output-dir.",
            )
        common.check_target(outputs[0])
        if not self._overwrite:
            self._check(job)
        self._taken.update(outputs)
        return job

    def note(self, job: Job) -> None:
        """Note in the outputs of a job that is done what they belong to."""
        for path in _outputs(job):
            with suppress(OSError):  # the file system has no attributes
                os.setxattr(path, ATTRIBUTE, json.dumps(self._head(job)).encode())

    def _check(self, job: Job) -> None:
        expected, report = self._head(job), _path(job, "json")
        reported = _report_head(report)
        for path in _outputs(job):
            head = reported if path == report else _noted(path) or reported
            if not path.exists() or head == expected:
                continue
            of = "another video or of other settings" if head else "a video that no report beside it names"
            raise RequestError(
                f"{path} is there already, of {of}.",
                hint="Name another --output-dir, or allow it with --overwrite.",
            )

    def _head(self, job: Job) -> dict[str, Any]:
        threshold = score_threshold(self._detector, job.min_confidence)
        return {
            "source": self._open_store(job.source_bucket).address(job.source_key),
            "model": {"name": self._detector.name, "min_confidence": threshold},
            "settings": job.settings,
        }


def _is_of_a_sibling(job: Job) -> bool:
    """Say whether outputs belong to a video beside this one whose name differs in the extension alone."""
    ours = Path(job.source_bucket, job.source_key)
    heads = [_report_head(_path(job, "json")), *map(_noted, _outputs(job))]
    sources = [Path(head["source"]) for head in heads if isinstance(head.get("source"), str)]
    return any(
        theirs.name and theirs != ours and theirs.with_suffix("") == ours.with_suffix("") and theirs.is_file()
        for theirs in sources
    )


def _outputs(job: Job) -> list[Path]:
    return [_path(job, name) for name in job.outputs]


def _path(job: Job, output: str) -> Path:
    return Path(job.output_bucket or job.source_bucket) / job.output_key(output)


def _report_head(report: Path) -> dict[str, Any]:
    """Return what the report of an earlier run says of where it comes from, which is its first line."""
    try:
        with report.open(encoding="utf-8") as file:
            head = json.loads(file.readline(MAX_HEAD).rstrip().removesuffix(",") + "}")
    except (OSError, ValueError):
        return {}
    return {name: head.get(name) for name in HEAD}


def _noted(path: Path) -> dict[str, Any]:
    """Return what a file carries of where it comes from; nothing where it carries nothing."""
    try:
        head = json.loads(os.getxattr(path, ATTRIBUTE))
    except (OSError, ValueError):
        return {}
    return head if isinstance(head, dict) else {}

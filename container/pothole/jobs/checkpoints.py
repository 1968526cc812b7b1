"""`StoredCheckpoints`: the segments of a job beside its record, from which whoever takes it over goes on.

    .pothole/<job id>/record.json           says how many segments there are
    .pothole/<job id>/segments/0000.nut     the pictures of the first, see `SegmentWriter`
    .pothole/<job id>/segments/0000.json    what the report says of them, and the tracker's state after them

A segment counts once the record says so. That is written last, and by the job's worker alone. What one that
has lost the job may still write is none of the chain, in which each segment names the one before.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
from pydantic import BaseModel

from pothole.errors import AccessDenied, SourceChanged, SourceNotFound
from pothole.jobs.record import Lease
from pothole.media import VideoInfo
from pothole.media.segment import SUFFIX, check_segment
from pothole.outputs.report import ReportPart
from pothole.pipeline.segments import Segment
from pothole.storage import Storage
from pothole.tracking.state import STRICT, TrackerRecord, TrackerState

DATA_SUFFIX = ".json"
MOST_DATA_BYTES = 2**26
# What a segment looks like that is not there, or not as it was stored. A storage that fails is none of these.
UNFIT = (SourceNotFound, SourceChanged, AccessDenied, ValueError, av.FFmpegError)
_logger = logging.getLogger("pothole.jobs")


class _Data(BaseModel):
    """The JSON of a segment.

    Attributes:
        before: Digest of the JSON of the segment before; empty for the first.
        video: Digest of its pictures.
        report: What is said of them.
        tracker: The state after them.
    """

    model_config = STRICT

    before: str
    video: str
    report: ReportPart
    tracker: TrackerRecord


class StoredCheckpoints:
    """Keeps the segments of a job in its storage. See `Checkpoints`.

    Args:
        store: Where the outputs go.
        folder: Key of the folder for the segments.
        lease: The job's; its record counts them.
        max_bytes: Largest size of a segment that is accepted.
        check: Called at each checkpoint; what it raises ends the job.
    """

    def __init__(
        self, store: Storage, folder: str, lease: Lease, max_bytes: int, check: Callable[[], None]
    ) -> None:
        self._store, self._folder, self._lease = store, folder, lease
        self._max_bytes, self._check = max_bytes, check
        self._before = ""  # digest of the JSON of the segment that was kept last
        self._copies = Path()
        self._earlier: list[tuple[Path, Path]] = []  # pictures and JSON

    def resume(self, info: VideoInfo, folder: Path) -> TrackerState:
        """See `Checkpoints.resume`."""
        self._copies = folder / "earlier"
        count = self._lease.record.segments
        about = {"job": self._lease.record.id, "segments": count}
        try:
            state = self._find(count, info)
        except UNFIT as exc:
            _logger.warning("the job starts over", extra=about | {"reason": str(exc)})
            self._before, self._earlier = "", []
            self._lease.note(segments=0)
            return TrackerState()
        if count:
            _logger.info("the job goes on", extra=about | {"frames": state.released})
        return state

    def keep(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """See `Checkpoints.keep`."""
        for video, data in self._earlier:
            self._check()
            yield Segment(video, _read(data).report, None)
            for path in (video, data):
                if path.is_relative_to(self._copies):
                    path.unlink()
        for segment in segments:
            yield segment
            if segment.state:
                self._save(segment, segment.state)
            segment.video.unlink(missing_ok=True)

    def _find(self, count: int, info: VideoInfo) -> TrackerState:
        """Fetch all segments of the earlier attempt and check that they are what it stored."""
        state, frames = TrackerState(), 0
        for number in range(count):
            self._check()
            path = self._fetch(number, DATA_SUFFIX, MOST_DATA_BYTES)
            data = _read(path)
            video = self._fetch(number, SUFFIX, self._max_bytes)
            if (data.before, data.video) != (self._before, _digest(video)):
                raise ValueError(f"segment {number} is none of this chain")
            check_segment(video, info)
            frames += len(data.report.records)
            state = data.tracker.state()
            if state.released != frames:
                raise ValueError(f"segment {number} ends at frame {state.released}, expected {frames}")
            self._before = _digest(path)
            self._earlier.append((video, path))
        return state

    def _fetch(self, number: int, suffix: str, max_bytes: int) -> Path:
        return self._store.fetch(self._key(number, suffix), self._copies, max_bytes)

    def _save(self, segment: Segment, state: TrackerState) -> None:
        number = self._lease.record.segments
        data = _Data(
            before=self._before,
            video=_digest(segment.video),
            report=segment.report,
            tracker=TrackerRecord.of(state),
        )
        path = segment.video.with_suffix(DATA_SUFFIX)
        path.write_text(data.model_dump_json())
        self._before = _digest(path)
        self._store.publish(segment.video, self._key(number, SUFFIX), "application/octet-stream")
        self._store.publish(path, self._key(number, DATA_SUFFIX), "application/json")
        path.unlink(missing_ok=True)
        self._lease.note(segments=number + 1, crashes=0)
        self._lease.renew()
        self._check()

    def _key(self, number: int, suffix: str) -> str:
        return f"{self._folder}/{number:04}{suffix}"


def _read(path: Path) -> _Data:
    return _Data.model_validate_json(path.read_bytes())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

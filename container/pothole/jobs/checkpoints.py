"""The segments of a job are stored beside its record, and whoever takes it over goes on from them.

    .pothole/<job id>/record.json                says how many segments there are
    .pothole/<job id>/segments/0000-video.nut    the part of the first that an output is made of, see `Sink`
    .pothole/<job id>/segments/0000-json.jsonl   and that of another
    .pothole/<job id>/segments/0000.json         their digests, and the tracker's state after them

A segment counts once the record says so. The record is written last, and by the job's worker alone. Each
segment names the one before, so what a worker that has lost the job still writes is no part of the chain.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import av
from pydantic import BaseModel

from pothole.errors import AccessDenied, SourceChanged, SourceNotFound
from pothole.files import file_digest
from pothole.jobs.lease import Lease
from pothole.outputs.sink import Sink
from pothole.pipeline.segments import Counts, Segment
from pothole.storage import Storage
from pothole.tracking.state import STRICT, TrackerRecord, TrackerState

MAX_DATA_BYTES = 2**26
# A segment that is missing or not as it was stored raises one of these. A storage that fails raises others.
UNFIT = (SourceNotFound, SourceChanged, AccessDenied, ValueError, av.FFmpegError)
_logger = logging.getLogger("pothole.jobs")


class _Data(BaseModel):
    """The data of a segment are stored as this JSON.

    Attributes:
        before: Digest of the JSON of the segment before; empty for the first.
        parts: Digest of each sink's part, by its name.
        counts: Counts of the segment's frames.
        tracker: The tracker's state after them.
    """

    model_config = STRICT

    before: str
    parts: dict[str, str]
    counts: Counts
    tracker: TrackerRecord


def stored_frames(folder: Path) -> int:
    """Return how many frames the segments that lie in a local folder have."""
    frames = 0
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError):
            frames += _Data.model_validate_json(path.read_bytes()).counts.frames
    return frames


class StoredCheckpoints:
    """The segments of a job are saved in its storage. See `Checkpoints`.

    Args:
        store: Where the outputs go.
        folder: Key of the folder for the segments.
        lease: The job's; its record counts them.
        max_bytes: Largest size of a part that is accepted.
        check: Called at each checkpoint; what it raises ends the job.
    """

    def __init__(
        self, store: Storage, folder: str, lease: Lease, max_bytes: int, check: Callable[[], None]
    ) -> None:
        self._store, self._folder, self._lease = store, folder, lease
        self._max_bytes, self._check = max_bytes, check
        self._before = ""  # digest of the JSON of the segment that was saved last
        self._copies = Path()
        self._earlier: list[Segment] = []

    def resume(self, sinks: Mapping[str, Sink], folder: Path) -> TrackerState:
        """See `Checkpoints.resume`."""
        self._copies = folder / "earlier"
        count = self._lease.record.segments
        about = {"job": self._lease.record.id, "segments": count}
        try:
            state = self._find(count, sinks)
        except UNFIT as exc:
            _logger.warning("the job starts over", extra=about | {"reason": str(exc)})
            self._before, self._earlier = "", []
            self._lease.note(segments=0)
            return TrackerState()
        if count:
            _logger.info("the job goes on", extra=about | {"frames": state.released})
        return state

    def save(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """See `Checkpoints.save`."""
        for segment in self._earlier:
            self._check()
            yield segment
            for path in segment.parts.values():
                if path.is_relative_to(self._copies):
                    path.unlink()
        for segment in segments:
            yield segment
            if segment.state:
                self._store_segment(segment, segment.state)
            segment.delete()

    def _find(self, count: int, sinks: Mapping[str, Sink]) -> TrackerState:
        """Fetch all segments of the earlier attempt and check that they are what it stored."""
        state, frames = TrackerState(), 0
        for number in range(count):
            self._check()
            path = self._fetch(self._data_key(number), MAX_DATA_BYTES)
            data = _Data.model_validate_json(path.read_bytes())
            if data.before != self._before or data.parts.keys() != sinks.keys():
                raise ValueError(f"segment {number} is none of this chain")
            parts = {name: self._find_part(number, name, sinks[name], data) for name in sinks}
            frames += data.counts.frames
            state = data.tracker.state()
            if state.released != frames:
                raise ValueError(f"segment {number} ends at frame {state.released}, expected {frames}")
            self._before = file_digest(path)
            self._earlier.append(Segment(parts, data.counts, None))
            if path.is_relative_to(self._copies):
                path.unlink()
        return state

    def _find_part(self, number: int, name: str, sink: Sink, data: _Data) -> Path:
        path = self._fetch(self._part_key(number, name, sink.part_suffix), self._max_bytes)
        if file_digest(path) != data.parts[name]:
            raise ValueError(f"the {name} part of segment {number} is not as it was stored")
        sink.check_part(path, data.counts.frames)
        return path

    def _fetch(self, key: str, max_bytes: int) -> Path:
        return self._store.fetch(key, self._copies, max_bytes)

    def _store_segment(self, segment: Segment, state: TrackerState) -> None:
        number = self._lease.record.segments
        data = _Data(
            before=self._before,
            parts={name: file_digest(path) for name, path in segment.parts.items()},
            counts=segment.counts,
            tracker=TrackerRecord.of(state),
        )
        path = next(iter(segment.parts.values())).with_name(f"{number:04}.json")
        path.write_text(data.model_dump_json())
        self._before = file_digest(path)
        for name, part in segment.parts.items():
            self._store.publish(part, self._part_key(number, name, part.suffix), "application/octet-stream")
        self._store.publish(path, self._data_key(number), "application/json")
        path.unlink(missing_ok=True)
        self._lease.note(segments=number + 1, crashes=0)
        self._lease.renew()
        self._check()

    def _data_key(self, number: int) -> str:
        return f"{self._folder}/{number:04}.json"

    def _part_key(self, number: int, name: str, suffix: str) -> str:
        return f"{self._folder}/{number:04}-{name}{suffix}"

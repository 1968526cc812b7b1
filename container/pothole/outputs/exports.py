"""The exports are lists of a video's potholes for maps: `geojson`, `csv`, `kml`, `gpx` and `gpkg`."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pothole.geo.export import WRITERS, Row
from pothole.geo.located import Located
from pothole.geo.size import Extent
from pothole.media import Video
from pothole.outputs.annotate import MarkedFrame
from pothole.outputs.sink import Sink, Source, Summary
from pothole.tracking.tracks import Track


class ExportSink:
    """An export is written at the end, of what is known then. See `Sink`.

    A part of it is an empty file.

    Args:
        path: The output.
        source: What the rows say of where they come from.
        name: Of the format, see `WRITERS`.
    """

    part_suffix = ".none"

    def __init__(self, path: Path, source: Source, name: str) -> None:
        self._path, self._source, self._write = path, source, WRITERS[name]
        self._finished = False

    def __enter__(self) -> Self:
        return self

    @contextmanager
    def open_part(self, path: Path) -> Iterator["_NoPart"]:
        """See `Sink.open_part`."""
        path.touch()
        yield _NoPart()

    def check_part(self, path: Path, frames: int) -> None:
        """See `Sink.check_part`."""

    def append(self, part: Path) -> None:
        """See `Sink.append`."""

    def finish(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None
    ) -> None:
        """See `Sink.finish`."""
        self._write(self._path, [row_of(track, self._source, located) for track in tracks])
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._finished:
            self._path.unlink(missing_ok=True)


class _NoPart:
    def write(self, marked: MarkedFrame) -> None:
        """Leave the frame out; an export has nothing to say of one."""


def export(name: str) -> Callable[[Path, Source], Sink]:
    """Return what opens the sink of a format."""
    return lambda path, source: ExportSink(path, source, name)


def row_of(track: Track, source: Source, located: Located | None) -> Row:
    """Return what a list says of a pothole."""
    place = located.places.get(track.id) if located else None
    digest = hashlib.sha256(source.address.encode()).hexdigest()[:10]
    first = round(float(track.first_time), 3)
    position = place.to_json() if place else dict.fromkeys(("accuracy_m", "heading", "distance_m", "side"))
    size = located.size(track.id) if located else None
    measured = size.to_json() if isinstance(size, Extent) else {}
    astm = measured.get("severity", {}).get("astm_d6433", {})
    low, high = measured.get("interval_90", {}).get("diameter_m", (None, None))
    return Row(
        id=f"{digest}-{track.id}",
        name=f"Pothole {track.id}"
        if len(source.class_names) < 2
        else f"{source.class_names[track.class_id]} {track.id}",
        lat=place.lat if place else None,
        lon=place.lon if place else None,
        time_utc=position.get("time_utc"),
        link=f"{source.output}#t={first}" if source.output else None,
        values={
            **{name: position[name] for name in ("accuracy_m", "heading", "distance_m", "side")},
            **{name: measured.get(name) for name in ("width_m", "length_m", "diameter_m", "area_m2")},
            "diameter_low_m": low,
            "diameter_high_m": high,
            "astm_d6433_severities": " ".join(astm.get("severities", ())) or None,
            "first_time_s": first,
            "last_time_s": round(float(track.last_time), 3),
            "score": round(track.max_score, 4),
            "hits": track.hits,
            "model": source.model,
            "source": source.address,
        },
    )

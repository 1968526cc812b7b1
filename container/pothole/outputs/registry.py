"""The registry lists the outputs that a job can make, by name. A new one is a sink and a line here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pothole.errors import RequestError
from pothole.outputs.contact_sheet import ContactSheetSink
from pothole.outputs.exports import export
from pothole.outputs.page import PageSink
from pothole.outputs.report import ReportSink
from pothole.outputs.result_file import ResultFileSink
from pothole.outputs.sink import Sink, Source
from pothole.outputs.video import VideoSink


@dataclass(frozen=True)
class OutputKind:
    """An output kind says how one output is named and made.

    Attributes:
        suffix: How its name ends: `<stem>_output<suffix>`.
        content_type: Its media type.
        open: Makes the sink that writes it to a path.
        draws: Whether it shows every frame with its marks drawn.
        is_of_step: Whether it is named `<step>/<stem><suffix>` beside the folder of the video instead, as
            pipelines of several steps have it.
        needs_track: Whether it shows places and nothing else, and so is of no use without them.
    """

    suffix: str
    content_type: str
    open: Callable[[Path, Source], Sink]
    draws: bool = False
    is_of_step: bool = False
    needs_track: bool = False


# Answers list the outputs in this order. They are published in the opposite one: where the marked video is,
# everything is.
OUTPUTS = {
    "video": OutputKind(".mp4", "video/mp4", VideoSink, draws=True),
    "json": OutputKind(".json", "application/json", ReportSink),
    "contact_sheet": OutputKind(".jpg", "image/jpeg", ContactSheetSink),
    "page": OutputKind(".html", "text/html; charset=utf-8", PageSink),
    "geojson": OutputKind(".geojson", "application/geo+json", export("geojson"), needs_track=True),
    "csv": OutputKind(".csv", "text/csv", export("csv")),
    "kml": OutputKind(".kml", "application/vnd.google-earth.kml+xml", export("kml"), needs_track=True),
    "gpx": OutputKind(".gpx", "application/gpx+xml", export("gpx"), needs_track=True),
    "gpkg": OutputKind(".gpkg", "application/geopackage+sqlite3", export("gpkg"), needs_track=True),
    "result_file": OutputKind(".json", "application/json", ResultFileSink, is_of_step=True),
}
DEFAULT_OUTPUTS = ("video", "json")


def chosen_outputs(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of outputs, each once, in the order of `OUTPUTS`.

    Raises:
        RequestError: One is not known, or there is none.
    """
    known = ", ".join(OUTPUTS)
    if isinstance(names, str):
        raise RequestError(f"outputs is {names!r}, expected a list.", hint=f"Known are {known}.")
    given = list(names)
    for name in given:
        if name not in OUTPUTS:
            raise RequestError(f"outputs names {name!r}, which is no output.", hint=f"Known are {known}.")
    if not given:
        raise RequestError("outputs names nothing.", hint=f"Name some of {known}, or leave it out.")
    return tuple(name for name in OUTPUTS if name in given)

"""This module reads GPX 1.0 and 1.1: points of tracks, with height, precision, speed and course."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax import ContentHandler, SAXException

from defusedxml import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from pothole.errors import InvalidMedia, reason
from pothole.media.telemetry.fixes import Fix

# Names of elements below a point, without their namespaces: those of GPX, and of Garmin's extension.
NUMBERS = {"ele": "altitude", "speed": "speed", "course": "heading", "hdop": "dop"}
BLOCK = 2**16
MAX_TAG = (
    2**20
)  # bytes: a longer one is read from its start with each block that comes, so it would take for ever
MAX_DEPTH = 64
MAX_TEXT = 100  # letters of a number or a time


def read_gpx(path: Path) -> Iterator[Fix]:
    """Yield the points of all tracks, as the file is read, so that memory does not grow with it.

    Raises:
        InvalidMedia: It is no XML, or is made to exhaust memory or time: by definitions of entities, by
            elements within elements, or by a tag that does not end.
    """
    parser, points = DefusedExpatParser(forbid_dtd=True), _Points()
    parser.setContentHandler(points)
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                points.unseen += len(block)
                parser.feed(block)
                if points.unseen > MAX_TAG:
                    raise ValueError(f"a tag or a remark has more than {MAX_TAG} bytes")
                yield from points.taken()
            parser.close()
            yield from points.taken()
    except DefusedXmlException as exc:
        raise InvalidMedia(
            f"{path.name} has definitions of its own (a DTD), which are not read.",
            "Save it as plain GPX 1.1.",
        ) from exc
    except (
        SAXException,
        ValueError,
        LookupError,
    ) as exc:  # the last two for encodings that do not exist, too
        why = exc.getMessage() if isinstance(exc, SAXException) else reason(exc)
        raise InvalidMedia(f"{path.name} is damaged: {why}.", "Export the GPX file anew.") from exc


class _Points(ContentHandler):
    """The points come together as their parts are told, and nothing else of the file is kept.

    Attributes:
        unseen: Bytes that the parser was given since it told of anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unseen = 0
        self._depth = 0
        self._point: dict[str, str] | None = None
        self._text = ""
        self._fixes: list[Fix] = []

    def taken(self) -> list[Fix]:
        """Return the fixes since the last call."""
        fixes, self._fixes = self._fixes, []
        return fixes

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802
        """Begin a point, or a part of one."""
        self.unseen, self._text = 0, ""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"elements lie within {MAX_DEPTH} others")
        if _local(name) == "trkpt":
            self._point = {key: attrs[key] for key in ("lat", "lon") if key in attrs}

    def characters(self, content: str) -> None:
        """Keep the text of a part."""
        self.unseen = 0
        if self._point is not None and len(self._text) < MAX_TEXT:
            self._text += content[:MAX_TEXT]

    def endElement(self, name: str) -> None:  # noqa: N802
        """End a part or a point, of which the first part of a name counts."""
        self.unseen = 0
        self._depth -= 1
        if self._point is None:
            return
        if _local(name) == "trkpt":
            if (fix := _fix(self._point)) is not None:
                self._fixes.append(fix)
            self._point = None
        elif _local(name) == "time" or (_local(name) in NUMBERS and self._text.strip()):
            self._point.setdefault(_local(name), self._text)


def utc_seconds(text: str) -> float:
    """Return the POSIX seconds of a time in ISO 8601; one without a zone is UTC.

    Raises:
        ValueError: It is none.
    """
    time = datetime.fromisoformat(text.strip())
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _fix(point: dict[str, str]) -> Fix | None:
    """Return the fix of a point; None when it has no time or no place, and is of no use here."""
    try:
        lat, lon, utc = float(point["lat"]), float(point["lon"]), utc_seconds(point["time"])
        values: dict[str, Any] = {
            NUMBERS[name]: float(text) for name, text in point.items() if name in NUMBERS
        }
    except (KeyError, ValueError, OverflowError):
        return None
    return Fix(None, utc, lat, lon)._replace(**values)

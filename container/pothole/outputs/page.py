"""The page, `<stem>_output.html`, shows a video's potholes beside the marked video, in one file."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from pothole.geo.export import Row
from pothole.geo.located import Located
from pothole.media import Video
from pothole.media.picture import encode_picture
from pothole.outputs.contact_sheet import TILE, ContactSheetSink, Tile, clock
from pothole.outputs.exports import row_of
from pothole.outputs.sink import Source, Summary
from pothole.tracking.tracks import Track

_HERE = Path(__file__).parent
JPEG_QUALITY = 80


class PageSink(ContactSheetSink):
    """The page has a card for each pothole, with the tile that a contact sheet would show. See `Sink`.

    Args:
        path: The HTML file.
        source: What the page says of where it comes from.
    """

    def __init__(self, path: Path, source: Source) -> None:
        super().__init__(path, source)
        self._source = source

    def finish(
        self, summary: Summary, tracks: Sequence[Track], video: Video, located: Located | None = None
    ) -> None:
        """See `Sink.finish`."""
        tiles = dict(self._best.items())
        cards = [_card(track, tiles.get(track.id), self._source, located) for track in tracks]
        style, script = ((_HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        template = environment.from_string((_HERE / "page.html").read_text(encoding="utf-8"))
        name = (self._source.output or "").rpartition("/")[2]
        page = template.render(
            title=self._source.address.rpartition("/")[2],
            video=quote(name) if name else None,
            duration=max(float(video.info.duration_s or 0), 1e-3),
            length=clock(video.info.duration_s or 0),
            summary=summary,
            cards=cards,
            model=self._source.model,
            confidence=self._source.min_confidence,
            style=style,
            script=script,
            policy=_policy(style, script),
        )
        self._path.write_text(page, encoding="utf-8")
        self._finished = True


def _card(track: Track, tile: Tile | None, source: Source, located: Located | None) -> dict[str, Any]:
    """Return what the page shows of a pothole."""
    row: Row = row_of(track, source, located)
    picture = tile and base64.b64encode(encode_picture(tile.image[: TILE[0]], "image/jpeg", JPEG_QUALITY))
    # Where it is seen best; without a tile, where it is seen first.
    at = tile.time if tile else float(track.first_time)
    return {
        "id": track.id,
        "name": row.name,
        "at": round(at, 3),
        "clock": clock(at),
        "first": round(float(track.first_time), 3),
        "last": round(float(track.last_time), 3),
        "score": track.max_score,
        "picture": picture.decode() if picture else None,
        "width": row.values["width_m"],
        "length": row.values["length_m"],
        "place": (row.lat, row.lon, row.values["accuracy_m"]) if row.lat is not None else None,
    }


def _policy(style: str, script: str) -> str:
    """Return what the page may do: show its own pictures and the video beside it, and nothing else."""
    style_digest, script_digest = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; media-src 'self' file:; style-src 'sha256-{style_digest}'; "
        f"script-src 'sha256-{script_digest}'; base-uri 'none'; form-action 'none'"
    )

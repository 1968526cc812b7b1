"""All that is known of places after a drive, from what was recorded on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pothole.geo.calibrate import find_horizon
from pothole.geo.flow import Flow
from pothole.geo.lag import Lag, find_lag
from pothole.geo.locate import Place, Sighting, locate, utc_text
from pothole.geo.plane import Camera, GroundPlane, ground_plane
from pothole.geo.size import TOO_FAR, Extent, measure
from pothole.media.telemetry.track import GpsTrack
from pothole.types import Size

PATH_STEP = 20.0  # metres between two points of the way that a report tells


@dataclass(frozen=True)
class Located:
    """These are the places of a drive.

    Attributes:
        places: Where potholes are, by the ids of their tracks.
        sizes: How big they are, or in a sentence why that is not known.
        track: Where the camera was.
        lag: What the road's speed says of the clock of the track; None where it says nothing.
        plane: How the road lies in the picture; None where that is not known.
        plane_reason: Why it is not known, in a sentence.
    """

    places: Mapping[int, Place]
    sizes: Mapping[int, Extent | str] = field(default_factory=dict)
    track: GpsTrack | None = None
    lag: Lag | None = None
    plane: GroundPlane | None = None
    plane_reason: str = field(default="")

    def record(self, track_id: int) -> dict[str, Any]:
        """Return what a report says of a pothole, by the id of its track."""
        place = self.places.get(track_id)
        size = self.size(track_id)
        return {
            "position": place.to_json() if place else None,
            "size": size.to_json() if isinstance(size, Extent) else None,
            "size_reason": size if isinstance(size, str) else None,
        }

    def size(self, track_id: int) -> Extent | str:
        """Return how big a pothole is, or in a sentence why that is not known."""
        return self.sizes.get(track_id, self.plane_reason or TOO_FAR)

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of the whole drive."""
        about: dict[str, Any] = {"track": self._track(), "ground_plane": self._plane()}
        if self.track is not None:
            utc = self.track.began_utc
            about |= {
                "began_utc": None if utc is None else utc_text(datetime.fromtimestamp(utc, UTC)),
                "path": self.track.path(PATH_STEP),
            }
        return about

    def _track(self) -> dict[str, Any] | None:
        if self.track is None:
            return None
        return {
            "source": self.track.source,
            "clock": self.track.clock,
            "offset_s": round(self.track.offset, 3),
            "lag_s": None if self.lag is None else self.lag.seconds,
            "lag_confidence": None if self.lag is None else round(self.lag.confidence, 3),
            "fixes": len(self.track),
            "dropped": dict(self.track.dropped),
            "length_m": round(self.track.length, 1),
        }

    def _plane(self) -> dict[str, Any]:
        if self.plane is None:
            return {"source": None, "reason": self.plane_reason}
        return {
            "source": self.plane.source,
            "reason": None,
            "camera_height_m": round(self.plane.height, 2),
            "focal_px": round(self.plane.focal, 1),
            "horizon_px": round(self.plane.row, 1),
        }


def find_places(
    flows: Sequence[Flow],
    sightings: Sequence[Sighting],
    track: GpsTrack | None,
    camera: Camera,
    size: Size,
    corrects_lag: bool = True,
) -> Located:
    """Return the places of a drive.

    Args:
        flows: How the road moved, once a second.
        sightings: Which potholes were seen, and where in the picture.
        track: Where the camera was; None when it is not known.
        camera: What the user knows of the camera.
        size: Picture `(height, width)`.
        corrects_lag: Whether a lag that the flow shows is taken off; not where the user gave an offset.
    """
    horizon = find_horizon(flows, size)
    lag = find_lag(horizon, track) if horizon and track else None
    if lag and track and lag.seconds and corrects_lag:
        track = track.shifted(-lag.seconds)
    plane, reason = ground_plane(horizon, track, camera, size)
    places = locate(sightings, track, plane) if track else {}
    sizes = measure(sightings, plane, track, size) if plane else {}
    return Located(places, sizes, track, lag, plane, reason)

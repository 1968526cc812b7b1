"""What a job marked in a video against what is there, as in CLEAR MOT (Bernardin and Stiefelhagen, 2008).

In each frame a pothole is paired with the mark that overlaps it: with the one of the frame before as long as
they overlap, otherwise so that the overlap is largest in all (the Hungarian method).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

# Of two boxes. Lower than the 0.5 of pictures: a pothole far away is few pixels high.
MIN_IOU = 0.3
# Size at which a pothole is "there", in parts of the picture's width: 32 × 16 pixels of 1280 × 720. Of the
# potholes that people outlined in real pictures, 19 in 20 are wider and 19 in 20 higher.
MIN_WIDTH, MIN_HEIGHT = 1 / 40, 1 / 80


@dataclass(frozen=True)
class VideoFigures:
    """How well the potholes of one or more videos were counted.

    Attributes:
        seconds: Length.
        there: Potholes that reach `MIN_WIDTH` and `MIN_HEIGHT` in some frame and differ from the road there.
        found: Those of them that a track follows.
        twice: Tracks beyond the first of one pothole: fragmentations.
        false_tracks: Tracks of no pothole.
        smaller: Tracks of potholes that are not "there"; right, but not counted in any other figure.
        switches: Times that the id of a pothole's mark changed.
        first_distances: Metres from the camera to each found pothole when it was marked first.
    """

    seconds: float
    there: int
    found: int
    twice: int
    false_tracks: int
    smaller: int
    switches: int
    first_distances: tuple[float, ...]

    @property
    def counted(self) -> int:
        """Return the number of tracks, without those of smaller potholes."""
        return self.found + self.twice + self.false_tracks

    @property
    def missed(self) -> int:
        """Return the number of potholes there that no track follows."""
        return self.there - self.found

    @property
    def false_per_minute(self) -> float:
        """Return the number of tracks of no pothole in a minute of video."""
        return 60 * self.false_tracks / self.seconds


def pool(figures: Iterable[VideoFigures]) -> VideoFigures:
    """Return the figures of all videos together."""
    each = list(figures)
    return VideoFigures(
        seconds=sum(f.seconds for f in each),
        there=sum(f.there for f in each),
        found=sum(f.found for f in each),
        twice=sum(f.twice for f in each),
        false_tracks=sum(f.false_tracks for f in each),
        smaller=sum(f.smaller for f in each),
        switches=sum(f.switches for f in each),
        first_distances=tuple(d for f in each for d in f.first_distances),
    )


def compare(truth: dict[str, Any], report: dict[str, Any], every: int = 1) -> VideoFigures:
    """Measure a job's data against the truth of a rendered road.

    A track is of the pothole that it is paired with most often, and of none when it is paired in less than
    half of the frames that show it.

    Args:
        truth: What `roads.output.write_video` returns.
        report: What the job wrote beside the video; its marks without a track do not count.
        every: The job was given every n-th frame alone; what is there stays what all of them show.
    """
    there = {p["id"] for f in truth["frames"] for p in f["potholes"] if is_there(p, truth["width"])}
    of, first_distances, switches = _follow(truth["frames"][::every], report)
    found = there & set(of.values())
    smaller = sum(pothole not in there for pothole in of.values())
    return VideoFigures(
        seconds=float(len(truth["frames"]) / Fraction(truth["rate"])),
        there=len(there),
        found=len(found),
        twice=len(of) - smaller - len(found),
        false_tracks=len(report["tracks"]) - len(of),
        smaller=smaller,
        switches=switches,
        first_distances=tuple(first_distances[p] for p in sorted(found)),
    )


def taken_for_potholes(truth: dict[str, Any], report: dict[str, Any]) -> Counter[str]:
    """Return the kinds of decoys that the false tracks of a job's data lie on, and how many on each.

    A track is on the kind whose centres its marks hold most often, else on "other".

    Args:
        truth: As in `compare`.
        report: As in `compare`.
    """
    of, *_ = _follow(truth["frames"], report)
    on: dict[int, Counter[str]] = {track["id"]: Counter() for track in report["tracks"]}
    for true_frame, frame in zip(truth["frames"], report["frames"], strict=True):
        for mark in frame["potholes"]:
            left, top, right, bottom = mark["box"]
            if mark["track_id"] is not None:
                on[mark["track_id"]].update(
                    {
                        kind
                        for kind, (x, y) in true_frame.get("decoys", ())
                        if left < x < right and top < y < bottom
                    }
                )
    return Counter(
        max(kinds, key=lambda kind: kinds[kind], default="other")
        for track, kinds in on.items()
        if track not in of
    )


def _follow(
    true_frames: list[dict[str, Any]], report: dict[str, Any]
) -> tuple[dict[int, int], dict[int, float], int]:
    """Return the pothole of each track that has one, metres to each at its first mark, and id switches."""
    shown: Counter[int] = Counter()
    paired: dict[int, Counter[int]] = defaultdict(Counter)
    first_distances: dict[int, float] = {}
    switches = 0
    held: dict[int, int] = {}
    for true_frame, frame in zip(true_frames, report["frames"], strict=True):
        potholes = true_frame["potholes"]
        marks = [m for m in frame["potholes"] if m["track_id"] is not None]
        shown.update(m["track_id"] for m in marks)
        for i, j in pairs(potholes, marks, held):
            pothole, track = potholes[i]["id"], marks[j]["track_id"]
            paired[track][pothole] += 1
            first_distances.setdefault(pothole, potholes[i]["distance_m"])
            switches += held.get(pothole, track) != track
            held[pothole] = track
    of = {t: paired[t].most_common(1)[0][0] for t, n in shown.items() if 2 * paired[t].total() >= n}
    return of, first_distances, switches


def is_there(pothole: dict[str, Any], width: int) -> bool:
    """Say whether a pothole is so large and plain in a frame that it counts as missed without a mark."""
    left, top, right, bottom = pothole["box"]
    large = right - left >= MIN_WIDTH * width and bottom - top >= MIN_HEIGHT * width
    return bool(large and pothole["plain"])


def pairs(
    potholes: list[dict[str, Any]], marks: list[dict[str, Any]], held: dict[int, int]
) -> list[tuple[int, int]]:
    """Pair potholes with marks of one frame; `held` is the last track of each pothole."""
    overlap = overlaps(potholes, marks)
    was = np.array([[held.get(p["id"]) == m["track_id"] for m in marks] for p in potholes])
    was = was.reshape(overlap.shape)
    # A pair that held outweighs any number of new ones.
    value = np.where(overlap >= MIN_IOU, overlap + was * len(marks), 0.0)
    rows, columns = linear_sum_assignment(value, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if value[i, j] > 0]


def overlaps(potholes: list[dict[str, Any]], marks: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Return the IoU of the box of each pothole with that of each mark."""
    return _iou(_boxes(potholes), _boxes(marks))


def _boxes(records: list[dict[str, Any]]) -> NDArray[np.float64]:
    return np.array([r["box"] for r in records], np.float64).reshape(-1, 4)


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(N, M)` of `(N, 4)` and `(M, 4)` xyxy."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9), np.float64)

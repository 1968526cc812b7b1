"""The frames of videos that the model is least sure of are worth labelling, and a random few.

A detection's uncertainty is 1 at the model's default confidence, where a hair decides whether a pothole is
shown, and falls evenly to 0 at the scores 0 and 1. A pothole flickers where it is not detected, but was a
moment before and is later: its uncertainty is the score that it had, for the surer it was, the stranger. A
frame's is the highest in it. From `DOUBTFUL` on a frame may be chosen, the most uncertain first. The random
frames tell what the model is sure of, and mistaken.
"""

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from pothole.detection.detector import DOUBTFUL, Detector, uncertainty
from pothole.detections import Detections
from pothole.errors import InvalidMedia, PotholeError, RequestError, TooLarge
from pothole.files import unique_stems
from pothole.media import Frame, Video
from pothole.pipeline.waiting import WaitingFrames
from pothole.settings import Settings
from pothole.tracking.observation import Observation
from pothole.tracking.optical_flow import View
from pothole.tracking.tracker import Tracker
from pothole.training.labels import LabelWriter, new_folder

UNREADABLE = (InvalidMedia, TooLarge)
FLICKERS = "flickers"
SCORE = "score"
RANDOM = "random"

MAX_PICTURES = 1000
"""That may be asked for: more than a person corrects."""


@dataclass(frozen=True)
class Selection:
    """A selection says how many pictures to collect, and how far apart.

    Attributes:
        count: Most doubtful frames.
        random: Most random ones beside them.
        gap_s: Least seconds between two pictures of one video, which else would show the same.
        frame_interval: Look at every n-th frame.
        seed: Of the random choice.
    """

    count: int = 40
    random: int = 10
    gap_s: float = 1.0
    frame_interval: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Candidate:
    """A candidate is a frame that was looked at.

    Attributes:
        video: Its video's number.
        index: Its index there.
        time: Seconds since the video's first frame.
        uncertainty: 0..1.
        reason: `FLICKERS`, `SCORE` or `RANDOM`.
    """

    video: int
    index: int
    time: Fraction
    uncertainty: float
    reason: str


def collect(
    videos: Sequence[Path],
    out: Path,
    detector: Detector,
    settings: Settings,
    selection: Selection,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
    on_left_out: Callable[[Path, PotholeError], None] = lambda video, reason: None,
) -> list[Candidate]:
    """Write the chosen frames as a data set, with what the detector finds on them as annotations to correct.

    These start at half the default confidence, as removing a false one is quicker than drawing a missing one.

    Args:
        videos: Files.
        out: The folder; see `LabelWriter` for what it holds.
        detector: The model.
        settings: Limits of what is read.
        selection: Selection of what is written.
        on_progress: Called with frames done and frames in all, None when a file does not say.
        on_left_out: Called with each video that cannot be read, and why. The others are gone through.

    Returns:
        The chosen frames.

    Raises:
        RequestError: `out` exists, or no frame is doubtful and no random one is wanted.
        InvalidMedia: No video can be read.
        PotholeError: `out` cannot be written; nothing of it is left then.
    """
    with new_folder(out) as folder:
        left_out: dict[Path, PotholeError] = {}

        def leave_out(video: Path, reason: PotholeError) -> None:
            left_out[video] = reason
            on_left_out(video, reason)

        candidates = _look_at_all(
            videos, detector, settings, selection.frame_interval, on_progress, leave_out
        )
        if len(left_out) == len(videos):
            reasons = " ".join(str(reason.about(video.name)) for video, reason in left_out.items())
            raise InvalidMedia(f"No video can be read. {reasons}")
        chosen = choose(candidates, selection)
        if not chosen:
            raise RequestError("No frame is doubtful.", "Ask for random ones, or for more videos.")
        writer = LabelWriter(folder)
        for number, (path, name) in enumerate(zip(videos, unique_stems(videos), strict=True)):
            wanted = {c.index: c for c in chosen if c.video == number}
            _write(path, name, wanted, detector, settings, writer)
        writer.finish()
    return chosen


def choose(candidates: Sequence[Candidate], selection: Selection) -> list[Candidate]:
    """Choose the most uncertain frames and random ones, none closer than the gap to another of its video."""
    order = np.random.default_rng(selection.seed).permutation(len(candidates))
    shuffled = [candidates[i] for i in order]  # so that of equals not the first ones of the first video win
    doubtful = sorted(
        (c for c in shuffled if c.uncertainty >= DOUBTFUL), key=lambda c: c.uncertainty, reverse=True
    )
    taken: dict[int, list[Fraction]] = defaultdict(list)
    chosen = list(_spread(doubtful, selection.count, selection.gap_s, taken))
    at_random = _spread(shuffled, selection.random, selection.gap_s, taken)
    return [*chosen, *(replace(c, reason=RANDOM) for c in at_random)]


def _spread(
    candidates: Iterable[Candidate], count: int, gap_s: float, taken: dict[int, list[Fraction]]
) -> Iterator[Candidate]:
    """Yield the first `count` that keep the gap to each other and to `taken`, to which they are added."""
    gap = Fraction(gap_s)
    for candidate in candidates:
        if count == 0:
            return
        times = taken[candidate.video]
        at = bisect.bisect(times, candidate.time)
        if all(abs(candidate.time - time) >= gap for time in times[max(at - 1, 0) : at + 1]):
            times.insert(at, candidate.time)
            count -= 1
            yield candidate


def _look_at_all(
    videos: Sequence[Path],
    detector: Detector,
    settings: Settings,
    frame_interval: int,
    on_progress: Callable[[int, int | None], None],
    leave_out: Callable[[Path, PotholeError], None],
) -> list[Candidate]:
    # Each is opened before the first is worked on: a damaged one is better known at once than hours later.
    counts: dict[int, int | None] = {}
    for number, path in enumerate(videos):
        try:
            with Video.open(path, settings.max_image_pixels) as video:
                counts[number] = video.info.frame_count
        except UNREADABLE as exc:
            leave_out(path, exc)
    total = None if None in counts.values() else sum(c or 0 for c in counts.values())
    candidates: list[Candidate] = []
    done = seen = 0
    for number in counts:
        look = _Look(number, detector, frame_interval)
        try:
            with Video.open(videos[number], settings.max_image_pixels) as video:
                for frame in look.through(video.frames()):
                    seen = frame.index + 1
                    on_progress(done + seen, total)
        except UNREADABLE as exc:
            leave_out(videos[number], exc)
            continue
        done += seen
        candidates += look.candidates()
    return candidates


class _Look:
    """A look goes through the frames of one video, and keeps numbers alone, so that memory hardly grows."""

    def __init__(self, video: int, detector: Detector, interval: int) -> None:
        self._video = video
        self._detector = detector
        self._interval = interval
        self._tracker = Tracker()
        self._seen: list[Candidate] = []
        self._sure: dict[int, Detections] = {}
        self._lost: dict[int, dict[int, float]] = {}

    def through(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Look at every n-th frame, and yield all frames up to the last that was looked at."""
        waiting = WaitingFrames()
        tracked = self._tracker.track(waiting.observations(self._observed(frames)))
        for frame, said in waiting.join(tracked):
            shown = said.detections
            sure = self._sure.pop(frame.index, None)
            if sure is not None:
                lost = shown[~(shown.boxes[:, None] == sure.boxes).all(axis=2).any(axis=1)]
                scores = zip(lost.track_ids.tolist(), lost.scores.tolist(), strict=True)
                self._lost[frame.index] = dict(scores)
            yield frame

    def _observed(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Observation]]:
        for frame in frames:
            seen = Observation(frame.index, frame.time, frame.size, View.of(frame.planes[0]), None)
            if frame.index % self._interval:
                yield frame, seen
                continue
            found = _find(self._detector, frame)
            sure = found[found.scores >= self._detector.min_confidence]
            confidence = self._detector.min_confidence
            doubt = max((uncertainty(float(score), confidence) for score in found.scores), default=0.0)
            self._seen.append(Candidate(self._video, frame.index, frame.time, doubt, SCORE))
            self._sure[frame.index] = sure
            yield frame, replace(seen, detections=sure)

    def candidates(self) -> list[Candidate]:
        """Return the frames looked at; only at the end is it known which potholes came again."""
        last = {track.id: track.last_frame for track in self._tracker.tracks()}
        result = []
        for seen in self._seen:
            lost = self._lost[seen.index]
            score = max((s for track, s in lost.items() if last[track] > seen.index), default=0.0)
            flickers = replace(seen, uncertainty=score, reason=FLICKERS)
            result.append(flickers if score > seen.uncertainty else seen)
        return result


def _find(detector: Detector, frame: Frame) -> Detections:
    [found] = detector.predict([frame.rgb()], DOUBTFUL * detector.min_confidence)
    return found


def _write(
    path: Path,
    name: str,
    wanted: dict[int, Candidate],
    detector: Detector,
    settings: Settings,
    writer: LabelWriter,
) -> None:
    """Write the wanted frames of a video, by index; they are decoded again, since to keep them costs more."""
    if not wanted:
        return
    with Video.open(path, settings.max_image_pixels) as video:
        for frame in video.frames():
            if frame.index in wanted:
                why = wanted[frame.index]
                about = {"source": name, "reason": why.reason, "uncertainty": round(why.uncertainty, 3)}
                writer.add(f"{name}_{frame.index:06d}.jpg", frame.rgb(), _find(detector, frame), about)
            if frame.index >= max(wanted):
                return

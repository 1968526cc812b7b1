"""Key frames are the frames that the detector sees."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from operator import index

from pothole.detection.detector import Detector
from pothole.detections import Detections
from pothole.errors import ModelError
from pothole.media import Frame
from pothole.tracking.observation import MAX_TIME, EarlierFrame, Observation, is_sparse
from pothole.tracking.optical_flow import Step, View
from pothole.types import Size

# Between two key frames the road may move by so much, in parts of the picture's height.
MAX_TRAVEL = 0.115


class KeyFrames:
    """A `KeyFrames` chooses the frames that the detector sees: the first, and then as the road moves.

    Args:
        interval: Choose every n-th frame, whatever happens in them; None to go by motion.
        max_frames: Frames from one key frame to the next that fit into memory.

    Attributes:
        max_frames: The same.
    """

    def __init__(self, interval: int | None = None, max_frames: int = 64) -> None:
        self._interval, self.max_frames = interval, max_frames
        self._travel = 0.0
        self._last: tuple[int, Fraction] | None = None  # index and time of the last key frame
        self._before = Fraction(0)  # time of the frame before

    def is_key_frame(self, index: int, time: Fraction, step: Step | None) -> bool:
        """Say whether the detector should see a frame; the caller asks this of each frame, in order.

        Args:
            index: The frame's number, counted from 0.
            time: Seconds since the first frame.
            step: The motion since the frame before; None for the first one.
        """
        gap, self._before = time - self._before, time
        if step is not None and self._interval is None:
            self._travel += step.travel
        due = self._last is None or self._is_due(index, time, gap, *self._last)
        if due:
            self.start_from(index, time)
        return due

    def start_from(self, index: int, time: Fraction) -> None:
        """Go on from a key frame that was chosen before."""
        self._last, self._travel, self._before = (index, time), 0.0, time

    def _is_due(
        self, index: int, time: Fraction, gap: Fraction, last_index: int, last_time: Fraction
    ) -> bool:
        if index - last_index >= min(self._interval or self.max_frames, self.max_frames):
            return True
        moved = self._travel >= MAX_TRAVEL or time - last_time >= MAX_TIME
        return self._interval is None and (moved or is_sparse(gap))


def detect_key_frames(
    frames: Iterable[Frame],
    detector: Detector,
    key_frames: KeyFrames,
    min_confidence: float | None = None,
    last_key_frame: int = -1,
    batch_size: int = 1,
) -> Iterator[tuple[Frame, Observation | EarlierFrame]]:
    """Run the detector on the key frames and on the last frame.

    Args:
        frames: In order.
        detector: Finds the objects.
        key_frames: Chooses the key frames.
        min_confidence: Score threshold; the model's own when None.
        last_key_frame: Index of the key frame up to which an earlier attempt came; -1 for none.
        batch_size: Key frames that the detector sees in one call; frames wait until there are so many.

    Yields:
        Each frame, and what the tracker is told of it.

    Raises:
        ModelError: The detector wants a size that cannot be, or did not answer with the objects of each
            picture, in that picture's size.
    """
    view: View | None = None
    held: list[tuple[Frame, View]] = []
    chosen: set[int] = set()  # key frames among them
    for frame in frames:
        # The last frame is seen in any case, so one is held until it is known whether it is the last.
        if held and (not chosen or len(chosen) == batch_size or len(held) >= key_frames.max_frames):
            yield from _observed(held, chosen, detector, min_confidence)
            held, chosen = [], set()
        before, view = view, View.of(frame.planes[0])
        if frame.index <= last_key_frame:
            key_frames.start_from(frame.index, frame.time)
            yield frame, EarlierFrame(frame.index, frame.time, frame.size, view)
            continue
        if key_frames.is_key_frame(frame.index, frame.time, Step(before, view) if before else None):
            chosen.add(frame.index)
        held.append((frame, view))
    if held:
        yield from _observed(held, chosen | {held[-1][0].index}, detector, min_confidence)


def _observed(
    held: Sequence[tuple[Frame, View]], chosen: set[int], detector: Detector, min_confidence: float | None
) -> Iterator[tuple[Frame, Observation]]:
    """Yield frames with what the detector sees, in one call, in those that are chosen."""
    seen = [frame for frame, _ in held if frame.index in chosen]
    small = [frame.rgb(_input_size(frame, detector)) for frame in seen]
    answer = detector.predict(small, min_confidence, [frame.size for frame in seen]) if seen else []
    found = dict(zip((frame.index for frame in seen), _checked(answer, seen, detector), strict=True))
    for frame, view in held:
        yield frame, Observation(frame.index, frame.time, frame.size, view, found.get(frame.index))


def _input_size(frame: Frame, detector: Detector) -> Size:
    """Return the size in which a detector, which may be a user's own, wants a frame."""
    size = detector.input_size(frame.size)
    with suppress(TypeError, ValueError):  # of what are no two whole numbers
        height, width = map(index, size)
        if 0 < height <= frame.size[0] and 0 < width <= frame.size[1]:
            return height, width
    raise ModelError(
        f"The detector {detector.name!r} wants frame {frame.index} in the size {size!r}.",
        f"Its input_size has to return (height, width): whole numbers from 1 up to the frame's {frame.size}.",
    )


def _checked(answer: object, frames: Sequence[Frame], detector: Detector) -> Iterator[Detections]:
    """Yield the answers of a detector, which may be a user's own, one for each frame."""
    if not frames:
        return
    answers = list(answer) if isinstance(answer, Iterable) else None
    if answers is None or len(answers) != len(frames):
        got = type(answer).__name__ if answers is None else f"a list of {len(answers)}"
        raise _wrong_answer(f"{got} for {len(frames)} pictures", frames[0], detector)
    for found, frame in zip(answers, frames, strict=True):
        match found:
            case Detections(image_size=size) if tuple(size) != tuple(frame.size):
                raise _wrong_answer(f"one in a picture of {size}", frame, detector)
            case Detections(class_names=names) if len(found) and tuple(names) != tuple(detector.class_names):
                raise _wrong_answer(f"objects of the classes {names}", frame, detector)
            case Detections():
                yield found
            case _:
                raise _wrong_answer(f"a list with {type(found).__name__}", frame, detector)


def _wrong_answer(got: str, frame: Frame, detector: Detector) -> ModelError:
    return ModelError(
        f"The detector {detector.name!r} answered frame {frame.index} with {got}.",
        f"Its predict has to return one Detections for each picture, here of image_size {frame.size} and of "
        f"its own class_names, {detector.class_names}.",
    )

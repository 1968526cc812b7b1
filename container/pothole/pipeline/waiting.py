"""Frames wait in the pipeline until the tracker, which does not hold them, has decided what they show."""

from collections import deque
from collections.abc import Iterable, Iterator

from pothole.media import Frame
from pothole.tracking.observation import EarlierFrame, Observation, TrackedFrame


class WaitingFrames:
    """Waiting frames are kept here while the tracker works, and joined with what it says of them.

    Both sides are used in the same thread: the tracker pulls at one while the other is pulled at.

    Args:
        first: Index of the first frame that the tracker gives; those before are let go of.
    """

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._frames: deque[Frame] = deque()

    def observations(
        self, pairs: Iterable[tuple[Frame, Observation | EarlierFrame]]
    ) -> Iterator[Observation | EarlierFrame]:
        """Yield what the tracker is told, and keep the frames."""
        for frame, observation in pairs:
            if frame.index >= self._first:
                self._frames.append(frame)
            yield observation

    def join(self, tracked: Iterable[TrackedFrame]) -> Iterator[tuple[Frame, TrackedFrame]]:
        """Yield each frame with what the tracker says of it, in order."""
        for said in tracked:
            frame = self._frames.popleft()
            assert frame.index == said.index, f"expected frame {said.index}, got {frame.index}"
            yield frame, said

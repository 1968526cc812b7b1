"""Checkpoints are in places that depend on the video alone, so that a job taken up has them where it had."""

from collections.abc import Container, Sequence
from fractions import Fraction

MAX_FRAMES = 5000  # frames of a segment, however fast they follow one another
MAX_STRETCH = 2  # a segment that waits for a frame to end before is at most so many times as long


class Places:
    """`Places` chooses the frames with which segments begin.

    Args:
        segment_s: Seconds of video from one checkpoint to the next; None for none.
        begins: Indices of frames that are fit for it; None for any.
    """

    def __init__(self, segment_s: int | None, begins: Container[int] | None = None) -> None:
        self._segment_s, self._begins = segment_s, begins
        self._start: tuple[int, Fraction] | None = None

    def release(self, index: int, time: Fraction) -> None:
        """Take note of the next frame that is released."""
        self._start = self._start or (index, time)

    def next_begin(self, released: Sequence[tuple[int, Fraction]]) -> int | None:
        """Return the index of the frame with which the next segment begins; None while it is not yet time.

        Args:
            released: Index and time of frames, taken note of before; a checkpoint can be behind one of them.
        """
        if self._start is None or self._segment_s is None or not released:
            return None
        last = released[-1]
        parts = max(
            (last[1] - self._start[1]) / self._segment_s, Fraction(last[0] - self._start[0], MAX_FRAMES)
        )
        if parts < 1:
            return None
        fitting = [i + 1 for i, _ in released if self._begins is None or i + 1 in self._begins]
        if self._begins is None or (not fitting and parts >= MAX_STRETCH):
            fitting = [last[0] + 1]
        if not fitting:
            return None
        behind = [frame for frame in released if frame[0] >= fitting[0]]
        self._start = behind[0] if behind else None
        return fitting[0]

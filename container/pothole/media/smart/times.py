"""Packets that are shown in another order than that of coding are given times at which to decode them."""

from __future__ import annotations

import heapq

from pothole.media.info import VideoInfo
from pothole.media.smart.plan import CopyPlan


class DecodingTimes:
    """Decoding times are given to packets in the order of coding: each the time of a picture shown earlier.

    Args:
        reorder: How many pictures earlier.
        step: Units between two pictures, before the first of them.

    Attributes:
        lead: Units by which the first packet is decoded before it is shown.
    """

    def __init__(self, reorder: int, step: int) -> None:
        self._reorder, self._step = reorder, step
        self.lead = reorder * step
        self._shown: list[int] = []
        self._first: int | None = None

    @classmethod
    def of(cls, info: VideoInfo, plan: CopyPlan | None) -> DecodingTimes:
        """Return those of a video's packets; without a plan they are shown in the order of coding."""
        return cls(plan.reorder if plan else 0, max(1, round(1 / (info.rate * info.time_base))))

    def take(self, shown: int) -> int:
        """Return when the next packet is to be decoded, which is shown at a time; both in units."""
        self._first = shown if self._first is None else self._first
        heapq.heappush(self._shown, shown)
        if len(self._shown) > self._reorder:
            return heapq.heappop(self._shown)
        return self._first - (self._reorder - len(self._shown) + 1) * self._step

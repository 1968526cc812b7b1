"""The horizon and the scale of the road follow from its flow, and from the speed of the camera.

A camera that drives straight on sees a point of the road at x, y go to x', y' with

    y' - y = k (y - h) (y' - h)        x' - x = k (x - v) (y' - h)        k = s / (focal length × height)

where h is the row of the horizon, v the column towards which it drives, s the metres driven, and the height
is that of the camera above the road; for a camera that looks down by an angle, cos² of it stands beside s.
These are exact, for however large a step. Each pair of frames has besides these a shift of its own, since
the camera nods and turns, which is fitted with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pothole.geo.flow import Flow, Numbers
from pothole.types import Size

ROUNDS = 4  # of weighting outliers down
COARSE = np.linspace(-0.15, 0.62, 24)  # rows of the horizon that are tried, in parts of the height
FINE = np.linspace(-0.05, 0.05, 11)  # those around the best of them
OUTLIER = 2.0  # pixels of the video, at a height of 720, from which a point is not of the road
MIN_BELOW = 0.04  # part of the height by which a point lies below the horizon, or tells little
MIN_POINTS = 12  # of a flow
MIN_FLOWS = 3
MAX_FLOWS = 40  # from which the row is found; more make it no better than the road is flat
MIN_TRAVEL = 2e-5  # k of a camera that stands
DRAWS = 40
TOO_FEW = 1.0  # the cost of a flow with too few points below the row
BATCH = 256  # flows that are worked on at a time


@dataclass(frozen=True)
class Horizon:
    """A horizon is where the road ends in the picture, and how fast it comes nearer.

    Attributes:
        row: Its row, in pixels.
        row_sigma: Pixels by which it may be off, as a standard deviation.
        column: The column towards which the camera drives.
        times: `(n,)` seconds of the video.
        rates: `(n,)` k of each second, NaN where it was not found.
    """

    row: float
    row_sigma: float
    column: float
    times: Numbers
    rates: Numbers


def find_horizon(flows: Sequence[Flow], size: Size) -> Horizon | None:
    """Return the horizon of a drive; None where too little of a road was seen moving.

    Args:
        flows: Of the drive.
        size: Picture `(height, width)`.
    """
    usable = [flow for flow in flows if len(flow.points) >= MIN_POINTS]
    if len(usable) < MIN_FLOWS:
        return None
    some = _Fits(usable[:: -(-len(usable) // MAX_FLOWS)], size)
    coarse = COARSE * size[0]
    costs, rates, _ = some.at_rows(coarse)
    moving = rates[costs.argmin(0), np.arange(costs.shape[1])] > MIN_TRAVEL
    if moving.sum() < MIN_FLOWS:
        return None
    rows = coarse[costs[:, moving].sum(1).argmin()] + FINE * size[0]
    costs, _, columns = some.at_rows(rows)
    costs = costs[:, moving]
    row = _lowest(rows, costs.sum(1))
    # Flows drawn anew from these tell how sure the row is.
    rng = np.random.default_rng(0)
    count = costs.shape[1]
    draws = [_lowest(rows, costs[:, rng.integers(0, count, count)].sum(1)) for _ in range(DRAWS)]
    batches = [usable[i : i + BATCH] for i in range(0, len(usable), BATCH)]
    all_rates = np.concatenate([_Fits(batch, size).at(row)[1] for batch in batches])
    gaps = np.array([flow.gap for flow in usable])
    return Horizon(
        row=row,
        row_sigma=float(np.std(draws)) + size[0] / 720 * 0.5,
        column=float(np.nanmedian(columns[costs.sum(1).argmin(), moving])),
        times=np.array([flow.time for flow in usable]),
        rates=all_rates / gaps,
    )


def _lowest(rows: Numbers, costs: Numbers) -> float:
    """Return where a curve is lowest, between the rows that were tried."""
    i = int(costs.argmin())
    if not 0 < i < len(rows) - 1:
        return float(rows[i])
    before, here, after = costs[i - 1 : i + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(rows[i] + shift * (rows[1] - rows[0]))


class _Fits:
    """These fits solve the equations above for many flows at once, for a given row of the horizon.

    Their points stand in arrays `(flows, points)`; smaller flows are filled up by points that do not count.
    """

    def __init__(self, flows: Sequence[Flow], size: Size) -> None:
        longest = max(len(flow.points) for flow in flows)
        both = np.zeros((4, len(flows), longest))
        self._counts = np.zeros((len(flows), longest), bool)
        for i, flow in enumerate(flows):
            n = len(flow.points)
            both[:, i, :n] = *flow.points.T, *flow.moved.T
            self._counts[i, :n] = True
        self._x, self._y, self._to_x, self._to_y = both
        self._height = size[0]
        self._scale = size[0] / 720 * OUTLIER

    def at_rows(self, rows: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Return what `at` does for several rows, each `(rows, flows)`."""
        costs, rates, columns = zip(*(self.at(float(row)) for row in rows), strict=True)
        return np.array(costs), np.array(rates), np.array(columns)

    def at(self, row: float) -> tuple[Numbers, Numbers, Numbers]:
        """Return for each flow the mean cost of a point, k, and the column."""
        below = self._counts & (self._y > row + MIN_BELOW * self._height) & (self._to_y > row + 1)
        moved_y, moved_x = self._to_y - self._y, self._to_x - self._x
        zero, one = np.zeros_like(moved_y), np.ones_like(moved_y)
        weights = below.astype(float)
        solution = np.zeros((len(moved_y), 4))
        squares = zero
        for _ in range(ROUNDS):
            # Unknown are k, k times the column, a shift of y, and a shift of x. That of y is no driving.
            near = self._to_y - solution[:, 2:3] - row
            of_y = np.stack([(self._y - row) * near, zero, one, zero], axis=-1)
            of_x = np.stack([self._x * near, -near, zero, one], axis=-1)
            left = np.einsum("fp,fpi,fpj->fij", weights, of_y, of_y) + np.einsum(
                "fp,fpi,fpj->fij", weights, of_x, of_x
            )
            right = np.einsum("fp,fpi,fp->fi", weights, of_y, moved_y) + np.einsum(
                "fp,fpi,fp->fi", weights, of_x, moved_x
            )
            # A shade more on each diagonal, for flows that leave something undetermined.
            shade = 1e-9 * np.einsum("fii->fi", left) + 1e-12
            left += np.eye(4) * shade[:, :, None]
            solution = np.linalg.solve(left, right[..., None])[..., 0]
            off_y = (moved_y - np.einsum("fpi,fi->fp", of_y, solution)) / self._scale
            off_x = (moved_x - np.einsum("fpi,fi->fp", of_x, solution)) / self._scale
            squares = off_y**2 + off_x**2
            weights = below / (1 + squares) ** 2  # Geman and McClure
        enough = below.sum(1) >= MIN_POINTS
        costs = (below * squares / (1 + squares)).sum(1) / np.maximum(below.sum(1), 1)
        rates = np.where(enough, solution[:, 0], 0.0)
        columns = np.where(enough & (rates != 0), solution[:, 1] / np.where(rates != 0, rates, 1.0), np.nan)
        return np.where(enough, costs, TOO_FEW), rates, columns

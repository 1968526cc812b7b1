"""Where textures lie on the road plane, and fields that all of them read."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roads.noise import Field, fractal

Texture = NDArray[np.uint8]


@dataclass(frozen=True)
class Plan:
    """A rectangle of the road plane and how finely it is drawn; row 0 is nearest, column 0 leftmost.

    Attributes:
        left: Metres, x of the left edge.
        start: Metres, z of the first row.
        shape: `(rows, columns)`.
        across: Pixels a metre in x.
        along: Pixels a metre in z.
    """

    left: float
    start: float
    shape: tuple[int, int]
    across: float
    along: float

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn `(n, 2)` metres `(x, z)` into `(n, 2)` pixel coordinates (pixel centres are whole)."""
        return (points - (self.left, self.start)) * (self.across, self.along) - 0.5

    @property
    def x(self) -> Field:
        """Return x of each column, in metres."""
        return ((np.arange(self.shape[1]) + 0.5) / self.across + self.left).astype(np.float32)

    def mask(self, polygons: list[NDArray[np.float64]], soften: float = 0.0) -> Field:
        """Return `(rows, columns)` float32 0..1 with polygons of metres filled, edges softened by metres."""
        canvas: NDArray[np.uint8] = np.zeros(self.shape, np.uint8)
        fixed = [np.round(self.pixels(p) * 16).astype(np.int32) for p in polygons]
        cv2.fillPoly(canvas, fixed, 255, cv2.LINE_AA, shift=4)
        if soften:
            sigma = soften * self.across, soften * self.along
            canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), sigma[0], sigmaY=sigma[1]), np.uint8)
        return canvas.astype(np.float32) / 255

    def part(self, box: tuple[float, float, float, float]) -> tuple["Plan", tuple[slice, slice]]:
        """Return the plan and slices of the box `(left, near, right, far)` in metres, cut at the edges."""
        low = np.floor(self.pixels(np.array([box[:2]]))[0]).astype(int)
        high = np.ceil(self.pixels(np.array([box[2:]]))[0]).astype(int) + 1
        left, right = (int(np.clip(v, 0, self.shape[1])) for v in (low[0], high[0]))
        near, far = (int(np.clip(v, 0, self.shape[0])) for v in (low[1], high[1]))
        plan = Plan(
            self.left + left / self.across,
            self.start + near / self.along,
            (far - near, right - left),
            self.across,
            self.along,
        )
        return plan, (slice(near, far), slice(left, right))


@dataclass(frozen=True)
class Coarse:
    """A field that varies slowly over the plane, drawn coarsely once and read by every texture.

    Attributes:
        plan: Where it lies.
        values: `plan.shape` float32.
    """

    plan: Plan
    values: Field

    @classmethod
    def fractal(
        cls,
        rng: np.random.Generator,
        half_width: float,
        length: float,
        scale: float,
        cell: tuple[float, float],
        octaves: int,
    ) -> "Coarse":
        """Draw noise, `scale` pixels a metre, its largest features `cell` metres along and across."""
        plan = Plan(-half_width, 0.0, (int(length * scale), int(2 * half_width * scale)), scale, scale)
        return cls(plan, fractal(rng, plan.shape, (cell[0] * scale, cell[1] * scale), octaves))

    def at(self, plan: Plan, rows: slice, columns: slice) -> Field:
        """Return its values on a place of another plan; beyond its edges the last ones go on."""
        x = (np.arange(columns.start, columns.stop) + 0.5) / plan.across + plan.left - self.plan.left
        z = (np.arange(rows.start, rows.stop) + 0.5) / plan.along + plan.start - self.plan.start
        x, z = x * self.plan.across - 0.5, z * self.plan.along - 0.5
        first = int(np.clip(z[0] - 1, 0, self.plan.shape[0] - 2))
        last = int(np.clip(z[-1] + 3, first + 2, self.plan.shape[0]))
        map_x, map_z = np.meshgrid(x.astype(np.float32), (z - first).astype(np.float32))
        part = self.values[first:last]
        return np.asarray(
            cv2.remap(part, map_x, map_z, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
        )


def blend(
    texture: Texture, place: tuple[slice, slice], alpha: Field, colour: Field | NDArray[np.float64]
) -> None:
    """Mix RGB 0..1 into a place of the texture, where `alpha` is 1 wholly."""
    old = texture[place].astype(np.float32)
    texture[place] = np.clip(old + (np.asarray(colour, np.float32) * 255 - old) * alpha[..., None], 0, 255)

"""What the road and its sides are made of, drawn on a texture seen from above."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from roads.noise import Field, fractal, smoothstep

Texture = NDArray[np.uint8]

SIDES: dict[str, tuple[tuple[float, float, float], float, float]] = {
    # RGB in 0..1, contrast of the grain, contrast of the blotches
    "grass": (0.39, 0.43, 0.24, 0.2, 0.2),
    "dry grass": (0.52, 0.49, 0.35, 0.17, 0.16),
    "dirt": (0.50, 0.41, 0.31, 0.1, 0.12),
    "red dirt": (0.50, 0.34, 0.27, 0.1, 0.12),
    "gravel": (0.46, 0.44, 0.41, 0.2, 0.08),
    "kerb": (0.62, 0.61, 0.58, 0.05, 0.06),
    "pavement": (0.56, 0.54, 0.51, 0.07, 0.07),
}


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
        """Metres, x of each column."""
        return ((np.arange(self.shape[1]) + 0.5) / self.across + self.left).astype(np.float32)

    def mask(self, polygons: list[NDArray[np.float64]], soften: float = 0.0) -> Field:
        """Return `(rows, columns)` float32 0..1 with polygons of metres filled, edges softened by metres."""
        canvas = np.zeros(self.shape, np.uint8)
        fixed = [np.round(self.pixels(p) * 16).astype(np.int32) for p in polygons]
        cv2.fillPoly(canvas, fixed, 255, cv2.LINE_AA, shift=4)
        if soften:
            canvas = cv2.GaussianBlur(canvas, (0, 0), soften * self.across, sigmaY=soften * self.along)
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
class Style:
    """What kind of road this is, drawn once by `Style.draw`.

    Attributes:
        half_width: Metres from the axis to the edge of the asphalt.
        lane: Metres, width of a lane.
        asphalt: RGB in 0..1.
        grain: Contrast of the aggregate.
        blotches: Contrast of the large stains.
        wheel_paths: Brightness of the wheel paths against the rest, 0 is the same.
        centre_line: "double yellow", "yellow dashes", "white dashes", "none".
        edge_line: Whether a white line runs along each edge.
        wear: Share of the paint that is gone.
        sides: For left and right, strips from the asphalt outwards: kind and width in metres.
    """

    half_width: float
    lane: float
    asphalt: tuple[float, float, float]
    grain: float
    blotches: float
    wheel_paths: float
    centre_line: str
    edge_line: bool
    wear: float
    sides: tuple[tuple[tuple[str, float], ...], ...] = field(repr=False)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Style":
        """Draw the style of a road."""
        lane = rng.uniform(3.0, 3.7)
        bright = np.exp(rng.normal(np.log(0.46), 0.22))
        tint = np.array([[1, 1, 1], [1.04, 1, 0.94], [1.07, 0.99, 0.94], [0.98, 1, 1.02]])[rng.integers(4)]
        r, g, b = np.clip(bright * tint, 0.14, 0.72)
        return cls(
            half_width=lane + rng.choice([0.3, 0.6, 1.2, 2.4]),
            lane=lane,
            asphalt=(r, g, b),
            grain=rng.uniform(0.06, 0.2),
            blotches=rng.uniform(0.03, 0.1),
            wheel_paths=rng.normal(0, 0.09),
            centre_line=rng.choice(
                ["double yellow", "yellow dashes", "white dashes", "none"], p=[0.25, 0.2, 0.25, 0.3]
            ),
            edge_line=bool(rng.random() < 0.6),
            wear=rng.uniform(0.05, 0.6),
            sides=(cls._side(rng), cls._side(rng)),
        )

    @staticmethod
    def _side(rng: np.random.Generator) -> tuple[tuple[str, float], ...]:
        kinds: list[tuple[tuple[str, float], ...]] = [
            (("gravel", rng.uniform(0.3, 1)), ("grass", 500)),
            (("dirt", rng.uniform(0.5, 2)), ("grass", 500)),
            (("red dirt", rng.uniform(0.6, 2.5)), ("grass", 500)),
            (("dirt", rng.uniform(0.5, 2)), ("dry grass", 500)),
            (("grass", 500),),
            (("kerb", 0.2), ("pavement", rng.uniform(1.2, 3)), ("grass", 500)),
            (("kerb", 0.25), ("grass", 500)),
            (("dirt", 500),),
        ]
        return kinds[rng.integers(len(kinds))]


def draw_asphalt(rng: np.random.Generator, plan: Plan, style: Style) -> Texture:
    """Draw bare asphalt over the whole plan, RGB uint8."""
    rows, columns = plan.shape
    texture = np.empty((rows, columns, 3), np.uint8)
    tile = _aggregate(rng, (1024, columns)) * style.grain
    large = fractal(
        rng, (max(2, rows // 16), columns // 16), (4 * plan.along / 16, 1.5 * plan.across / 16), 5
    )
    lanes = np.abs(np.abs(plan.x) - style.lane / 2)
    wheels = np.exp(-(((lanes - 0.8) / 0.35) ** 2)) - 0.5 * np.exp(-((lanes / 0.5) ** 2))
    profile = 1 + style.wheel_paths * wheels + 0.015 * fractal(rng, (4, columns), (8, 0.4 * plan.across))[0]
    wear = fractal(rng, (max(2, rows // 64), 2), (12 * plan.along / 64, 8))
    for first in range(0, rows, 1024):
        band = slice(first, min(first + 1024, rows))
        worn = 0.6 + 0.4 * _enlarge(wear, band, (rows, 2))[:, :1]
        stains = _enlarge(large, band, (rows, columns))
        # The same kilobytes of stones again and again, moved and mirrored so that nobody sees it.
        grain = np.roll(tile, (rng.integers(1024), rng.integers(columns)), (0, 1))[:: rng.choice([-1, 1])]
        brightness = (1 + (profile - 1) * worn) * (1 + style.blotches * stains) + grain[: band.stop - first]
        for channel in range(3):
            value = brightness * (style.asphalt[channel] * 255)
            np.clip(value, 8, 245, out=value)
            texture[band, :, channel] = value
    return texture


def _aggregate(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    fine = rng.standard_normal(shape, np.float32) * 0.6
    medium = cv2.resize(rng.standard_normal((shape[0] // 2, shape[1] // 2), np.float32), shape[::-1])
    coarse = fractal(rng, shape, (24, 48), 3)
    bright = cv2.GaussianBlur((rng.random(shape) < 0.012).astype(np.float32), (0, 0), 0.6) * 6
    pits = cv2.GaussianBlur((rng.random(shape) < 0.008).astype(np.float32), (3, 5), 0.8) * 9
    return np.asarray(fine + 0.6 * medium + 0.25 * coarse + bright - pits, np.float32)


def draw_sides(rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, inner: float) -> None:
    """Draw the roadside in place, right and left of the asphalt.

    Args:
        rng: Source of randomness.
        texture: `plan.shape` RGB.
        plan: Where the texture lies.
        style: Gives the strips.
        inner: Metres from the axis; what lies nearer is drawn elsewhere and left out.
    """
    rows, width = plan.shape
    grain_tile = fractal(rng, (512, width), (5, 5), 3)
    coarse = (max(4, rows // 8), max(4, width // 8))
    blotches = fractal(rng, coarse, (5 * plan.along / 8, 2.5 * plan.across / 8), 4)
    for strips, sign in zip(style.sides, (-1, 1), strict=True):
        wobble = fractal(rng, (rows, 2), (1.5 * plan.along, 9), 5)[:, :1]
        columns = np.flatnonzero(plan.x * sign > max(style.half_width - 0.4, inner - 0.5))
        if len(columns) == 0:
            continue
        place = slice(columns[0], columns[-1] + 1)
        distance = plan.x[place] * sign - style.half_width
        for first in range(0, rows, 512):
            band = slice(first, min(first + 512, rows))
            blotch = _enlarge(blotches, band, (rows, width))[:, place]
            grain = np.roll(grain_tile, rng.integers(512), 0)[: band.stop - first, place]
            start = 0.0
            for kind, strip_width in strips:
                *colour, grained, blotched = SIDES[kind]
                ragged = 0.0 if kind in ("kerb", "pavement") else 0.12
                inside = smoothstep(0, 0.06, distance + ragged * wobble[band] - start)[..., None]
                value = 1 + grained * grain + blotched * blotch
                if kind == "pavement":
                    value *= 1 - 0.25 * ((distance % 0.5) < 0.02)
                if kind == "kerb":
                    value *= 1 - 0.3 * smoothstep(0.06, 0, np.abs(distance - start))
                layer = np.clip(value[..., None] * np.array(colour, np.float32) * 255, 5, 250)
                old = texture[band, place]
                texture[band, place] = old + (layer - old) * inside
                start += strip_width


def _enlarge(coarse: Field, band: slice, shape: tuple[int, int]) -> Field:
    """Return the rows `band` of `coarse` as it would be enlarged to `shape`."""
    z = (np.arange(band.start, band.stop, dtype=np.float32) + 0.5) * (coarse.shape[0] / shape[0]) - 0.5
    x = (np.arange(shape[1], dtype=np.float32) + 0.5) * (coarse.shape[1] / shape[1]) - 0.5
    first, last = max(int(z[0]) - 1, 0), int(z[-1]) + 3
    map_x, map_z = np.meshgrid(x, z - first)
    return cv2.remap(coarse[first:last], map_x, map_z, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def draw_markings(rng: np.random.Generator, texture: Texture, plan: Plan, style: Style) -> None:
    """Draw worn lane markings in place."""
    end = plan.start + plan.shape[0] / plan.along
    white, yellow = np.array([0.82, 0.82, 0.79]), np.array([0.80, 0.60, 0.19])
    lines: list[tuple[float, bool, NDArray[np.float64]]] = []
    if style.edge_line:
        lines += [(-style.lane, False, white), (style.lane, False, white)]
    if style.centre_line == "double yellow":
        lines += [(-0.12, False, yellow), (0.12, False, yellow)]
    elif style.centre_line != "none":
        lines += [(0.0, True, yellow if style.centre_line == "yellow dashes" else white)]
    for x, dashed, colour in lines:
        period, length = (rng.uniform(8, 12), rng.uniform(2.5, 4)) if dashed else (end - plan.start, end)
        starts = np.arange(plan.start - rng.uniform(0, period) * dashed, end, period)
        boxes = [_box(x - 0.065, z, x + 0.065, z + length) for z in starts]
        part, place = plan.part((x - 0.1, plan.start, x + 0.1, end))
        if 0 in part.shape:
            continue
        paint = part.mask(boxes)
        worn = fractal(rng, part.shape, (0.6 * plan.along, 0.1 * plan.across), 6)
        paint *= smoothstep(-0.5, 0.5, worn + 2.2 - 3.2 * style.wear) * 0.92
        blend(texture, place, paint, colour * rng.uniform(0.85, 1.1))


def blend(
    texture: Texture, place: tuple[slice, slice], alpha: Field, colour: Field | NDArray[np.float64]
) -> None:
    """Mix RGB 0..1 into a place of the texture, where `alpha` is 1 wholly."""
    old = texture[place].astype(np.float32)
    texture[place] = np.clip(old + (np.asarray(colour, np.float32) * 255 - old) * alpha[..., None], 0, 255)


def _box(left: float, near: float, right: float, far: float) -> NDArray[np.float64]:
    return np.array([(left, near), (right, near), (right, far), (left, far)])

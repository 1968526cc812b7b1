"""What the road and its sides are made of, drawn on a texture seen from above."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from roads.noise import Field, fractal, smoothstep
from roads.plane import Coarse, Plan, Texture, blend

SIDES: dict[str, tuple[float, float, float, float, float]] = {
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
    length = rows / plan.along
    large = Coarse.fractal(rng, -plan.left, length, 8.0, (4, 1.5), 5)
    worn = Coarse.fractal(rng, 1.0, length, 2.0, (12, 9), 4)
    lanes = np.abs(np.abs(plan.x) - style.lane / 2)
    wheels = np.exp(-(((lanes - 0.8) / 0.35) ** 2)) - 0.5 * np.exp(-((lanes / 0.5) ** 2))
    profile = 1 + style.wheel_paths * wheels + 0.015 * fractal(rng, (4, columns), (8, 0.4 * plan.across))[0]
    for first in range(0, rows, 1024):
        band = slice(first, min(first + 1024, rows))
        wear = 0.6 + 0.4 * worn.at(plan, band, slice(columns // 2, columns // 2 + 1))
        stains = large.at(plan, band, slice(0, columns))
        # The same kilobytes of stones again and again, moved and mirrored so that nobody sees it.
        grain = np.roll(tile, (rng.integers(1024), rng.integers(columns)), (0, 1))[:: rng.choice([-1, 1])]
        brightness = (1 + (profile - 1) * wear) * (1 + style.blotches * stains) + grain[: band.stop - first]
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


def draw_sides(
    rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, blotches: Coarse, inner: float
) -> None:
    """Draw the roadside in place, right and left of the asphalt.

    Args:
        rng: Source of randomness.
        texture: `plan.shape` RGB.
        plan: Where the texture lies.
        style: Gives the strips.
        blotches: Lighter and darker places.
        inner: Metres from the axis; what lies nearer is drawn elsewhere and left out.
    """
    rows, width = plan.shape
    grain_tile = fractal(rng, (512, width), (5, 5), 3)
    for strips, sign in zip(style.sides, (-1, 1), strict=True):
        wobble = fractal(rng, (rows, 2), (1.5 * plan.along, 9), 5)[:, :1]
        columns = np.flatnonzero(plan.x * sign > max(style.half_width - 0.4, inner - 0.5))
        if len(columns) == 0:
            continue
        place = slice(columns[0], columns[-1] + 1)
        distance = plan.x[place] * sign - style.half_width
        for first in range(0, rows, 512):
            band = slice(first, min(first + 512, rows))
            blotch = blotches.at(plan, band, place)
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


def _box(left: float, near: float, right: float, far: float) -> NDArray[np.float64]:
    return np.array([(left, near), (right, near), (right, far), (left, far)])

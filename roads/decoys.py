"""What a detector takes for a pothole and should not: cracks, patches, covers, stains, skid marks."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from roads.noise import fractal, smoothstep
from roads.plane import Plan, Texture, blend
from roads.surface import Style

Points = NDArray[np.float64]


class Decoy(NamedTuple):
    """A decoy is something on the road that is no pothole.

    Attributes:
        kind: What it is.
        x: Metres right of the road's axis.
        z: Metres along the road.
    """

    kind: str
    x: float
    z: float


Draw = Callable[[np.random.Generator, Texture, Plan, Style, float, float], None]


def draw_decoys(
    rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, per_metre: float
) -> list[Decoy]:
    """Draw decoys in place, `per_metre` of them a metre of road, at random; return them."""
    kinds: dict[tuple[str, Draw], float] = {
        ("crack", _crack): 0.3,
        ("net of cracks", _alligator): 0.1,
        ("sealed crack", _sealed_crack): 0.1,
        ("patch", _patch): 0.16,
        ("manhole", _cover): 0.06,
        ("stain", _stain): 0.16,
        ("skid mark", _skid): 0.06,
        ("litter", _litter): 0.06,
    }
    decoys = []
    length = plan.shape[0] / plan.along
    for _ in range(rng.poisson(per_metre * length)):
        kind, draw = list(kinds)[rng.choice(len(kinds), p=list(kinds.values()))]
        x = rng.uniform(-style.half_width, style.half_width)
        z = plan.start + rng.uniform(0, length)
        draw(rng, texture, plan, style, x, z)
        decoys.append(Decoy(kind, x, z))
    return decoys


def draw_damage(
    rng: np.random.Generator, texture: Texture, plan: Plan, at: tuple[float, float], size: float
) -> None:
    """Draw, in place, the cracked asphalt that a pothole of `size` metres breaks out of."""
    x, z = at
    if rng.random() < 0.45:
        _crack_field(rng, texture, plan, x, z, size * rng.uniform(1.2, 2.2), size * rng.uniform(1.2, 3))
    paths = []
    for heading in rng.uniform(0, 2 * np.pi, rng.integers(0, 6)):
        start = np.array([np.sin(heading), np.cos(heading)]) * size * 0.4 + (x, z)
        paths.append(_walk(rng, start[0], start[1], heading, size * rng.uniform(0.4, 1.6)))
    if paths:
        _stroke(texture, plan, paths, rng.uniform(0.004, 0.02), _dark(rng, 0.28), rng.uniform(0.5, 0.9))


def _walk(rng: np.random.Generator, x: float, z: float, heading: float, length: float) -> Points:
    steps = max(2, int(length / 0.06))
    angles = heading + np.cumsum(rng.normal(0, 0.25, steps)) * 0.5 + rng.normal(0, 0.4, steps)
    steps_taken = np.column_stack([np.sin(angles), np.cos(angles)]) * 0.06
    return np.array([x, z]) + np.cumsum(steps_taken, axis=0)


def _stroke(
    texture: Texture, plan: Plan, paths: list[Points], width: float, colour: Points, opacity: float
) -> None:
    """Draw lines of a width in metres."""
    everything = np.concatenate(paths)
    low, high = everything.min(0) - width - 0.05, everything.max(0) + width + 0.05
    part, place = plan.part((low[0], low[1], high[0], high[1]))
    if 0 in part.shape:
        return
    canvas = np.zeros(part.shape, np.uint8)
    fixed = [np.round(part.pixels(p) * 16).astype(np.int32) for p in paths]
    thickness = max(1, round(width * plan.along))
    cv2.polylines(canvas, fixed, False, 255, thickness, cv2.LINE_AA, shift=4)
    blend(texture, place, canvas.astype(np.float32) / 255 * opacity, colour)


def _crack(rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, x: float, z: float) -> None:
    heading = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.3)
    main = _walk(rng, x, z, heading, rng.uniform(0.5, 6))
    paths = [main]
    for _ in range(rng.integers(0, 4)):
        start = main[rng.integers(len(main))]
        paths.append(_walk(rng, start[0], start[1], heading + rng.choice([-1, 1]), rng.uniform(0.2, 1.5)))
    _stroke(texture, plan, paths, rng.uniform(0.004, 0.02), _dark(rng, 0.3), rng.uniform(0.4, 0.9))


def _alligator(
    rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, x: float, z: float
) -> None:
    _crack_field(rng, texture, plan, x, z, rng.uniform(0.4, 1.5), rng.uniform(0.6, 4))


def _crack_field(
    rng: np.random.Generator, texture: Texture, plan: Plan, x: float, z: float, width: float, length: float
) -> None:
    """Draw a net of cracks around the centre `(x, z)`."""
    cell = rng.uniform(0.08, 0.22)
    z -= length / 2
    count = int(width * length / cell**2)
    seeds = rng.uniform((x - width / 2, z), (x + width / 2, z + length), (count, 2))
    area = cv2.Subdiv2D()
    bounds = [(x - width) * 1000, (z - 1) * 1000, 2 * width * 1000, (length + 2) * 1000]
    area.initDelaunay([int(v) for v in bounds])
    area.insert((seeds * 1000).astype(np.float32))  # type: ignore[call-overload]  # its stub knows lists alone
    facets = [np.asarray(f) for f in area.getVoronoiFacetList([])[0]]
    # Cells at the hull reach far out; an ellipse makes the field of cracks fade as real ones do.
    rings = [
        np.concatenate([f, f[:1]]).astype(np.float64) / 1000
        for f, seed in zip(facets, seeds, strict=True)
        if np.abs(f / 1000 - seed).max() < 3 * cell
        and np.hypot((seed[0] - x) / width * 2, (seed[1] - z - length / 2) / length * 2) < 1
    ]
    if rings:
        _stroke(texture, plan, rings, rng.uniform(0.004, 0.012), _dark(rng, 0.3), rng.uniform(0.35, 0.8))


def _sealed_crack(
    rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, x: float, z: float
) -> None:
    path = _walk(rng, x, z, rng.choice([0, np.pi / 2]) + rng.normal(0, 0.2), rng.uniform(2, 9))
    _stroke(texture, plan, [path], rng.uniform(0.04, 0.1), _dark(rng, 0.17), rng.uniform(0.7, 0.95))


def _patch(rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, x: float, z: float) -> None:
    width, length = rng.uniform(0.4, 2.2), rng.uniform(0.5, 5)
    part, place = plan.part((x - width, z - length, x + width, z + length))
    if min(part.shape) < 4:
        return
    if rng.random() < 0.6:
        jitter = rng.normal(0, 0.05, (4, 2))
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, length / 2)
        alpha = part.mask([corners + jitter + (x, z)], 0.008)
    else:
        alpha = _blob(rng, part, (x, z), (width / 2, length / 2), 0.25, 0.05)
    old = texture[place].astype(np.float32) / 255
    flat = old.mean((0, 1))
    grain = (old - cv2.blur(old, (9, 9))) * rng.uniform(0.3, 1.1)
    tone = flat * np.exp(rng.normal(-0.25, 0.3)) * rng.uniform(0.97, 1.03, 3)
    rim = np.clip(alpha * (1 - alpha) * 4, 0, 1)[..., None] * rng.uniform(-0.25, 0.1)
    blend(texture, place, alpha * rng.uniform(0.75, 1), np.clip((tone + grain) * (1 + rim), 0, 1))


def _cover(rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, x: float, z: float) -> None:
    radius = rng.uniform(0.28, 0.42)
    part, place = plan.part((x - 0.6, z - 0.6, x + 0.6, z + 0.6))
    if min(part.shape) < 4:
        return
    circle = np.column_stack([np.sin(np.linspace(0, 2 * np.pi, 48)), np.cos(np.linspace(0, 2 * np.pi, 48))])
    ring = part.mask([circle * (radius + 0.06) + (x, z)]) - part.mask([circle * radius + (x, z)])
    lid = part.mask([circle * (radius - 0.012) + (x, z)])
    columns, rows = np.meshgrid(np.arange(part.shape[1]) / part.across, np.arange(part.shape[0]) / part.along)
    pattern = 0.8 + 0.35 * ((columns % 0.05 < 0.028) ^ (rows % 0.05 < 0.028))
    metal = np.array([0.3, 0.28, 0.26]) * rng.uniform(0.7, 1.5)
    blend(texture, place, ring, _dark(rng, 0.33))
    blend(texture, place, lid * 0.95, pattern[..., None] * metal)


def _stain(rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, x: float, z: float) -> None:
    size = (rng.uniform(0.1, 0.9), rng.uniform(0.1, 1.8))
    part, place = plan.part((x - 2 * size[0], z - 2 * size[1], x + 2 * size[0], z + 2 * size[1]))
    if min(part.shape) < 4:
        return
    alpha = _blob(rng, part, (x, z), size, 0.35, rng.uniform(0.1, 0.5))
    colour = _dark(rng, 0.22) if rng.random() < 0.75 else np.array([0.6, 0.56, 0.48]) * rng.uniform(0.8, 1.1)
    blend(texture, place, alpha * rng.uniform(0.2, 0.65), colour)


def _skid(rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, x: float, z: float) -> None:
    length, drift = rng.uniform(3, 18), rng.normal(0, 0.03)
    t = np.linspace(0, 1, 40)
    for side in (-0.75, 0.75):
        path = np.column_stack([x + side + drift * length * t**2, z + t * length])
        _stroke(texture, plan, [path], 0.16, _dark(rng, 0.16), rng.uniform(0.12, 0.4))


def _litter(rng: np.random.Generator, texture: Texture, plan: Plan, style: Style, x: float, z: float) -> None:
    part, place = plan.part((x - 0.5, z - 0.8, x + 0.5, z + 0.8))
    if min(part.shape) < 4:
        return
    spots = rng.uniform((x - 0.45, z - 0.7), (x + 0.45, z + 0.7), (rng.integers(3, 40), 2))
    leaves = [spot + rng.normal(0, rng.uniform(0.006, 0.03), (5, 2)) for spot in spots]
    blend(texture, place, part.mask(leaves) * 0.8, np.array([0.5, 0.42, 0.27]) * rng.uniform(0.5, 1.5))


def _blob(
    rng: np.random.Generator,
    part: Plan,
    at: tuple[float, float],
    size: tuple[float, float],
    rough: float,
    soft: float,
) -> NDArray[np.float32]:
    """Return an irregular spot, 0..1, `size` its half axes in metres."""
    rows = (np.arange(part.shape[0]) + 0.5) / part.along + part.start - at[1]
    reach = np.hypot(((part.x - at[0]) / size[0])[None, :], (rows / size[1])[:, None])
    lumps = fractal(rng, part.shape, (size[1] * part.along, size[0] * part.across), 5)
    return smoothstep(
        0, soft, np.asarray(1 - reach + rough * lumps * np.exp(-((reach - 1) ** 2)), np.float32)
    )


def _dark(rng: np.random.Generator, brightness: float) -> Points:
    return np.asarray(brightness * rng.uniform(0.6, 1.05) * rng.uniform(0.96, 1.04, 3), np.float64)

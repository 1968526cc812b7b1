"""One pothole: its outline on the road, its relief, and how light and a low camera see it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roads.noise import Field, fractal, smoothstep

Colour = tuple[float, float, float]
FLOORS: dict[str, Colour] = {
    "gravel": (0.27, 0.25, 0.23),
    "brown": (0.32, 0.27, 0.22),
    "sand": (0.58, 0.52, 0.43),
    "red soil": (0.42, 0.33, 0.27),
    "old layer": (0.48, 0.47, 0.45),
}
# Patches come in this many pixels, so that they fall on whole pixels of every texture level.
PATCH = 128
FLOOR_ODDS = (0.32, 0.2, 0.2, 0.08, 0.2)


@dataclass(frozen=True)
class Light:
    """The light comes from the sun and the sky.

    Attributes:
        azimuth: Radians from straight ahead, where the sun stands.
        elevation: Radians above the horizon.
        ambient: Share of the light on an open road that comes from the sky; 1 is overcast.
        sky: RGB in 0..1 of the sky that water reflects.
    """

    azimuth: float
    elevation: float
    ambient: float
    sky: Colour

    def __str__(self) -> str:
        return "overcast" if self.ambient > 0.5 else f"sun {np.degrees(self.elevation):.0f}° high"

    def on_flat(self, sunlit: Field) -> Field:
        """Return the brightness of flat ground where `sunlit` (0..1) of the sun arrives."""
        return np.asarray(self.ambient + (1 - self.ambient) * sunlit, np.float32)


@dataclass(frozen=True)
class Pothole:
    """A pothole is a hole in the road.

    Attributes:
        id: From 1, unique on its road.
        x: Metres from the road's axis to the centre of its patch.
        z: Metres along the road to the centre of its patch.
        scale: Pixels a metre of the arrays below.
        inside: `(h, w)` bool, the hole seen from above, z growing downward.
        depth: `(h, w)` float32, metres below the road, 0 outside.
        floor: `(h, w, 3)` float32, RGB in 0..1, the colour of what is inside.
        loose: `(h, w)` float32 in 0..1, gravel and dirt thrown out around the rim.
        water: Metres from the road down to the water, or None when dry.
    """

    id: int
    x: float
    z: float
    scale: float
    inside: NDArray[np.bool_]
    depth: Field
    floor: Field
    loose: Field
    water: float | None

    @property
    def outline(self) -> NDArray[np.float64]:
        """Return the rim as `(n, 2)` points `(x, z)` in metres of the world."""
        contours, _ = cv2.findContours(self.inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        largest = max(contours, key=len)[:, 0, :].astype(np.float64)
        height, width = self.inside.shape
        metres = (largest + 0.5 - np.array([width / 2, height / 2])) / self.scale
        return np.asarray(metres + np.array([self.x, self.z]), np.float64)

    def paint(self, road: Field, sunlit: Field, light: Light, slope: float) -> Field:
        """Paint the hole into its patch of road, as a camera sees it that looks forward and down.

        Args:
            road: `(h, w, 3)` float32, RGB in 0..1, the road's own colour.
            sunlit: `(h, w)` float32, share of the sun that trees and cars let through.
            light: Sun and sky.
            slope: Tangent of the angle at which the camera looks down on the patch.

        Returns:
            `(h, w, 3)` float32, the lit patch.
        """
        edge = cv2.GaussianBlur(self.inside.astype(np.float32), (0, 0), 0.7)[..., None]
        dirt = self.floor.mean((0, 1)) * 0.85
        ground = road * (1 - self.loose[..., None]) + dirt * self.loose[..., None]
        colour = ground * (1 - edge) + self.floor * edge
        depth, brightness = self.depth, np.zeros_like(self.depth)
        if self.water is not None:
            near_water = 1 - smoothstep(0.0, 0.03, self.water - depth + 0.0)
            colour = colour * (1 - 0.45 * near_water * (depth > 0.004))[..., None]
            depth = np.minimum(depth, self.water)
        brightness = self._light(depth, sunlit, light)
        lit = colour * brightness[..., None]
        if self.water is not None:
            wet = smoothstep(0.0, 0.008, self.depth - self.water)[..., None]
            lit = lit * (1 - wet) + self._water_colour(light, slope) * light.on_flat(sunlit)[..., None] * wet
        return _seen_from(lit, depth, slope, self.scale)

    def _light(self, depth: Field, sunlit: Field, light: Light) -> Field:
        height = -depth
        fall_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=self.scale / 8)
        fall_z = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=self.scale / 8)
        # Toward the sun, across and along the road; stones below the sampling would else sparkle.
        toward = np.array([np.sin(light.azimuth), np.cos(light.azimuth)])
        rise = np.tan(light.elevation)
        facing = (rise - fall_x * toward[0] - fall_z * toward[1]) / rise / np.sqrt(1 + fall_x**2 + fall_z**2)
        reach = int(np.ceil(float(depth.max()) / rise * self.scale))
        lit = np.ones_like(depth)
        for step in range(1, reach + 1, max(1, reach // 24)):
            move = np.array([[1, 0, -toward[0] * step], [0, 1, -toward[1] * step]])
            blocker = cv2.warpAffine(height, move, height.shape[::-1])
            lit = np.minimum(lit, 1 - smoothstep(0.0, 0.006, blocker - height - step / self.scale * rise))
        around = cv2.GaussianBlur(height, (0, 0), 0.06 * self.scale)
        closed = np.clip((around - height) / 0.05, -0.25, 0.75)
        steep = 1 - 0.35 * np.clip(np.hypot(fall_x, fall_z) / 2, 0, 1)
        sky = light.ambient * (1 - closed) * steep
        return np.asarray(sky + (1 - light.ambient) * np.clip(facing, 0, 1.7) * lit * sunlit, np.float32)

    def _water_colour(self, light: Light, slope: float) -> Field:
        down = slope / np.hypot(1, slope)
        mirror = 0.06 + 0.94 * (1 - down) ** 4
        mud = self.floor.mean((0, 1)) * 0.75
        # A low camera sees the pale sky near the horizon in it, not the blue above.
        pale = 0.3 * np.array(light.sky) + 0.5
        return np.asarray(mud * (1 - mirror) + pale * mirror, np.float32)


def _seen_from(lit: Field, depth: Field, slope: float, scale: float) -> Field:
    """Shift what lies deep toward the camera, so that the far wall shows and the near one hides."""
    height, width = depth.shape
    reach = min(int(np.ceil(float(depth.max()) / slope * scale)), height)
    stride = max(1, reach // 48)
    hit = np.zeros(depth.shape, np.float32)
    falling = depth > 0
    for step in range(stride, min(reach + stride, height), stride):
        below = np.zeros_like(depth)
        below[: height - step] = depth[step:]
        landed = falling & (below <= step / scale * slope)
        hit[landed] = step - stride / 2
        falling &= ~landed
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    seen = cv2.remap(lit, columns, rows + hit, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def dig(
    rng: np.random.Generator, number: int, at: tuple[float, float], diameter: float, scale: float
) -> Pothole:
    """Dig a pothole.

    Args:
        rng: Source of randomness.
        number: Its id.
        at: Its centre `(x, z)` in metres.
        diameter: Rough size in metres.
        scale: Pixels a metre.
    """
    side = int(np.ceil(diameter * scale * 1.8 / PATCH)) * PATCH
    inside = _shape(rng, side, diameter * scale)
    from_rim = np.asarray(cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5) / scale, np.float32)
    deepest = rng.uniform(0.02, 0.05) if rng.random() < 0.35 else rng.uniform(0.05, 0.12)
    deepest *= 0.6 + 0.4 * min(diameter, 1.0)
    wall = rng.uniform(0.015, 0.06) * (
        1 + 0.3 * np.clip(fractal(rng, inside.shape, (side / 3, side / 3)), -2, 2)
    )
    bowl = smoothstep(0, float(from_rim.max()), from_rim)
    uneven = fractal(rng, inside.shape, (0.25 * scale, 0.25 * scale), 3)
    depth = deepest * (0.55 * smoothstep(0, 1, from_rim / wall) + 0.45 * bowl) * (1 + 0.15 * uneven)
    low = smoothstep(0.0, 0.45 * deepest, depth.astype(np.float32))[..., None]
    stones, stone_colour = _stones(rng, inside, scale)
    depth = np.where(inside, np.maximum(depth - stones * smoothstep(0, 0.03, from_rim), 0.001), 0)

    kind = list(FLOORS)[rng.choice(len(FLOORS), p=FLOOR_ODDS)]
    blotches = fractal(rng, inside.shape, (side / 4, side / 4), 5)
    fine = fractal(rng, inside.shape, (4, 4), 2)
    rough = {"sand": 0.05, "old layer": 0.13}.get(kind, 0.22)
    texture = 1 + 0.12 * blotches + rough * fine + (0.3 if kind == "sand" else 1.0) * stone_colour
    tint = np.array(FLOORS[kind]) * rng.uniform(0.75, 1.2) * rng.uniform(0.97, 1.03, 3)
    floor = np.clip(texture[..., None] * tint, 0.03, 1)
    wall_colour = np.array([0.2, 0.19, 0.18])
    floor = floor * low + wall_colour * (1 + 0.2 * fine[..., None]) * (1 - low)

    return Pothole(
        id=number,
        x=at[0],
        z=at[1],
        scale=scale,
        inside=inside,
        depth=depth.astype(np.float32),
        floor=floor.astype(np.float32),
        loose=_loose(rng, inside, scale),
        water=float(deepest * rng.uniform(0.35, 0.75)) if deepest > 0.05 and rng.random() < 0.22 else None,
    )


def _shape(rng: np.random.Generator, side: int, diameter: float) -> NDArray[np.bool_]:
    across, along = np.meshgrid(np.arange(side) - side / 2, np.arange(side) - side / 2)
    turn = rng.uniform(0, np.pi)
    aspect = np.exp(rng.normal(0, 0.34))
    u = (across * np.cos(turn) + along * np.sin(turn)) / (diameter / 2 * aspect)
    v = (along * np.cos(turn) - across * np.sin(turn)) / (diameter / 2 / aspect)
    lumps = np.clip(fractal(rng, (side, side), (diameter / 1.6, diameter / 1.6), 2), -1.6, 1.6)
    jags = fractal(rng, (side, side), (diameter / 6, diameter / 6), 4)
    reach = np.hypot(u, v)
    field = 1 - reach + 0.24 * lumps * np.exp(-((reach - 1) ** 2)) + rng.uniform(0.03, 0.08) * jags
    field[reach > 1.6] = -1
    border = int(side * 0.06)
    field[:border] = field[-border:] = -1
    field[:, :border] = field[:, -border:] = -1
    solid = cv2.morphologyEx((field > 0).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if not solid.any():  # of some pixels only, as in a very small picture: a plain oval
        solid = (reach <= max(1, 2 / diameter)).astype(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros((side, side), np.uint8)
    cv2.drawContours(filled, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return filled.astype(bool)


def _stones(rng: np.random.Generator, inside: NDArray[np.bool_], scale: float) -> tuple[Field, Field]:
    """Return the height in metres and the relative colour of stones on the floor."""
    height = np.zeros(inside.shape, np.float32)
    colour = np.zeros(inside.shape, np.float32)
    count = int(inside.sum() / scale**2 * rng.uniform(150, 900))
    rows, columns = np.nonzero(inside)
    for i in rng.integers(0, len(rows), min(count, 900)):
        radius = np.exp(rng.normal(np.log(0.013), 0.45)) * scale
        axes = (max(1, round(radius)), max(1, round(radius * rng.uniform(0.55, 1))))
        at = (int(columns[i]), int(rows[i]))
        angle = rng.uniform(0, 180)
        cv2.ellipse(height, at, axes, angle, 0, 360, float(radius / scale * 0.7), cv2.FILLED)
        cv2.ellipse(colour, at, axes, angle, 0, 360, float(rng.normal(0.12, 0.28)), cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(height, (0, 0), 0.8), np.float32), colour


def _loose(rng: np.random.Generator, inside: NDArray[np.bool_], scale: float) -> Field:
    """Return how much loose gravel and dirt lies on the road around the hole."""
    outside = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5) / scale
    spread = np.exp(rng.uniform(np.log(0.03), np.log(0.3)))
    falloff = np.exp(-outside / spread)
    patches = smoothstep(-0.4, 1.6, fractal(rng, inside.shape, (0.3 * scale, 0.3 * scale), 4))
    grit = (rng.random(inside.shape) < 0.25 * falloff * patches).astype(np.float32)
    loose = 0.55 * rng.random() * falloff * patches + 0.6 * cv2.GaussianBlur(grit, (0, 0), 0.6)
    edge = smoothstep(0, 0.12, np.float32(inside.shape[0] / 2 / scale) - _from_centre(inside.shape, scale))
    return np.asarray(np.clip(loose, 0, 0.9) * edge * ~inside, np.float32)


def _from_centre(shape: tuple[int, int], scale: float) -> Field:
    rows, columns = np.indices(shape, np.float32)
    return np.asarray(np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) / scale, np.float32)

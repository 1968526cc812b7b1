"""The road: everything that lies on the plane, drawn once into texture levels."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from roads.camera import Camera
from roads.decoys import draw_damage, draw_decoys
from roads.plane import Coarse, Plan, Texture
from roads.pothole import Light, Pothole, dig
from roads.scenery import (
    Picture,
    Standing,
    draw_car,
    draw_horizon,
    draw_pole,
    draw_tree,
    draw_tree_shadows,
)
from roads.surface import Style, draw_asphalt, draw_markings, draw_sides

LEVELS = 5
# A patch of a pothole falls on whole pixels of the levels it is painted into.
PAINTED_LEVELS = 4
GRID_ACROSS, GRID_ALONG = 2 ** (PAINTED_LEVELS - 1), 4 ** (PAINTED_LEVELS - 1)


@dataclass(frozen=True)
class Level:
    """One texture of the plane: level k shows twice the width of level k - 1 at a quarter of its rows.

    A row of the picture at distance d covers road in proportion to d across and to d² along, so that each
    level suits the distances from `nearest` to twice that.

    Attributes:
        plan: Where it lies.
        texture: RGB uint8, lit.
        nearest: Metres ahead from which this level is the one to read.
    """

    plan: Plan
    texture: Texture
    nearest: float


class Road:
    """A straight road with potholes at known places.

    Args:
        seed: The same seed and size give the same road; the number of potholes changes nothing else.
        size: Picture `(height, width)` that its camera takes.
        length: Metres that the camera will drive.
        potholes: Number of potholes within the length.
        decoys: Decoys a metre.
        hand_held: A camera in the hand that looks down, in place of one behind the windscreen.

    Attributes:
        camera: Where the camera starts.
        potholes: The truth on the plane.
        decoys: What is no pothole, there too.
        levels: Textures, the nearest first.
        light: Sun and sky.
        horizon: Background picture, its horizon 3/4 down.
        haze: RGB 0..1 that distance fades to.
        standing: Trees, poles and vehicles.
    """

    def __init__(
        self,
        seed: int,
        size: tuple[int, int] = (720, 1280),
        length: float = 60.0,
        potholes: int = 12,
        decoys: float = 0.5,
        hand_held: bool = False,
    ) -> None:
        # A stream for each part, so that one part's draws never shift another's.
        view, style, ground, decoy, holes, sky = (np.random.default_rng([seed, i]) for i in range(6))
        self.seed = seed
        self.camera = _place_camera(view, size, hand_held)
        self.style = Style.draw(style)
        self.light = _draw_light(sky)
        self.haze = np.array([0.78, 0.81, 0.84]) * sky.uniform(0.75, 1.08)
        above = np.array(self.light.sky, np.float32)
        self.horizon: Picture = draw_horizon(sky, (size[0] * 4 // 3, size[1] * 5 // 4), self.haze, above)
        self.standing = _draw_standing(sky, self.light, self.style, length)

        lookahead = 12.0 if hand_held else 75.0
        across = self.camera.focal / (3.2 if hand_held else 6.0)
        rows = int((length + lookahead) * across / 2) // GRID_ALONG * GRID_ALONG
        # From here on a row of the first level covers more than 1.4 rows of its texture.
        self._reach = 1.4 * float(np.sqrt(self.camera.focal * self.camera.height / across * 2))
        # A hand-held camera goes wherever a pothole is, one in a car stays in its lane.
        sideways = self.style.half_width + 1 if hand_held else abs(self.camera.x) + 0.7
        half_width = self._reach * (size[1] / 2 / self.camera.focal + 0.15) + sideways
        columns = int(2 * half_width * across) // 32 * 32
        plan = Plan(-columns / across / 2, 0.0, (rows, columns), across, across / 2)
        albedo = draw_asphalt(ground, plan, self.style)
        self.decoys = draw_decoys(decoy, albedo, plan, self.style, decoys)
        draw_markings(ground, albedo, plan, self.style)
        self._blotches = Coarse.fractal(ground, 60.0, length + lookahead, 4.0, (5, 2.5), 4)
        draw_sides(ground, albedo, plan, self.style, self._blotches, 0.0)

        coarse = Plan(-18.0, 0.0, (int(rows / plan.along * 16), 36 * 16), 16.0, 16.0)
        density = sky.choice([0.0, 0.03, 0.12, 0.3])
        self._sunlit = Coarse(coarse, draw_tree_shadows(sky, coarse, self.light, density))
        self.potholes = self._dig(holes, plan, length, potholes)
        for pothole in self.potholes:
            draw_damage(holes, albedo, plan, (pothole.x, pothole.z), float(np.ptp(pothole.outline[:, 0])))
        self.levels = self._draw_levels(ground, plan, albedo)

    def _dig(self, rng: np.random.Generator, plan: Plan, length: float, count: int) -> list[Pothole]:
        potholes: list[Pothole] = []
        taken: list[tuple[int, int, int, int]] = []
        nearest = 1.2 * self.camera.height if length < 20 else 9.0
        for _ in range(count * 20):
            if len(potholes) == count:
                break
            diameter = float(np.clip(np.exp(rng.normal(np.log(0.62), 0.42)), 0.3, 1.5))
            margin = self.style.half_width - diameter / 2
            x, z = rng.uniform(-margin, margin), rng.uniform(nearest, nearest + length)
            pothole = dig(rng, len(potholes) + 1, (x, z), diameter, plan.across)
            side = pothole.inside.shape[0]
            column, row = plan.pixels(np.array([(x, z)]))[0]
            column = round((column - side / 2) / GRID_ACROSS) * GRID_ACROSS
            row = round((row - side / 4) / GRID_ALONG) * GRID_ALONG
            box = (column, row, column + side, row + side // 2)
            if box[0] < 0 or box[1] < 0 or box[2] > plan.shape[1] or box[3] > plan.shape[0]:
                continue
            if any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                continue
            taken.append(box)
            centre_x = plan.left + (column + side / 2) / plan.across
            centre_z = plan.start + (row + side / 4) / plan.along
            potholes.append(replace(pothole, x=centre_x, z=centre_z))
        return potholes

    def _draw_levels(self, rng: np.random.Generator, plan: Plan, albedo: Texture) -> list[Level]:
        texture = self._light(albedo, plan)
        levels: list[Level] = []
        for k in range(LEVELS):
            if k:
                last = levels[-1]
                rows, columns = last.plan.shape
                plan = Plan(
                    2 * last.plan.left, 0.0, (rows // 4, columns), last.plan.across / 2, last.plan.along / 4
                )
                texture = np.full((*plan.shape, 3), np.array(self.style.asphalt) * 255, np.uint8)
                draw_sides(rng, texture, plan, self.style, self._blotches, -last.plan.left)
                texture = self._light(texture, plan)
                inner = slice(columns // 4, columns // 4 + columns // 2)
                texture[:, inner] = cv2.resize(
                    last.texture[: plan.shape[0] * 4],
                    (columns // 2, plan.shape[0]),
                    interpolation=cv2.INTER_AREA,
                )
            if k < PAINTED_LEVELS:
                for pothole in self.potholes:
                    self._paint(
                        pothole,
                        albedo,
                        levels[0].plan if k else plan,
                        texture,
                        plan,
                        self._reach * 2**k * 0.7,
                    )
            levels.append(Level(plan, texture, self._reach * 2.0 ** (k - 1) if k else 0.0))
        return levels

    def _light(self, albedo: Texture, plan: Plan) -> Texture:
        lit = np.empty_like(albedo)
        for first in range(0, plan.shape[0], 1024):
            rows = slice(first, min(first + 1024, plan.shape[0]))
            brightness = self.light.on_flat(self._sunlit.at(plan, rows, slice(0, plan.shape[1])))
            lit[rows] = np.clip(albedo[rows] * brightness[..., None], 0, 255)
        return lit

    def _paint(
        self, pothole: Pothole, albedo: Texture, fine: Plan, texture: Texture, plan: Plan, distance: float
    ) -> None:
        side = pothole.inside.shape[0]
        column = round((pothole.x - fine.left) * fine.across - side / 2)
        row = round((pothole.z - fine.start) * fine.along - side / 4)
        rows, columns = slice(row, row + side // 2), slice(column, column + side)
        ground = cv2.resize(albedo[rows, columns], (side, side)).astype(np.float32) / 255
        sunlit = np.asarray(cv2.resize(self._sunlit.at(fine, rows, columns), (side, side)), np.float32)
        lit = pothole.paint(ground, sunlit, self.light, self.camera.height / distance)
        k = round(np.log2(fine.across / plan.across))
        shape = (side // 2 // 4**k, side // 2**k)
        left = (plan.shape[1] - plan.shape[1] // 2**k) // 2 + column // 2**k
        near = row // 4**k
        small = cv2.resize(
            np.clip(lit * 255, 0, 255).astype(np.uint8), shape[::-1], interpolation=cv2.INTER_AREA
        )
        texture[near : near + shape[0], left : left + shape[1]] = small


def _place_camera(rng: np.random.Generator, size: tuple[int, int], hand_held: bool) -> Camera:
    height, width = size
    if hand_held:
        pitch = rng.uniform(np.radians(14), np.radians(46))
        return Camera(
            size, width * rng.uniform(0.75, 1.1), rng.uniform(1.1, 1.8), pitch, x=rng.normal(0, 1.0)
        )
    focal = width * rng.uniform(0.7, 1.15)
    # Keep the horizon in the upper part of the picture, or just above it.
    pitch = float(np.arctan(height * rng.uniform(0.08, 0.52) / focal))
    return Camera(
        size, focal, rng.uniform(1.15, 2.4), pitch, x=rng.choice([-1.0, 1.0]) * 1.7 + rng.normal(0, 0.3)
    )


def _draw_light(rng: np.random.Generator) -> Light:
    overcast = rng.random() < 0.4
    ambient = rng.uniform(0.8, 1.0) if overcast else rng.uniform(0.28, 0.5)
    grey, blue = np.array([0.82, 0.84, 0.86]), np.array([0.42, 0.6, 0.86])
    r, g, b = (grey if overcast else blue) * rng.uniform(0.85, 1.12)
    return Light(rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 1.25), ambient, (r, g, b))


def _draw_standing(rng: np.random.Generator, light: Light, style: Style, length: float) -> list[Standing]:
    pictures = [draw_tree(rng, light) for _ in range(5)]
    pole = draw_pole(rng)
    things = []
    for _ in range(rng.integers(0, 40)):
        side = rng.choice([-1, 1])
        x = side * (style.half_width + rng.uniform(3, 18))
        z = rng.uniform(8, length + 110)
        things.append(Standing(pictures[rng.integers(5)], x, z, rng.uniform(1.5, 9)))
    if rng.random() < 0.5:
        x = rng.choice([-1, 1]) * (style.half_width + rng.uniform(1, 2.5))
        things += [Standing(pole, x, z, 7.0) for z in np.arange(10, length + 110, rng.uniform(18, 40))]
    for _ in range(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15])):
        behind = bool(rng.random() < 0.6)
        x, speed = (1.7, rng.uniform(8, 14)) if behind else (-1.7, -rng.uniform(8, 14))
        z = rng.uniform(14, 45) if behind else rng.uniform(30, length + 60)
        things.append(Standing(draw_car(rng, behind), x, z, 1.5, speed, 1.2))
    return things

"""What stands above the road plane: sky and horizon, trees and poles, other vehicles, and shadows."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roads.camera import Camera
from roads.noise import Field, fractal, smoothstep
from roads.plane import Plan
from roads.pothole import Light

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Standing:
    """A flat picture that stands upright on the road plane and faces the camera.

    Attributes:
        picture: `(h, w, 4)` uint8, RGB and opacity, its foot in the last row.
        x: Metres from the road's axis.
        z: Metres along the road at time 0.
        height: Metres.
        speed: Metres a second along the road.
        shadow: Metres that its shadow reaches sideways; 0 has none (trees' shadows lie in the texture).
    """

    picture: Picture
    x: float
    z: float
    height: float
    speed: float = 0.0
    shadow: float = 0.0


def draw_horizon(
    rng: np.random.Generator, size: tuple[int, int], haze: NDArray[np.float64], sky: Field
) -> Picture:
    """Draw sky, hills, trees or houses up to the horizon, which is the row `3/4` down.

    Args:
        rng: Source of randomness.
        size: `(height, width)` in pixels.
        haze: RGB 0..1 of the far distance.
        sky: RGB 0..1 of the sky high up.
    """
    height, width = size
    horizon = height * 3 // 4
    up = np.linspace(1, 0, horizon, dtype=np.float32)[:, None, None]
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:horizon] = haze + (sky - haze) * np.sqrt(up)
    canvas[horizon:] = haze
    clouds = smoothstep(0.0, 1.6, fractal(rng, (horizon, width), (height / 6, width / 3), 6))[..., None]
    canvas[:horizon] += (np.array([0.95, 0.95, 0.96]) - canvas[:horizon]) * clouds * rng.uniform(0, 0.9)
    columns = np.arange(width)
    for layer in range(3):
        near = layer / 2
        level = height * (0.02 + 0.05 * rng.random()) * (1 + near)
        cell = width / (2 + 6 * near)
        ridge = horizon - level * (1 + 0.45 * fractal(rng, (2, width), (9, cell), 6 if layer else 3)[0])
        colour = np.array([0.22, 0.29, 0.16]) * rng.uniform(0.6, 1.3) * (1 - near) + near * np.array(
            [0.24, 0.29, 0.16]
        )
        rows = np.arange(height)[:, None]
        cover = smoothstep(-0.8, 0.8, (rows - ridge[None, columns]).astype(np.float32))[..., None]
        leaves = (
            1
            + (0.12 + 0.25 * near)
            * fractal(rng, (height, width), (height / 30, height / 30), 5, 0.8)[..., None]
        )
        painted = np.clip(colour * leaves, 0.02, 1) * (0.45 + 0.55 * near) + haze * (0.55 - 0.55 * near)
        canvas += (painted - canvas) * cover
    if rng.random() < 0.35:
        _draw_houses(rng, canvas, horizon)
    return np.clip(canvas * 255, 0, 255).astype(np.uint8)


def _draw_houses(rng: np.random.Generator, canvas: Field, horizon: int) -> None:
    height, width = canvas.shape[:2]
    for _ in range(rng.integers(4, 16)):
        tall, wide = int(height * rng.uniform(0.03, 0.14)), int(width * rng.uniform(0.02, 0.09))
        left = int(rng.uniform(0, width))
        wall = np.array([0.62, 0.57, 0.5]) * rng.uniform(0.5, 1.35) * rng.uniform(0.94, 1.06, 3)
        block = canvas[horizon - tall : horizon + 4, left : left + wide]
        block[:] = np.clip(wall, 0, 0.97)
        for row in range(4, tall - 4, 9):
            for column in range(4, block.shape[1] - 6, 10):
                block[row : row + 5, column : column + 5] = np.clip(wall * rng.uniform(0.3, 0.6), 0, 1)
        block[:2] = wall * 0.5


def draw_tree(rng: np.random.Generator, light: Light) -> Picture:
    """Draw a tree or a bush."""
    side = 192
    rows, columns = np.indices((side, side), np.float32) / side - 0.5
    crown_height = rng.choice([0.8, 0.98])
    reach = np.hypot(
        columns / rng.uniform(0.22, 0.36), (rows + 0.5 - crown_height / 2) / (0.4 * crown_height)
    )
    lumps = np.clip(fractal(rng, (side, side), (36, 36), 6, 0.62), -1.8, 1.8)
    border = smoothstep(0.5, 0.44, np.maximum(np.abs(rows), np.abs(columns)))
    crown = smoothstep(0.0, 0.25, 1 - reach + 0.2 * lumps) * border
    toward = np.sin(light.azimuth)
    leaf = fractal(rng, (side, side), (24, 24), 5, 0.8)
    bright = 0.75 - 0.55 * rows + 0.5 * toward * columns * (1 - light.ambient) + 0.2 * leaf + 0.1 * lumps
    colour = np.array([0.29, 0.34, 0.18]) * rng.uniform(0.6, 1.3) * rng.uniform(0.93, 1.07, 3)
    rgb = np.clip(bright[..., None] * colour, 0.02, 1)
    trunk = (np.abs(columns) < 0.02) & (rows > 0)
    rgb[trunk & (crown < 0.5)] = (0.2, 0.16, 0.12)
    alpha = np.maximum(crown, trunk)
    return _rgba(rgb, alpha)


def draw_pole(rng: np.random.Generator) -> Picture:
    """Draw a lamp or telephone pole."""
    rgb = np.ones((256, 64, 3)) * np.array([0.36, 0.34, 0.31]) * rng.uniform(0.6, 1.6)
    alpha = np.zeros((256, 64), np.float32)
    alpha[:, 31:33] = 1
    alpha[6:9, 8:56] = 1 if rng.random() < 0.5 else 0
    return _rgba(rgb, alpha)


def draw_car(rng: np.random.Generator, behind: bool) -> Picture:
    """Draw a car from behind, or from the front."""
    picture = np.zeros((180, 220, 4), np.uint8)
    paint = np.clip(rng.choice([0.12, 0.25, 0.45, 0.7, 0.88]) * rng.uniform(0.88, 1.12, 3), 0.05, 0.95) * 255
    body = tuple(int(v) for v in paint)
    dark = tuple(int(v * 0.55) for v in paint)

    def fill(points: list[tuple[int, int]], colour: tuple[int, ...]) -> None:
        cv2.fillPoly(picture, [np.array(points)], (*colour, 255), cv2.LINE_AA)

    for left in (16, 166):
        cv2.rectangle(picture, (left, 130), (left + 38, 178), (18, 18, 19, 255), cv2.FILLED)
    fill([(48, 12), (172, 12), (198, 78), (22, 78)], body)
    fill([(12, 82), (30, 70), (190, 70), (208, 82), (210, 150), (10, 150)], body)
    fill([(58, 20), (162, 20), (182, 68), (38, 68)], (52, 60, 68))
    fill([(58, 20), (162, 20), (168, 34), (54, 34)], (96, 108, 118))
    fill([(10, 128), (210, 128), (204, 160), (16, 160)], dark)
    lamp = (170, 26, 22) if behind else (228, 228, 214)
    for left in (14, 172):
        cv2.rectangle(picture, (left, 88), (left + 34, 106), (*lamp, 255), cv2.FILLED)
    cv2.rectangle(picture, (84, 108), (136, 124), (205, 205, 195, 255), cv2.FILLED)
    shade = (
        1
        + 0.12 * np.linspace(1, -1, 180)[:, None, None]
        + 0.03 * fractal(rng, (180, 220), (40, 60), 3)[..., None]
    )
    picture[..., :3] = np.clip(picture[..., :3] * shade, 0, 255)
    return picture


def _rgba(rgb: NDArray[np.float64], alpha: Field) -> Picture:
    return np.asarray(np.clip(np.dstack([rgb, alpha]) * 255, 0, 255), np.uint8)


def draw_tree_shadows(rng: np.random.Generator, plan: Plan, light: Light, density: float) -> Field:
    """Return the share of the sun that reaches the plane, 0..1: leaves, poles and houses take the rest.

    Args:
        rng: Source of randomness.
        plan: Where; coarse is fine, the sun's disc softens shadows.
        light: Where the sun stands.
        density: Shadows a metre of road.
    """
    rows = plan.shape[0]
    sunlit = np.ones(plan.shape, np.float32)
    leaves = fractal(rng, plan.shape, (1.1 * plan.along, 1.1 * plan.across), 4)
    lean = -np.sin(light.azimuth) / np.tan(light.elevation)
    for _ in range(rng.poisson(density * rows / plan.along)):
        z = plan.start + rng.uniform(0, rows / plan.along)
        x = np.sign(lean) * rng.uniform(-9, 2)
        kind = rng.random()
        if kind < 0.7:
            size = rng.uniform(1.2, 4)
            part, place = plan.part((x - 2 * size, z - 2 * size, x + 2 * size, z + 2 * size))
            if 0 in part.shape:
                continue
            along = (np.arange(part.shape[0]) + 0.5) / part.along + part.start - z
            reach = np.hypot((part.x - x)[None, :], along[:, None]) / size
            shadow = smoothstep(0.0, 0.25, np.asarray(1 - reach + 0.5 * leaves[place], np.float32))
            sunlit[place] *= 1 - shadow
        elif kind < 0.9:
            tilt = rng.normal(0, 0.5)
            line = np.array([(-12, z - 12 * tilt), (12, z + 12 * tilt)])
            thick = rng.uniform(0.05, 0.2)
            band = np.concatenate([line, line[::-1] + np.array([0, thick])])
            sunlit *= 1 - plan.mask([band], 0.03)
        else:
            far = z + rng.uniform(4, 25)
            edge = rng.uniform(-4, 4)
            outer = 40 * -np.sign(lean)
            house = np.array([(outer, z), (edge, z + rng.normal(0, 2)), (edge, far), (outer, far)])
            sunlit *= 1 - plan.mask([house], 0.05)
    return sunlit


def stand(
    frame: Picture, hidden: NDArray[np.bool_], camera: Camera, thing: Standing, time: float, light: Light
) -> None:
    """Draw a standing picture into the frame in place, and note in `hidden` what solid ones cover."""
    distance = thing.z + thing.speed * time - camera.z
    foot, head = camera.project(
        np.array([(thing.x, 0, camera.z + distance), (thing.x, thing.height, camera.z + distance)])
    )
    tall = round(float(foot[1] - head[1]))
    wide = round(tall * thing.picture.shape[1] / thing.picture.shape[0])
    if tall < 3 or wide < 1 or tall > 3 * frame.shape[0]:
        return
    if thing.shadow:
        _cast(frame, camera, thing, distance, light)
    left, top = round(float(foot[0])) - wide // 2, round(float(foot[1])) - tall
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + wide, frame.shape[1]), min(top + tall, frame.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    small = cv2.resize(thing.picture, (wide, tall), interpolation=cv2.INTER_AREA)[
        y0 - top : y1 - top, x0 - left : x1 - left
    ]
    alpha = small[..., 3:].astype(np.float32) / 255
    place = frame[y0:y1, x0:x1]
    place[:] = place + (small[..., :3] - place.astype(np.float32)) * alpha
    hidden[y0:y1, x0:x1] |= small[..., 3] > 127


def _cast(frame: Picture, camera: Camera, thing: Standing, distance: float, light: Light) -> None:
    wide = thing.height * thing.picture.shape[1] / thing.picture.shape[0] / 2
    z = camera.z + distance
    aside = -np.sin(light.azimuth) * thing.shadow * (1 - light.ambient)
    left, right = thing.x - wide + min(aside, 0) - 0.1, thing.x + wide + max(aside, 0) + 0.1
    # The foot of the picture is the rear; the vehicle's own length lies behind it.
    corners = np.array([(left, 0, z - 0.35), (right, 0, z - 0.35), (right, 0, z + 3.8), (left, 0, z + 3.8)])
    canvas = np.zeros(frame.shape[:2], np.uint8)
    cv2.fillPoly(canvas, [np.round(camera.project(corners)).astype(np.int32)], 255)
    x, y, w, h = cv2.boundingRect(canvas)
    blur = 1 + 0.06 * h
    pad = int(3 * blur)
    place = (slice(max(0, y - pad), y + h + pad), slice(max(0, x - pad), x + w + pad))
    soft = cv2.GaussianBlur(canvas[place], (0, 0), blur).astype(np.float32)[..., None] / 255
    # Below a car it is dark whatever the sky; the sun only makes it darker.
    frame[place] = frame[place] * (1 - (0.7 - 0.3 * light.ambient) * soft)

"""Frames of a road and what is to be seen in them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from roads.camera import Camera
from roads.scenery import Picture, stand
from roads.trip import Trip
from roads.world import Level, Road

FARTHEST = 72.0
EXPOSURE_S = 1 / 180


class Truth(NamedTuple):
    """A truth is one pothole in one frame.

    Attributes:
        pothole_id: From 1, the same in every frame.
        mask: `(height, width)` bool, what is seen of it.
        box: xyxy pixels around the mask, the far edge exclusive.
        distance: Metres along the road from the camera to its centre.
    """

    pothole_id: int
    mask: NDArray[np.bool_]
    box: tuple[int, int, int, int]
    distance: float


class Shot(NamedTuple):
    """A shot is one frame, and what is to be seen in it.

    Attributes:
        picture: RGB uint8 `(height, width, 3)`.
        potholes: Nearest first.
        decoys: Of those in view the kind, and the pixel `(x, y)` of its centre.
    """

    picture: Picture
    potholes: list[Truth]
    decoys: list[tuple[str, tuple[float, float]]]


def render(
    road: Road,
    frames: int,
    speed_m_s: float = 10.0,
    rate: float = 30.0,
    min_area: int = 40,
    vary: float = 0.0,
) -> Iterator[Shot]:
    """Film the road from a moving car.

    Args:
        road: The road; the picture's size is its camera's.
        frames: Number of frames.
        speed_m_s: Metres a second.
        rate: Frames a second.
        min_area: Pixels from which a pothole counts as seen.
        vary: Part of its speed by which the car goes faster and slower.

    Yields:
        The frames.
    """
    rng = np.random.default_rng([road.seed, 99])
    sensor = _Sensor(rng, road.camera.size)
    shake = np.zeros(4)
    for number in range(frames):
        time = number / rate
        # Springs and hands: each angle and the bounce follow slow noise that returns to zero.
        shake = 0.86 * shake + rng.normal(0, 1, 4) * (0.0007, 0.0009, 0.0008, 0.004)
        start = road.camera
        trip = Trip(speed_m_s, vary)
        aside, ahead = trip.place(time)
        camera = replace(
            start,
            pitch=start.pitch + shake[0],
            yaw=start.yaw + shake[1] + 0.008 * np.sin(0.5 * time),
            roll=start.roll + shake[2],
            height=start.height + shake[3],
            x=start.x + aside,
            z=start.z + ahead,
        )
        yield take(road, camera, time, trip.speed(time) * EXPOSURE_S, sensor, min_area)


def photograph(road: Road, camera: Camera, number: int, min_area: int = 40) -> Shot:
    """Take one still picture; `number` seeds its noise."""
    rng = np.random.default_rng([road.seed, 98, number])
    return take(road, camera, 0.0, rng.choice([0.0, 0.0, 0.04]), _Sensor(rng, camera.size), min_area)


def take(road: Road, camera: Camera, time: float, smear: float, sensor: "_Sensor", min_area: int) -> Shot:
    """Take one picture; `smear` is the metres driven while the shutter is open."""
    frame = _behind(road, camera)
    _lay_ground(frame, road, camera, smear)
    hidden = np.zeros(camera.size, np.bool_)
    for thing in sorted(road.standing, key=lambda t: -(t.z + t.speed * time)):
        if 5.0 < thing.z + thing.speed * time - camera.z < 110:
            stand(frame, hidden, camera, thing, time, road.light)
    return Shot(sensor.expose(frame), _truth(road, camera, hidden, min_area), _decoys_in_view(road, camera))


def _behind(road: Road, camera: Camera) -> Picture:
    height, width = camera.size
    top = round(road.horizon.shape[0] * 3 / 4 - camera.horizon)
    left = int(
        np.clip(
            (road.horizon.shape[1] - width) / 2 + camera.focal * camera.yaw, 0, road.horizon.shape[1] - width
        )
    )
    rows = np.clip(np.arange(top, top + height), 0, road.horizon.shape[0] - 1)
    return np.ascontiguousarray(road.horizon[rows, left : left + width])


def _lay_ground(frame: Picture, road: Road, camera: Camera, smear: float) -> None:
    height = camera.size[0]
    for level, farther in zip(reversed(road.levels), [None, *reversed(road.levels[1:])], strict=True):
        far = min(farther.nearest, FARTHEST) if farther else FARTHEST
        first = camera.row_of(far)
        last = camera.row_of(level.nearest) if level.nearest else height
        overlap = 0 if farther is None else int(0.25 * (min(last, height) - first)) + 1
        rows = slice(int(np.clip(first - overlap, 0, height)), int(np.clip(np.ceil(last), 0, height)))
        if rows.start >= rows.stop:
            continue
        farthest = min(1.2 * float(camera.distance_of(rows.start)), 1.3 * FARTHEST)
        strip = _warp(level, camera, rows, farthest, smear)
        distance = camera.distance_of(np.arange(rows.start, rows.stop, dtype=np.float64))
        fade = (1 - np.exp(-distance / 260))[:, None, None].astype(np.float32)
        if level.nearest > 10:
            strip = (strip + (road.haze.astype(np.float32) * 255 - strip) * fade).astype(np.uint8)
        blended = np.clip((np.arange(rows.start, rows.stop) - (first - overlap)) / max(overlap, 1), 0, 1)
        seam = int(np.searchsorted(blended, 1.0))
        if seam and overlap:
            alpha = blended[:seam, None, None].astype(np.float32)
            old = frame[rows.start : rows.start + seam]
            strip[:seam] = old + (strip[:seam].astype(np.float32) - old) * alpha
        frame[rows] = strip


def _warp(level: Level, camera: Camera, rows: slice, far: float, smear: float) -> Picture:
    plan = level.plan
    from_metres = np.array(
        [
            [plan.across, 0, -plan.left * plan.across - 0.5],
            [0, plan.along, -plan.start * plan.along - 0.5],
            [0, 0, 1],
        ]
    )
    near = int(np.clip((camera.z + 0.7 * level.nearest - plan.start) * plan.along - 2, 0, plan.shape[0] - 2))
    end = int(np.clip((camera.z + far - plan.start) * plan.along + 2, near + 2, plan.shape[0]))
    source = level.texture[near:end]
    blur = round(smear * plan.along)
    if blur > 1:
        source = np.asarray(cv2.blur(source, (1, blur)), np.uint8)
    shift = np.array([[1, 0, 0], [0, 1, -near], [0, 0, 1.0]])
    lower = np.array([[1, 0, 0], [0, 1, rows.start], [0, 0, 1.0]])
    # From the strip's pixels to the texture's, so that OpenCV need not invert it.
    to_texture = shift @ from_metres @ np.linalg.inv(camera.ground_matrix()) @ lower
    strip = cv2.warpPerspective(
        source,
        to_texture,
        (camera.size[1], rows.stop - rows.start),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(strip, np.uint8)


def _truth(road: Road, camera: Camera, hidden: NDArray[np.bool_], min_area: int) -> list[Truth]:
    height, width = camera.size
    seen = []
    for pothole in sorted(road.potholes, key=lambda p: p.z):
        if not -2 < pothole.z - camera.z < FARTHEST:
            continue
        outline = pothole.outline
        # Behind the picture plane there is nothing to project to; below the picture it does not matter.
        outline[:, 1] = np.maximum(outline[:, 1], camera.z + 0.25)
        points = camera.project(np.column_stack([outline[:, 0], np.zeros(len(outline)), outline[:, 1]]))
        low, high = points.min(0), points.max(0)
        if low[0] >= width or low[1] >= height or high[0] < 0 or high[1] < 0:
            continue
        canvas = np.zeros(camera.size, np.uint8)
        fixed = np.round(np.clip(points, -4 * width, 5 * width) * 16).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 1, shift=4)
        mask = (canvas > 0) & ~hidden
        if int(mask.sum()) < min_area:
            continue
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        seen.append(Truth(pothole.id, mask, (x, y, x + w, y + h), pothole.z - camera.z))
    return seen


def _decoys_in_view(road: Road, camera: Camera) -> list[tuple[str, tuple[float, float]]]:
    ahead = [d for d in road.decoys if 0.25 < d.z - camera.z < FARTHEST]
    pixels = camera.project(np.array([(d.x, 0.0, d.z) for d in ahead]).reshape(-1, 3))
    height, width = camera.size
    return [
        (decoy.kind, (round(x, 1), round(y, 1)))
        for decoy, (x, y) in zip(ahead, pixels.tolist(), strict=True)
        if 0 <= x < width and 0 <= y < height
    ]


class _Sensor:
    """A sensor adds vignette, white balance, exposure that drifts, blur and noise."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self._rng = rng
        height, width = size
        rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        falloff = 1 - rng.uniform(0.02, 0.2) * (rows**2 + columns**2) / 2
        self._vignette = np.repeat((falloff * 255).astype(np.uint8)[..., None], 3, axis=2)
        self._balance = rng.uniform(0.97, 1.03, 3) * np.exp(rng.normal(0.05, 0.12))
        self._gamma = rng.uniform(0.85, 1.15)
        self._blur = rng.uniform(0.35, 0.8)
        strength = rng.uniform(1.0, 5.0)
        luma = rng.normal(0, strength, (height + 64, width + 64, 1))
        chroma = rng.normal(0, strength * 0.5, (height + 64, width + 64, 3))
        self._noise = np.round(cv2.GaussianBlur(luma + chroma, (3, 3), 0.5)).astype(np.int16)
        self._exposure = 0.0

    def expose(self, frame: Picture) -> Picture:
        """Return the picture as the sensor gives it."""
        self._exposure = 0.97 * self._exposure + self._rng.normal(0, 0.006)
        blurred = cv2.GaussianBlur(frame, (3, 3), self._blur)
        dimmed = cv2.multiply(blurred, self._vignette, scale=1 / 255)
        value = np.arange(256)[:, None] / 255
        curve = np.clip(value**self._gamma * self._balance * np.exp(self._exposure) * 255, 0, 255)
        toned = cv2.LUT(dimmed, curve[:, None, :].astype(np.uint8))
        down, right = self._rng.integers(0, 64, 2)
        height, width = frame.shape[:2]
        noise = self._noise[down : down + height, right : right + width]
        return np.asarray(cv2.add(toned, noise, dtype=cv2.CV_8U), np.uint8)

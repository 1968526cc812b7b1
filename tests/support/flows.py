"""What a camera over a flat road sees of it: points and how they move, and potholes."""

import numpy as np
from numpy.typing import NDArray

from pothole.geo.flow import Flow
from roads.camera import Camera

SIZE = (720, 1280)
CAMERA = Camera(SIZE, focal=1100.0, height=1.5, pitch=0.12)
Points = NDArray[np.float64]


def pixels(camera: Camera, ground: Points) -> Points:
    """The pixels of points `(n, 2)` aside and ahead."""
    return camera.project(np.column_stack([ground[:, 0], np.zeros(len(ground)), ground[:, 1]]))


def flow_of(camera: Camera, time: float, metres: float, gap: float = 1 / 30, seed: int = 0) -> Flow:
    """How points of the road move while the camera drives some metres, measured with an error."""
    rng = np.random.default_rng([seed, round(time * 1000)])
    ground = np.column_stack([rng.uniform(-4, 4, 60), rng.uniform(3.5, 30, 60)])
    ground = ground[np.abs(ground[:, 0]) < 0.5 * ground[:, 1]]
    before, after = pixels(camera, ground), pixels(camera, ground - (0, metres))
    noise = rng.normal(0, 0.2, before.shape)
    nods = rng.normal(0, 1.0, 2)
    return Flow(time, gap, before, after + noise + nods)


def outline_of(camera: Camera, aside: float, ahead: float, radius: float = 0.3) -> Points:
    """The outline of a round pothole in the picture."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = np.column_stack([aside + radius * np.cos(angles), ahead + radius * np.sin(angles)])
    return pixels(camera, ring)

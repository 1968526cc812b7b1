"""A pinhole camera looks at the road from above the plane."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Where the camera is and looks.

    Attributes:
        size: Picture `(height, width)` in pixels.
        focal: Focal length in pixels.
        height: Metres above the road.
        pitch: Radians, positive looks down.
        yaw: Radians, positive looks right.
        roll: Radians, positive turns clockwise.
        x: Metres right of the road's axis.
        z: Metres along the road.
    """

    size: tuple[int, int]
    focal: float
    height: float
    pitch: float
    yaw: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    z: float = 0.0

    def matrix(self) -> Matrix:
        """Return the `(3, 4)` matrix from homogeneous `(x, y, z, 1)`, y up, to homogeneous pixels."""
        sin, cos = np.sin, np.cos
        forward = np.array(
            [sin(self.yaw) * cos(self.pitch), -sin(self.pitch), cos(self.yaw) * cos(self.pitch)]
        )
        level_right = np.array([cos(self.yaw), 0.0, -sin(self.yaw)])
        level_down = -np.cross(forward, level_right)
        right = cos(self.roll) * level_right - sin(self.roll) * level_down
        down = sin(self.roll) * level_right + cos(self.roll) * level_down
        turn = np.stack([right, down, forward])
        height, width = self.size
        intrinsic = np.array(
            [[self.focal, 0, (width - 1) / 2], [0, self.focal, (height - 1) / 2], [0, 0, 1.0]]
        )
        move = -turn @ np.array([self.x, self.height, self.z])
        return np.asarray(intrinsic @ np.column_stack([turn, move]), np.float64)

    def ground_matrix(self) -> Matrix:
        """Return the homography from `(x, z, 1)` on the road to homogeneous pixels."""
        return self.matrix()[:, [0, 2, 3]]

    def project(self, points: Matrix) -> Matrix:
        """Project `(n, 3)` points `(x, y, z)` in front of the camera to `(n, 2)` pixels."""
        homogeneous = np.column_stack([points, np.ones(len(points))]) @ self.matrix().T
        return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:], np.float64)

    def row_of(self, distance: float) -> float:
        """Return the picture row, in the middle column, of the road `distance` metres ahead."""
        angle = np.arctan2(self.height, distance) - self.pitch
        return float((self.size[0] - 1) / 2 + self.focal * np.tan(angle))

    def distance_of(self, row: Matrix | float) -> Matrix:
        """Return the metres ahead that a picture row shows of the road; far away for rows above it."""
        angle = np.arctan((np.asarray(row) - (self.size[0] - 1) / 2) / self.focal) + self.pitch
        return np.asarray(self.height / np.tan(np.maximum(angle, 1e-3)), np.float64)

    @property
    def horizon(self) -> float:
        """Return the picture row of the horizon in the middle column."""
        return float((self.size[0] - 1) / 2 - self.focal * np.tan(self.pitch))

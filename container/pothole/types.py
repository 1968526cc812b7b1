"""These plain types are shared by all rooms, so that none imports another for a name."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

Image = NDArray[np.uint8]
"""A picture `(height, width, 3)`, uint8 RGB."""

Plane = NDArray[np.uint8]
"""One channel of a picture `(height, width)`, uint8: luma, chroma, or grey."""

Mask = NDArray[np.bool_]
"""The pixels of an object `(height, width)`, true where it is."""

Box = NDArray[np.float32]
"""A box `(4,)`: x and y of its first corner, then of its far one, in pixels; the far edge is exclusive."""

Size = tuple[int, int]
"""The `(height, width)` of a picture, in pixels."""

Json = dict[str, Any]
"""A JSON object."""

Natural = Annotated[int, Field(ge=0)]
"""A whole number from 0."""

Area = tuple[int, int, int, int]
"""Whole pixels of a picture: x and y of the first corner, then of the far one, which is exclusive."""

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

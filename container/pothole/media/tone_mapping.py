"""Tone mapping makes pictures of high dynamic range (HDR) look right where standard range is expected.

The detector learnt from pictures of standard range, and players of H.264 show no other. Light is computed as
ITU-R BT.2100 says, reference white (203 cd/m²) becomes nearly white, and what is brighter is rolled off as in
ITU-R BT.2390, sec. 5.4.1. All of that is one table from colour to colour, through which FFmpeg's `lut3d`
passes the picture.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from pothole.media.frame import MATRIX_BT709, matrix_of

# Code points of ITU-T H.273, as FFmpeg numbers them.
PQ = 16
HLG = 18
BT709 = 1
BT2020 = 9
P3 = 12

RGB_FORMAT = "gbrp10le"
TABLE_SIZE = 33  # steps along each colour; in between, `lut3d` interpolates

WHITE = 203.0  # cd/m², reference white (ITU-R BT.2408, table 1)
PEAK = 1000.0  # cd/m²; what is brighter becomes white as well
HLG_GAMMA = 1.2  # gamma of the system at that peak (ITU-R BT.2100, table 5)
DISPLAY_GAMMA = 2.4  # gamma of displays of standard range (ITU-R BT.1886)

# x and y of red, green, blue (ITU-R BT.709, BT.2020, SMPTE EG 432-1) and of their white, D65.
PRIMARIES = {
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
D65 = (0.3127, 0.3290)

Light = NDArray[np.float64]


def is_hdr(picture: av.VideoFrame) -> bool:
    """Say whether a picture is marked as one of high dynamic range."""
    return picture.color_trc in {PQ, HLG}


def shown_colors(picture: av.VideoFrame) -> tuple[int, int, int]:
    """Return the matrix, primaries and transfer in which a picture is worked on, H.273 code points."""
    if is_hdr(picture):
        return MATRIX_BT709, BT709, BT709
    return matrix_of(picture), picture.color_primaries, picture.color_trc


class ToneMapper:
    """A tone mapper maps pictures one after another; what is set up for one serves the next of its kind."""

    def __init__(self) -> None:
        self._shape: tuple[int, int, int, int] | None = None
        self._graph = Graph()
        self._to_rgb = VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return a picture of high dynamic range in standard range: RGB, primaries of BT.709."""
        primaries = picture.color_primaries if picture.color_primaries in PRIMARIES else BT2020
        shape = picture.width, picture.height, picture.color_trc, primaries
        if shape != self._shape:
            self._shape, self._graph = shape, _graph(*shape)
        rgb = self._to_rgb.reformat(picture, format=RGB_FORMAT, dst_color_range=ColorRange.JPEG)
        self._graph.vpush(rgb)
        return self._graph.vpull()


def _graph(width: int, height: int, transfer: int, primaries: int) -> Graph:
    graph = Graph()
    source = graph.add(
        "buffer",
        video_size=f"{width}x{height}",
        pix_fmt=RGB_FORMAT,
        time_base="1/1",
        pixel_aspect="1/1",
        colorspace="gbr",
        range="pc",
    )
    with tempfile.NamedTemporaryFile("w", suffix=".cube") as file:
        file.write(_cube(transfer, primaries))
        file.flush()
        table = graph.add("lut3d", file=file.name, interp="tetrahedral")
    graph.link_nodes(source, table, graph.add("buffersink")).configure()
    return graph


@lru_cache
def _cube(transfer: int, primaries: int) -> str:
    """Return the table of `to_sdr` as a .cube file."""
    steps = np.linspace(0, 1, TABLE_SIZE)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")  # red goes fastest
    colors = to_sdr(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer, primaries)
    lines = [f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in colors]
    return "\n".join([f"LUT_3D_SIZE {TABLE_SIZE}", *lines, ""])


def to_sdr(colors: Light, transfer: int, primaries: int) -> Light:
    """Map colours from high dynamic range to standard range.

    Args:
        colors: `(…, 3)` RGB as coded, 0..1.
        transfer: `PQ` or `HLG`.
        primaries: H.273 code point, of `PRIMARIES`.

    Returns:
        `(…, 3)` RGB of standard range, 0..1, for displays of BT.709 primaries and BT.1886.
    """
    light = pq_to_light(colors) if transfer == PQ else hlg_to_light(colors, primaries)
    rolled_off = pq_to_light(_roll_off(light_to_pq(light)))
    narrow = rolled_off / WHITE @ (np.linalg.inv(_to_xyz(BT709)) @ _to_xyz(primaries)).T
    return np.clip(narrow, 0, 1) ** (1 / DISPLAY_GAMMA)


# Constants of PQ (ITU-R BT.2100, table 4).
M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def pq_to_light(signal: Light) -> Light:
    """Return the light in cd/m² of a PQ signal, 0..1."""
    root = np.asarray(signal) ** (1 / M2)
    return 10_000 * (np.maximum(root - C1, 0) / (C2 - C3 * root)) ** (1 / M1)


def light_to_pq(light: Light) -> Light:
    """Return the PQ signal, 0..1, of light in cd/m²."""
    root = (np.asarray(light) / 10_000) ** M1
    return ((C1 + C2 * root) / (1 + C3 * root)) ** M2


def hlg_to_light(signal: Light, primaries: int) -> Light:
    """Return the light in cd/m² `(…, 3)` that a display of `PEAK` makes of an HLG signal, 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073  # ITU-R BT.2100, table 5
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ _to_xyz(primaries)[1]
    light: Light = PEAK * luminance[..., None] ** (HLG_GAMMA - 1) * scene
    return light


def _roll_off(signal: Light) -> Light:
    """Bend PQ signals from the knee on, so that `PEAK` becomes `WHITE` (ITU-R BT.2390, sec. 5.4.1)."""
    peak, white = float(light_to_pq(np.array(PEAK))), float(light_to_pq(np.array(WHITE)))
    share = np.minimum(signal / peak, 1)
    most = white / peak
    knee = 1.5 * most - 0.5
    t = (share - knee) / (1 - knee)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    )
    return np.where(share < knee, share, bent) * peak


@lru_cache
def _to_xyz(primaries: int) -> Light:
    """Return the matrix `(3, 3)` from linear RGB to CIE XYZ (SMPTE RP 177)."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in PRIMARIES[primaries]]).T
    x, y = D65
    white = np.array([x / y, 1, (1 - x - y) / y])
    return columns * np.linalg.solve(columns, white)

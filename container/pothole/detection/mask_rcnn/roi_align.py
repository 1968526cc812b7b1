"""RoIAlign pools a feature pyramid (He et al., 2017, arXiv:1703.06870, sec. 3).

Legend: B: batch, N: RoIs, P: bins per axis, S: sample points per axis (P × sampling), C: channels,
T: cells of all levels together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from pothole.detection.mask_rcnn.config import MaskRCNNConfig

STRIDE_OF_CANONICAL = 16


def roi_levels(rois: Any, image_size: tuple[int, int], config: MaskRCNNConfig, levels: int) -> Any:
    """Return the pyramid level of each RoI `(B, N)` int32, 0 the finest (FPN, eq. 1)."""
    area = (rois[..., 2] - rois[..., 0]) * (rois[..., 3] - rois[..., 1])
    if config.box_units == "normalised":
        area = area * float(image_size[0] * image_size[1])
    size = ops.sqrt(ops.maximum(area, 1.0))
    canonical = config.strides.index(STRIDE_OF_CANONICAL)
    octaves = ops.log(size / config.roi_canonical_size) / np.log(2.0)
    steps = ops.round(octaves) if config.roi_level_rounding == "nearest" else ops.floor(octaves + 1e-6)
    return ops.cast(ops.clip(canonical + steps, 0, levels - 1), "int32")


def roi_align(pyramid: Sequence[Any], rois: Any, pool: int, config: MaskRCNNConfig) -> Any:
    """Pool a `pool` × `pool` grid of features from each RoI, bilinear, without rounding.

    All levels are laid end to end, so that one gather serves every RoI whatever its level.

    Args:
        pyramid: Levels `(B, rows, columns, C)`, finest first.
        rois: `(B, N, 4)` xyxy in `box_units`.
        pool: Bins per axis.
        config: `strides`, `box_units`, `roi_canonical_size`, `roi_level_rounding`, `roi_sampling`.

    Returns:
        `(B, N, pool, pool, C)`.
    """
    sizes = np.array([level.shape[1:3] for level in pyramid])
    starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))])
    channels = pyramid[0].shape[-1]
    cells = ops.concatenate(
        [ops.reshape(x, (-1, n, channels)) for x, n in zip(pyramid, np.diff(starts), strict=True)], 1
    )
    batch = ops.shape(cells)[0]

    image_size = (int(sizes[0, 0]) * config.strides[0], int(sizes[0, 1]) * config.strides[0])
    level = roi_levels(rois, image_size, config, len(pyramid))
    rows = ops.take(ops.convert_to_tensor(sizes[:, 0], "int32"), level)[..., None]
    columns = ops.take(ops.convert_to_tensor(sizes[:, 1], "int32"), level)[..., None]
    start = ops.take(ops.convert_to_tensor(starts[:-1], "int32"), level)[..., None]
    start = start + ops.reshape(ops.arange(batch) * int(starts[-1]), (-1, 1, 1))

    if config.box_units == "normalised":
        top, bottom, upper, lower = _edge_to_edge(rois[..., 1], rois[..., 3], rows, pool)
        left, right, nearer, farther = _edge_to_edge(rois[..., 0], rois[..., 2], columns, pool)
    else:
        stride = ops.take(ops.convert_to_tensor(config.strides[: len(pyramid)], rois.dtype), level)[..., None]
        samples = pool * config.roi_sampling
        top, bottom, upper, lower = _bin_centres(rois[..., 1], rois[..., 3], rows, stride, samples)
        left, right, nearer, farther = _bin_centres(rois[..., 0], rois[..., 2], columns, stride, samples)
    flat = ops.reshape(cells, (-1, channels))

    def corner(y: Any, x: Any, weight_y: Any, weight_x: Any) -> Any:
        index = (start + y * columns)[..., :, None] + x[..., None, :]
        weight = weight_y[..., :, None] * weight_x[..., None, :]
        return ops.take(flat, index, axis=0) * ops.cast(weight, flat.dtype)[..., None]

    pooled = (
        corner(top, left, upper, nearer)
        + corner(top, right, upper, farther)
        + corner(bottom, left, lower, nearer)
        + corner(bottom, right, lower, farther)
    )
    if config.box_units == "normalised" or config.roi_sampling == 1:
        return pooled
    count = rois.shape[1] if rois.shape[1] is not None else -1
    bins = (batch, count, pool, config.roi_sampling, pool, config.roi_sampling, channels)
    return ops.mean(ops.reshape(pooled, bins), axis=(3, 5))


def _bin_centres(low: Any, high: Any, size: Any, stride: Any, samples: int) -> tuple[Any, Any, Any, Any]:
    """Sample an axis of boxes in pixels: two cells and their weights `(B, N, S)` for each point."""
    inside = (ops.arange(samples, dtype=low.dtype) + 0.5) / samples
    # A cell's value sits at its centre, hence the half; past the outer centres the edge is repeated.
    at = (low[..., None] + (high - low)[..., None] * inside) / stride - 0.5
    at = ops.clip(at, 0.0, ops.cast(size, at.dtype) - 1.0)
    first, after = ops.cast(ops.floor(at), "int32"), at - ops.floor(at)
    return first, ops.minimum(first + 1, size - 1), 1.0 - after, after


def _edge_to_edge(low: Any, high: Any, size: Any, samples: int) -> tuple[Any, Any, Any, Any]:
    """Sample an axis of normalised boxes as `tf.image.crop_and_resize` does.

    The order of its operations matters: where rounding puts the last point of a box at the picture's edge
    past the last cell, that point is zero.
    """
    last = ops.cast(size, low.dtype) - 1.0
    step = (high - low)[..., None] * last / (samples - 1)
    at = low[..., None] * last + ops.arange(samples, dtype=low.dtype) * step
    inside = ops.cast((at >= 0.0) & (at <= last), at.dtype)
    at = ops.clip(at, 0.0, last)
    first, after = ops.cast(ops.floor(at), "int32"), at - ops.floor(at)
    return first, ops.minimum(first + 1, size - 1), (1.0 - after) * inside, after * inside

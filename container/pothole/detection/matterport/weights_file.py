"""Keras 2's `.h5` files are read as data: nothing in them is run, and nothing outside them is opened."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pothole.errors import ModelError, reason

Tensors = dict[str, NDArray[np.float32]]

MAX_BYTES = 1 << 30
"""Four times what a ResNet-101 model has; more is no model, and would fill the memory."""

CONSTANTS = ("anchors",)
"""Layers in which ports to TensorFlow 2 keep what is no weight."""


def read_tensors(path: Path) -> Tensors:
    """Read the weights of `model.save_weights()` or `model.save()`.

    Returns:
        Tensors by layer and kind, such as `conv1/kernel`. Layers of a model in the model (`rpn_model`) stand
        by their own names.

    Raises:
        ModelError: The file is not HDF5, is cut off, or not laid out as Keras 2 does.
    """
    if path.is_dir():
        raise ModelError(f"{path} is a folder.", hint="Name the .h5 file.")
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            found = dict(_datasets(path, root))
            if sum(data.size * data.dtype.itemsize for data in found.values()) > MAX_BYTES:
                raise ModelError(f"{path} holds more than {MAX_BYTES >> 20} MiB of weights.")
            return {name: data[()].astype(np.float32, copy=False) for name, data in found.items()}
    except OSError as exc:
        if isinstance(exc, FileNotFoundError):
            raise ModelError(f"There is no file {path}.") from exc
        raise ModelError(
            f"{path} cannot be read as HDF5: {reason(exc)}.", hint="Is it whole, and the .h5 file itself?"
        ) from exc
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as exc:
        raise ModelError(f"{path} is not laid out as Keras 2 lays out weights: {reason(exc)}.") from exc


def _datasets(path: Path, root: Any) -> Iterator[tuple[str, h5py.Dataset]]:
    layers = _names(root, "layer_names")
    if not layers:
        raise ModelError(
            f"{path} is HDF5, but not laid out as Keras 2 lays out weights: it has no layer_names.",
            hint="Files of Matterport's Mask R-CNN have them at the top, or in model_weights.",
        )
    for layer in layers:
        if layer in CONSTANTS:
            continue
        group = root[layer]
        weights = [(name, _kind(name)) for name in _names(group, "weight_names")]
        nested = len({kind for _, kind in weights}) < len(weights)
        for name, kind in weights:
            data = _own_dataset(path, group, name)
            owner = name.split("/")[-2] if nested and "/" in name else layer
            yield f"{owner}/{kind}", data


def _names(group: Any, attribute: str) -> list[str]:
    """Read a list of names; Keras splits one that is too long for an HDF5 attribute into numbered parts."""
    parts = [attribute] if attribute in group.attrs else []
    while not parts or parts[-1] != attribute:
        if (part := f"{attribute}{len(parts)}") not in group.attrs:
            break
        parts.append(part)
    found = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def _kind(name: str) -> str:
    """Return `kernel` of `conv1/kernel:0`."""
    return name.rpartition("/")[2].partition(":")[0]


def _own_dataset(path: Path, group: Any, name: str) -> h5py.Dataset:
    """Return a dataset, unless it lies in another file: HDF5 would open whatever path is written there."""
    at = group
    for part in name.split("/"):
        if not isinstance(at.get(part, getlink=True), h5py.HardLink):
            raise ModelError(f"{path}: {name} is missing or links to somewhere else.")
        at = at[part]
    if not isinstance(at, h5py.Dataset) or at.external or at.is_virtual or at.dtype.kind != "f":
        raise ModelError(f"{path}: {name} is not an array of numbers in the file itself.")
    return at

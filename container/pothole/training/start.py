"""A training starts from a trained model, or from a backbone that knows ImageNet."""

import tarfile
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.errors import ModelError, reason
from pothole.files import NPZ_DAMAGE
from pothole.settings import SHIPPED_MODEL

ARCHIVE = "model.tar.gz"
MAX_MEMBER_BYTES = 2**30

FROZEN = tuple(f"{number:02d}" for number in range(9))
"""The backbone's convolutions up to the features at stride 4, by the number in their names."""


def load_pretrained(folder: Path | None) -> MaskRCNN:
    """Load a model folder, the `model.tar.gz` of a training in it, or without a folder the shipped weights.

    Raises:
        ModelError: There is no model, or it cannot be loaded.
    """
    if folder is None:
        return MaskRCNN.load_folder(SHIPPED_MODEL)
    archive = folder / ARCHIVE
    if (folder / "config.json").is_file() or not archive.is_file():
        return MaskRCNN.load_folder(folder)
    with TemporaryDirectory() as temporary:
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    name = Path(member.name).name
                    if name not in ("config.json", "weights.npz") or not member.isfile():
                        continue
                    if member.size > MAX_MEMBER_BYTES:
                        raise ModelError(f"{name} in {archive} is larger than {MAX_MEMBER_BYTES} bytes.")
                    content = tar.extractfile(member)
                    assert content is not None  # it is a file
                    (Path(temporary) / name).write_bytes(content.read())
        except (OSError, EOFError, tarfile.TarError, zlib.error) as exc:
            raise ModelError(f"{archive} cannot be read: {reason(exc)}.", "Copy it anew.") from exc
        return MaskRCNN.load_folder(Path(temporary))


def load_backbone(config: MaskRCNNConfig, path: Path) -> MaskRCNN:
    """Make a network whose backbone has MobileNetV2's kernels, the rest of it random.

    Args:
        config: The network's.
        path: An `.npz` with `NN_conv/kernel`, `NN_dwconv/kernel`, `…/bias`.

    Raises:
        ModelError: The file cannot be read or holds other kernels.
    """
    network = MaskRCNN(config)
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            for variable in network.backbone.weights:
                variable.assign(file[variable.path].astype(np.float32))
    except NPZ_DAMAGE as exc:
        raise ModelError(f"{path} cannot be read as the kernels of a MobileNetV2: {reason(exc)}.") from exc
    return network


def freeze_stem(network: MaskRCNN) -> None:
    """Keep the backbone's layers up to stride 4 as they are.

    Edges and textures of ImageNet serve roads, too, and these layers cost a fifth of a training step.
    """
    for layer in network.backbone.layers:
        layer.trainable = layer.name[:2] not in FROZEN

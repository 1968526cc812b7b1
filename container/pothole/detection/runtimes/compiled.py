"""What OpenVINO compiled of an export can be kept, and is loaded in a third of the time."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import openvino as ov

from pothole.files import folder_digest, replacing

DIGEST = 64  # bytes in front: of what it was compiled from
_logger = logging.getLogger(__name__)


def compiled_path(folder: Path) -> Path:
    """Return where it is kept: beside the model folder, whose files tell one model from another."""
    return folder.with_name(f"{folder.name}.compiled")


def keep_compiled(compiled: ov.CompiledModel, folder: Path, options: dict[str, Any]) -> Path:
    """Write a compiled network beside the model folder that it was made from.

    Args:
        compiled: The network.
        folder: The model folder.
        options: What it was compiled with.
    """
    path = compiled_path(folder)
    with replacing(path) as file:
        file.write_bytes(_digest(folder, options).encode() + compiled.export_model().getvalue())
    return path


def load_compiled(folder: Path, options: dict[str, Any], threads: int) -> ov.CompiledModel | None:
    """Load what is kept; None where nothing is, or nothing that fits the model, OpenVINO and this CPU.

    OpenVINO itself refuses what another release made, or for a CPU with other instructions.

    Args:
        folder: The model folder.
        options: With which it has to have been compiled.
        threads: How many compute.
    """
    try:
        kept = compiled_path(folder).read_bytes()
        if kept[:DIGEST] != _digest(folder, options).encode():
            _logger.warning("%s is of another model and not used", compiled_path(folder))
            return None
        return ov.Core().import_model(kept[DIGEST:], "CPU", options | {"INFERENCE_NUM_THREADS": threads})
    except OSError:
        return None
    except RuntimeError as exc:
        _logger.info("the network is compiled once more", extra={"reason": str(exc).strip()[-300:]})
        return None


def _digest(folder: Path, options: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([folder_digest(folder), options]).encode()).hexdigest()

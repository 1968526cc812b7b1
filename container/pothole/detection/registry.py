"""A model folder names the kind of its detector, and the registry finds what loads it.

A folder without `detector.json` holds a Mask R-CNN. The file says `[kind, arguments]`, such as
`["mask_rcnn", {"runtime": "openvino"}]`. Packages of users add kinds of their own as entry points of the
group `pothole.detectors`, each a `DetectorKind` by the name of its kind.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pothole.detection.detector import Detector
from pothole.detection.mask_rcnn_detector import load_mask_rcnn
from pothole.errors import ModelError, reason
from pothole.settings import Runtime

GROUP = "pothole.detectors"
CONFIGURATION = "detector.json"
DEFAULT_KIND = "mask_rcnn"
FORM = f'Write for example ["{DEFAULT_KIND}", {{}}].'


class Arguments(BaseModel):
    """These are the arguments of a kind of detector: a subclass declares them, and others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class DetectorKind:
    """A kind of detector is what loads a model folder, with arguments of its own.

    Attributes:
        arguments: What it can be told.
        load: Loads a model folder, told these.
    """

    arguments: type[Arguments]
    load: Callable[[Path, Any], Detector]


class MaskRCNNArguments(Arguments):
    """These are the arguments of a Mask R-CNN.

    Attributes:
        runtime: What runs the network; see `load_mask_rcnn`.
    """

    runtime: Runtime = "auto"


class CenterFaceArguments(Arguments):
    """These are the arguments of CenterFace.

    Attributes:
        network: Its file in the folder; of OpenVINO, or of what else OpenVINO reads.
        longest_side: To which larger pictures are scaled down, in pixels: more finds smaller faces.
    """

    network: str = "network.xml"
    longest_side: Annotated[int, Field(ge=32, le=4096)] = 640


class SSDArguments(Arguments):
    """These are the arguments of an SSD.

    Attributes:
        network: Its file in the folder; of OpenVINO, or of what else OpenVINO reads.
        labels: The file there with what it can tell apart, one a line.
        classes: Those that are looked for.
    """

    network: str = "network.xml"
    labels: str = "labels.txt"
    classes: tuple[str, ...] = ("Person",)


def _load_mask_rcnn(folder: Path, arguments: MaskRCNNArguments) -> Detector:
    return load_mask_rcnn(folder, arguments.runtime)


# OpenVINO is imported for the kinds that cannot do without it, and not for a network of TensorFlow's.
def _load_center_face(folder: Path, arguments: CenterFaceArguments) -> Detector:
    from pothole.detection.box_networks.center_face import CenterFace  # noqa: PLC0415

    return CenterFace(folder / arguments.network, arguments.longest_side)


def _load_ssd(folder: Path, arguments: SSDArguments) -> Detector:
    from pothole.detection.box_networks.ssd import SSD  # noqa: PLC0415

    try:
        labels = (folder / arguments.labels).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as exc:
        raise ModelError(f"{folder / arguments.labels} cannot be read: {reason(exc)}.") from exc
    return SSD(folder / arguments.network, labels, arguments.classes)


BUILT_IN = {
    DEFAULT_KIND: DetectorKind(MaskRCNNArguments, _load_mask_rcnn),
    "center_face": DetectorKind(CenterFaceArguments, _load_center_face),
    "ssd": DetectorKind(SSDArguments, _load_ssd),
}


def load_detector(folder: Path, runtime: Runtime = "auto") -> Detector:
    """Load the detector of a model folder and warm it up.

    Args:
        folder: The folder.
        runtime: For a Mask R-CNN whose configuration does not say: what runs the network.

    Raises:
        ModelError: The folder is incomplete or does not fit this code, its configuration names an unknown
            kind or argument, or the kind cannot be imported.
    """
    name, given = _configuration(folder)
    kind = _kind(name, folder)
    if kind.arguments is MaskRCNNArguments:
        given = {"runtime": runtime} | given
    try:
        arguments = kind.arguments.model_validate(given)
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        field = ".".join(str(part) for part in error["loc"])
        known = ", ".join(kind.arguments.model_fields) or "none"
        raise ModelError(
            f"{folder / CONFIGURATION}: {field} of {name}: {error['msg']}.", f"Known are {known}."
        ) from exc
    return kind.load(folder, arguments)


def _configuration(folder: Path) -> tuple[str, dict[str, Any]]:
    path = folder / CONFIGURATION
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return DEFAULT_KIND, {}
    except (OSError, ValueError) as exc:
        raise ModelError(f"{path} cannot be read: {reason(exc)}.", FORM) from exc
    match content:
        case [str(name), dict(arguments)]:
            return name, arguments
    raise ModelError(f"{path} is not a kind and its arguments.", FORM)


def _kind(name: str, folder: Path) -> DetectorKind:
    if name in BUILT_IN:
        return BUILT_IN[name]
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name not in installed:
        known = ", ".join(sorted({*BUILT_IN, *installed}))
        raise ModelError(
            f"{folder / CONFIGURATION} names the detector {name!r}, which is not installed.",
            f"Known are {known}; a package adds one as an entry point of {GROUP}.",
        )
    try:
        kind = installed[name].load()
    except Exception as exc:  # what a package of users raises at its import may be anything
        raise ModelError(f"The detector {name!r} cannot be imported: {exc!r}.") from exc
    if not isinstance(kind, DetectorKind):
        raise ModelError(f"The entry point {name!r} of {GROUP} is no DetectorKind but {kind!r}.")
    return kind

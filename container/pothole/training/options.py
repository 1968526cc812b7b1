"""This module reads the hyperparameters and folders of `train`, from flags and as SageMaker gives them."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pothole.errors import ConfigError, reason

ROOT = Path("/opt/ml")
"""Where SageMaker mounts all that belongs to a training."""

PLATFORMS_OWN = ("sagemaker_", "_")
"""How the names of hyperparameters begin that SageMaker's estimators and tuner add for themselves."""


def _window(value: object) -> object:
    """Read `256x384` as height and width, multiples of 32."""
    height, _, width = str(value).partition("x")
    if not (height.isdecimal() and width.isdecimal()) or int(height) % 32 or int(width) % 32:
        raise ValueError("expected HEIGHTxWIDTH in multiples of 32, such as 256x384")
    return int(height), int(width)


class Hyperparameters(BaseModel):
    """Hyperparameters say how to train; each is a flag of `train` and a hyperparameter of SageMaker's."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(20, ge=1, description="how long to train")
    steps_per_epoch: int = Field(200, ge=1, description="batches in an epoch")
    batch_size: int = Field(8, ge=1, le=1024, description="pictures in a batch")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="the highest, after the warm-up")
    negative_share: float = Field(0.2, ge=0, lt=1, description="share of pictures without potholes")
    window: Annotated[tuple[int, int], BeforeValidator(_window)] = Field(
        (256, 384), description="height x width of what is seen of a picture in training, as in 256x384"
    )
    seed: int = Field(1, ge=0, lt=2**32, description="of everything drawn")
    backbone: Path | None = Field(None, description="start from these MobileNetV2 kernels (.npz) instead")
    evaluate_every: int = Field(4, ge=1, description="epochs between evaluations on the validation data")
    checkpoint_minutes: float = Field(5, ge=0, description="time between checkpoints")
    workers: int = Field(1, ge=1, le=64, description="threads that read and augment pictures")


@dataclass(frozen=True)
class Folders:
    """These are the folders of a training.

    Attributes:
        train: Data sets to learn from.
        validation: Data set to choose the best weights by; None keeps the last.
        pretrained: Model folder to start from, or one with a `model.tar.gz`; None for the shipped one.
        model: Where the model goes.
        checkpoints: Where the state goes that a training is resumed from.
        failure: The file that says why a training failed.
        regions: Files of regions of the pictures, see `pothole.training.regions`.
    """

    train: tuple[Path, ...]
    validation: Path | None
    pretrained: Path | None
    model: Path
    checkpoints: Path
    failure: Path
    regions: tuple[Path, ...] = ()

    @classmethod
    def below(cls, root: Path, env: Mapping[str, str]) -> Self:
        """Return SageMaker's folders; `SM_CHANNEL_…` and `SM_MODEL_DIR` replace those below `root`."""

        def channel(name: str) -> Path | None:
            folder = Path(env.get(f"SM_CHANNEL_{name.upper()}", root / "input/data" / name))
            return folder if folder.is_dir() else None

        return cls(
            (channel("train") or root / "input/data/train",),
            channel("validation"),
            channel("pretrained"),
            Path(env.get("SM_MODEL_DIR", root / "model")),
            root / "checkpoints",
            root / "output/failure",
            tuple(sorted((channel("regions") or root / "input/data/regions").glob("*.json"))),
        )


def read_folders(flags: argparse.Namespace, env: Mapping[str, str]) -> Folders:
    """Return SageMaker's folders, but for those that flags name."""
    given = {name: value for name, value in vars(flags).items() if name in Folders.__dataclass_fields__}
    for name in given.keys() & {"train", "regions"}:
        given[name] = tuple(given[name])
    return replace(Folders.below(flags.root, env), **given)


def read_hyperparameters(flags: argparse.Namespace) -> Hyperparameters:
    """Read SageMaker's `hyperparameters.json`, if it is there, and the flags, which take precedence.

    All its values are strings; its names may have hyphens or underscores.

    Raises:
        ConfigError: A hyperparameter is unknown or wrong, or the file cannot be read; names it.
    """
    values = _read_file(flags.root / "input/config/hyperparameters.json")
    values |= {name: value for name, value in vars(flags).items() if name in Hyperparameters.model_fields}
    try:
        return Hyperparameters.model_validate(values)
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        name = str(error["loc"][0])
        known = ", ".join(Hyperparameters.model_fields)
        if error["type"] == "extra_forbidden":
            raise ConfigError(f"{name} is not a known hyperparameter.", f"Known are {known}.") from exc
        message = error["msg"].removeprefix("Value error, ")
        raise ConfigError(f"Hyperparameter {name} is {error['input']!r}: {message}.") from exc


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as exc:
        raise ConfigError(f"{path} cannot be read: {reason(exc)}.") from exc
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is not a JSON object.")
    return {
        name.replace("-", "_"): _unquoted(value)
        for name, value in content.items()
        if not name.startswith(PLATFORMS_OWN)
    }


def _unquoted(value: Any) -> Any:
    """Undo the JSON that some of SageMaker's estimators write into the string: `'"20"'` is 20."""
    if isinstance(value, str) and value.startswith('"') and value.endswith('"'):
        return value.strip('"')
    return value


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `train` to a parser that leaves out those that are not given."""
    folders = parser.add_argument_group("folders (default: SageMaker's)")
    folders.add_argument(
        "--root", type=Path, default=ROOT, metavar="DIR", help=f"what the others are below ({ROOT})"
    )
    folders.add_argument("--train", type=Path, nargs="+", metavar="DIR", help="pictures and annotations")
    folders.add_argument(
        "--validation", type=Path, metavar="DIR", help="the same, to choose the best weights"
    )
    folders.add_argument(
        "--regions", type=Path, nargs="+", metavar="FILE", help="lanes outside of which nothing is learnt"
    )
    folders.add_argument("--pretrained", type=Path, metavar="DIR", help="model to start from")
    folders.add_argument("--model-dir", dest="model", type=Path, metavar="DIR", help="where the model goes")
    folders.add_argument(
        "--checkpoint-dir", dest="checkpoints", type=Path, metavar="DIR", help="what to resume from"
    )
    group = parser.add_argument_group("hyperparameters")
    for name, field in Hyperparameters.model_fields.items():
        default = "x".join(map(str, field.default)) if name == "window" else field.default
        shown = "" if default is None else f" ({default})"
        metavar = name.rpartition("_")[2].upper()
        group.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=f"{field.description}{shown}")

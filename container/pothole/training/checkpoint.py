"""The state of a training is one file, replaced as a whole: whoever loads it goes on as if never stopped."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pothole.errors import ConfigError, reason
from pothole.files import NPZ_DAMAGE, replacing
from pothole.training.learner import Learner
from pothole.types import Json


@dataclass
class TrainingProgress:
    """The training progress says how far a training is.

    Attributes:
        step: Batches learnt.
        history: Losses and figures of each epoch that is done.
        best: Weights with the best figures, in the order of the network's own; none before an evaluation.
        best_confidence: The default confidence that goes with them.
    """

    step: int = 0
    history: list[Json] = field(default_factory=list)
    best: list[NDArray[np.float16]] = field(default_factory=list)
    best_confidence: float | None = None


class Checkpoint:
    """A checkpoint saves and restores a learner, its optimizer, its metrics and its progress.

    Args:
        folder: Where `checkpoint.npz` is kept.
        learner: Compiled.
        description: What decides the outcome, by name. A checkpoint of another one is refused.
    """

    def __init__(self, folder: Path, learner: Learner, description: Json) -> None:
        self.path = folder / "checkpoint.npz"
        self.learner = learner
        self.description: Json = json.loads(json.dumps(description))  # tuples are lists there
        learner.optimizer.build(learner.trainable_variables)

    def save(self, progress: TrainingProgress) -> None:
        """Write the checkpoint; a kill meanwhile leaves the previous one."""
        values = [keras.ops.convert_to_numpy(v) for v in self._variables()]
        state = asdict(progress) | {"best": len(progress.best), "description": self.description}
        arrays = {f"variable_{i}": v for i, v in enumerate(values)}
        arrays |= {f"best_{i}": v for i, v in enumerate(progress.best)}
        with replacing(self.path) as whole:
            np.savez(whole, allow_pickle=False, state=np.array(json.dumps(state)), **arrays)

    def restore(self) -> TrainingProgress:
        """Load the checkpoint if there is one.

        Raises:
            ConfigError: It is damaged, or belongs to another training; names what differs.
        """
        if not self.path.is_file():
            return TrainingProgress()
        away = f"Go on as it was begun, or remove {self.path} to begin anew."
        try:
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                state = json.loads(str(file["state"]))
                description = state.pop("description")
                odd = [k for k, v in self.description.items() if description.get(k) != v]
                if odd:
                    differences = (f"{k} {description.get(k)}, not {self.description[k]}" for k in odd)
                    raise ConfigError(f"{self.path} was made with {'; '.join(differences)}.", away)
                variables = self._variables()
                values = [file[f"variable_{i}"] for i in range(len(variables))]
                best = [file[f"best_{i}"] for i in range(state["best"])]
        except NPZ_DAMAGE as exc:
            if isinstance(exc, ConfigError):
                raise
            raise ConfigError(
                f"{self.path} cannot be read: {reason(exc)}.", "Remove it to begin anew."
            ) from exc
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return TrainingProgress(**(state | {"best": best}))

    def _variables(self) -> list[Any]:
        """Return all that changes in training: weights, random numbers, optimizer with averages, metrics."""
        learner = self.learner
        return [*learner.variables, *learner.optimizer.variables, *learner.metrics_variables]

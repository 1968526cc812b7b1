"""Between its steps a training logs, evaluates, writes checkpoints and stops."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pothole.detection.detector import Detector
from pothole.detection.mask_rcnn_detector import MaskRCNNDetector
from pothole.detection.runtimes.keras import KerasNetwork
from pothole.errors import PotholeError
from pothole.training.checkpoint import Checkpoint, TrainingProgress
from pothole.training.comparison import Figures
from pothole.training.learner import Learner
from pothole.training.options import Hyperparameters

_logger = logging.getLogger(__name__)

LOG_EVERY = 20
"""Steps between lines of the log."""

FIGURES = ("mask_ap", "mask_ap50", "box_ap", "box_ap50", "false_positives_per_negative_image")
"""What of an evaluation is logged; the rest is in `metrics.json`."""


class _Stopped(Exception):
    """This exception ends an evaluation, since a stop was asked for."""


class BetweenSteps(keras.callbacks.Callback):  # type: ignore[misc]
    """This callback logs, evaluates, keeps the best weights, writes checkpoints and stops in time.

    For `fit` all epochs are one, so that a resumed training need not begin with a whole one.

    Args:
        learner: Compiled.
        hyperparameters: How to train.
        validation: Data set to choose the best weights by.
        checkpoint: Where the state is kept.
        progress: How far the training is; kept up to date.
        stop: Set from outside to end after the step that runs.
        judge: Measures a detector on a data set, as `evaluate` does.
    """

    def __init__(
        self,
        learner: Learner,
        hyperparameters: Hyperparameters,
        validation: Path | None,
        checkpoint: Checkpoint,
        progress: TrainingProgress,
        stop: threading.Event,
        judge: Callable[[Detector, Path, Callable[[int, int], None]], Figures],
    ) -> None:
        super().__init__()
        # On JAX `self.model` fetches the state from the step function, which costs time: `learner` does not.
        self.set_model(learner)
        self.learner = learner
        self.epochs = hyperparameters.epochs
        self.steps = hyperparameters.steps_per_epoch
        self.evaluate_every = hyperparameters.evaluate_every
        self.checkpoint_s = 60.0 * hyperparameters.checkpoint_minutes
        self.validation = validation
        self.checkpoint = checkpoint
        self.progress = progress
        self.stop = stop
        self.judge = judge
        self.saved = time.monotonic()
        self.means: list[Any] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Save the mean losses of an interrupted epoch, which `fit` is about to reset."""
        self.means = [keras.ops.convert_to_numpy(v) for v in self.learner.metrics_variables]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restore the mean losses that `fit` has reset."""
        for variable, value in zip(self.learner.metrics_variables, self.means, strict=True):
            variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Count a step and do what is due after it."""
        self.progress.step += 1
        step = self.progress.step
        if not math.isfinite(logs["loss"]):
            raise PotholeError(f"The loss is {logs['loss']} at step {step}.", "Try a lower learning rate.")
        if step % self.steps == 0:
            self.finish_epoch()
        elif step % LOG_EVERY == 0:
            self._log("train", logs)
        due = time.monotonic() - self.saved >= self.checkpoint_s or step == self.epochs * self.steps
        if due or self.stop.is_set():
            self.save()
        self.learner.stop_training = self.stop.is_set()

    def finish_epoch(self) -> None:
        """Log and evaluate an epoch whose steps are done, unless a stop comes in between."""
        losses = {name: float(value) for name, value in self.model.get_metrics_result().items()}
        self._log("train", losses)
        epoch = self.progress.step // self.steps
        record: dict[str, Any] = {"epoch": epoch, "train": losses}
        if self.validation and (epoch % self.evaluate_every == 0 or epoch == self.epochs):
            try:
                record["validation"] = self._evaluate(self.validation)
            except _Stopped:
                return
        self.progress.history.append(record)
        self.model.reset_metrics()
        if "validation" in record:
            self.saved = -math.inf  # it took long: a checkpoint is due

    @property
    def epoch_is_open(self) -> bool:
        """Say whether an epoch's steps are done, but not its evaluation, which a stop cut short."""
        epoch, rest = divmod(self.progress.step, self.steps)
        return rest == 0 and epoch > len(self.progress.history)

    def save(self) -> None:
        """Write a checkpoint."""
        self.checkpoint.save(self.progress)
        self.saved = time.monotonic()

    def _evaluate(self, validation: Path) -> dict[str, Any]:
        """Measure the averaged weights, and keep them when they have the best mask AP so far."""

        def check(done: int, total: int) -> None:
            if self.stop.is_set():
                raise _Stopped

        with averaged_weights(self.model) as network:
            # A new one each time: on JAX, what is compiled has the weights in it.
            figures = self.judge(MaskRCNNDetector(KerasNetwork(network)), validation, check)
            best = max(
                (h["validation"]["mask_ap"] for h in self.progress.history if "validation" in h), default=-1
            )
            if figures["mask_ap"] > best:
                weights = [keras.ops.convert_to_numpy(v) for v in network.weights]
                self.progress.best = [w.astype(np.float16) for w in weights]
                self.progress.best_confidence = figures["best_min_confidence"]
        self._log("validation", {name: figures[name] for name in FIGURES})
        return figures

    def _log(self, kind: str, values: Mapping[str, float | None]) -> None:
        """Write a line from which SageMaker reads metrics: `epoch=1; step=20; train:loss=1.2345; …`."""
        epoch = (self.progress.step - 1) // self.steps + 1
        known = [f"{kind}:{name}={value:.4f}" for name, value in values.items() if value is not None]
        _logger.info("epoch=%d; step=%d; %s", epoch, self.progress.step, "; ".join(known))


@contextmanager
def averaged_weights(learner: Learner) -> Iterator[Any]:
    """Lend the network with the weights averaged over the steps."""
    variables = learner.trainable_variables
    raw = [keras.ops.convert_to_numpy(v) for v in variables]
    learner.optimizer.finalize_variable_values(variables)
    try:
        yield learner.network
    finally:
        for variable, value in zip(variables, raw, strict=True):
            variable.assign(value)

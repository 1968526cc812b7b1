"""A training goes from annotated pictures to a model folder that `serve` loads.

Checkpoints, metrics and the model go to the folders that the caller names; `entrypoints.cli.train` keeps
SageMaker's contract around it (docs/how-to/train.md).
"""

import json
import logging
import threading
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pothole.detection.mask_rcnn.config import MaskRCNNConfig
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.runtimes.source import NOT_IN_GRAPH
from pothole.errors import ConfigError, DatasetError, RequestError
from pothole.files import replacing
from pothole.training.augment import Augmentation
from pothole.training.batches import Batches
from pothole.training.calibration import chosen
from pothole.training.callbacks import BetweenSteps, averaged_weights
from pothole.training.checkpoint import Checkpoint, TrainingProgress
from pothole.training.dataset import MAX_PIXELS, Sample, read_dataset
from pothole.training.evaluate import evaluate
from pothole.training.learner import Learner
from pothole.training.options import Folders, Hyperparameters
from pothole.training.regions import Regions
from pothole.training.start import freeze_stem, load_backbone, load_pretrained
from pothole.training.targets import Sampling

_logger = logging.getLogger(__name__)

AUGMENTATION = Augmentation(
    scale=(0.6, 2.0),
    stretch=0.3,
    flip=0.5,
    paste=0.25,
    elsewhere=0.3,
    light=0.3,
    shadow=0.15,
    blur=0.2,
    jpeg=0.2,
)
BACKBONE_RATE = 0.1
"""Learning rate of the backbone relative to the rest: its folded batch norm does not stand the full one."""


class TwoRateAdamW(keras.optimizers.AdamW):  # type: ignore[misc]
    """This is AdamW (arXiv:1711.05101) with a lower learning rate for the backbone."""

    def __init__(self, backbone: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._backbone = {id(v) for v in backbone}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        rate = learning_rate * BACKBONE_RATE if id(variable) in self._backbone else learning_rate
        super().update_step(gradient, variable, rate)


def sampling_weights(samples: Sequence[Sample], negative_share: float) -> list[float]:
    """Return how often each picture is drawn.

    A source counts by the square root of its pictures, so that near-repeats of one do not drown the others;
    pictures without potholes together make up `negative_share`.
    """
    positives = Counter(s.source for s in samples if s.polygons)
    negatives = sum(not s.polygons for s in samples)
    total = sum(np.sqrt(n) for n in positives.values())
    return [
        float((1.0 - negative_share) / np.sqrt(positives[s.source]) / total)
        if s.polygons
        else negative_share / negatives
        for s in samples
    ]


def train(
    hyperparameters: Hyperparameters,
    folders: Folders,
    stop: threading.Event | None = None,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Train, from the checkpoint if there is one, and write the model folder.

    Args:
        hyperparameters: How.
        folders: From what and to where.
        stop: Set from outside to end early: a checkpoint is written, and the model as it is so far.
        max_pixels: Largest `width * height` of a picture.

    Raises:
        PotholeError: Data, a model to start from or a checkpoint cannot be used; names it.
    """
    stop = stop or threading.Event()
    keras.utils.set_random_seed(hyperparameters.seed)
    regions = Regions.read(folders.regions)
    samples = regions.ignore(read_potholes(folders.train, max_pixels))
    validation = read_potholes([folders.validation], max_pixels) if folders.validation else []
    regions.check([*samples, *validation])
    network = load_start(hyperparameters, folders)
    learner = compiled(network, hyperparameters)
    data = {"train": samples, "validation": validation}
    checkpoint = Checkpoint(folders.checkpoints, learner, description(hyperparameters, network, data))
    progress = checkpoint.restore()
    steps = hyperparameters.epochs * hyperparameters.steps_per_epoch
    _logger.info("%d pictures; %d of %d steps are done", len(samples), progress.step, steps)
    judge = partial(evaluate, max_pixels=max_pixels, regions=regions.of(validation))
    between = BetweenSteps(learner, hyperparameters, folders.validation, checkpoint, progress, stop, judge)
    if between.epoch_is_open:
        between.finish_epoch()
        between.save()
    if progress.step < steps and not stop.is_set():
        learn(learner, samples, hyperparameters, between)
    elif not stop.is_set():
        _logger.info("nothing is left to learn: raise epochs, or remove %s to begin anew", checkpoint.path)
    if stop.is_set():
        _logger.info(
            "stopped at step %d of %d; the next start goes on from %s", progress.step, steps, checkpoint.path
        )
    export(learner, progress, folders.model)
    _logger.info("the model is in %s", folders.model)


def load_start(hyperparameters: Hyperparameters, folders: Folders) -> MaskRCNN:
    """Load what the training starts from.

    Raises:
        ConfigError: Two starts are named.
        ModelError: It cannot be loaded.
    """
    if hyperparameters.backbone and folders.pretrained:
        raise ConfigError("A training starts from backbone or from pretrained, not from both.")
    if hyperparameters.backbone:
        network = load_backbone(MaskRCNNConfig(), hyperparameters.backbone)
    else:
        network = load_pretrained(folders.pretrained)
    freeze_stem(network)
    return network


def learn(
    learner: Learner, samples: Sequence[Sample], hyperparameters: Hyperparameters, between: BetweenSteps
) -> None:
    """Train for the steps that are left.

    Raises:
        PotholeError: A picture cannot be read, or the loss is no number.
    """
    done = between.progress.step
    batches = Batches(
        samples,
        learner.network.config.image_size,
        hyperparameters.batch_size,
        sampling_weights(samples, hyperparameters.negative_share),
        hyperparameters.epochs * hyperparameters.steps_per_epoch - done,
        hyperparameters.seed,
        replace(AUGMENTATION, window=hyperparameters.window),
        done,
        hyperparameters.workers,
    )
    try:
        learner.fit(batches, shuffle=False, callbacks=[between], verbose=0)
    except Exception as exc:
        raise batches.failure or exc from None


def read_potholes(folders: Sequence[Path], max_pixels: int = MAX_PIXELS) -> list[Sample]:
    """Read data sets.

    Raises:
        DatasetError: They hold no pothole at all, or cannot be read.
    """
    samples = [s for folder in folders for s in read_dataset(folder, max_pixels)[0]]
    if not any(s.polygons for s in samples):
        raise DatasetError(
            f"No picture in {', '.join(map(str, folders))} has a pothole.",
            'A region counts when it has an area, and no label or one with "pothole" in it.',
        )
    return samples


def compiled(network: MaskRCNN, hyperparameters: Hyperparameters) -> Learner:
    """Return the network with its losses and its optimizer."""
    learner = Learner(network, Sampling(), hyperparameters.seed)
    steps = hyperparameters.epochs * hyperparameters.steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        steps,
        alpha=0.01,
        warmup_target=hyperparameters.learning_rate,
        warmup_steps=min(200, steps // 10),
    )
    optimizer = TwoRateAdamW(
        network.backbone.trainable_variables,
        learning_rate=schedule,
        weight_decay=1e-4,
        global_clipnorm=5.0,
        use_ema=True,
        ema_momentum=0.998,
    )
    # XLA on a CPU is an order of magnitude slower than TensorFlow's own kernels.
    learner.compile(optimizer, jit_compile=keras.backend.backend() == "jax")
    return learner


def description(
    hyperparameters: Hyperparameters, network: MaskRCNN, data: Mapping[str, Sequence[Sample]]
) -> dict[str, Any]:
    """Return all that decides a training's result, except the number of epochs, which may grow."""
    names = {"seed", "batch_size", "steps_per_epoch", "learning_rate", "negative_share", "window"}
    sizes = {k: v for k, v in asdict(network.config).items() if k not in NOT_IN_GRAPH}
    return hyperparameters.model_dump(include=names) | sizes | {k: digest(v) for k, v in data.items()}


def digest(samples: Sequence[Sample]) -> str:
    """Return a few characters that differ when pictures or their potholes do."""
    checksum = 0
    for sample in samples:
        checksum = zlib.crc32(f"{sample.path.name} {sample.source}".encode(), checksum)
        for polygon in (p for polygons in sample.polygons for p in polygons):
            checksum = zlib.crc32(polygon.tobytes(), checksum)
        if sample.ignored:
            checksum = zlib.crc32(sample.ignored["counts"], checksum)
    return f"{len(samples)} pictures ({checksum:08x})"


def recommended(config: MaskRCNNConfig, progress: TrainingProgress) -> MaskRCNNConfig:
    """Return the configuration with what the validation of the best weights says about scores."""
    judged = [record["validation"] for record in progress.history if "validation" in record]
    best = max(judged, key=lambda figures: float(figures["mask_ap"]))
    try:
        return chosen(config, best)
    except RequestError:  # too few pictures; a threshold can be had from fewer
        return replace(config, min_confidence=progress.best_confidence or config.min_confidence)


def export(learner: Learner, progress: TrainingProgress, folder: Path) -> None:
    """Write the model folder: the best weights, else those averaged so far; beside them `metrics.json`."""
    with averaged_weights(learner) as network:
        if progress.best:
            for variable, value in zip(network.weights, progress.best, strict=True):
                variable.assign(value.astype(np.float32))
            network.config = recommended(network.config, progress)
        network.save_folder(folder)
    with replacing(folder / "metrics.json") as whole:
        whole.write_text(json.dumps(progress.history, indent=2) + "\n")

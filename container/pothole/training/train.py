"""The `train` command: from a COCO data set to a model folder that `serve` loads.

Inside SageMaker the folders come from its environment (`SM_CHANNEL_TRAIN`, `SM_MODEL_DIR` …); by hand they
are flags. A run that was stopped goes on from its last checkpoint.
"""

import argparse
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from pothole.detector import KerasDetector
from pothole.errors import PotholeError
from pothole.model.config import MaskRCNNConfig
from pothole.model.mask_rcnn import MaskRCNN
from pothole.training.augment import Augmentation
from pothole.training.dataset import Batches, Sample, read_coco
from pothole.training.evaluate import evaluate
from pothole.training.learner import Learner
from pothole.training.targets import Sampling

log = logging.getLogger(__name__)

AUGMENTATION = Augmentation(
    scale=(0.6, 2.0), stretch=0.3, flip=0.5, paste=0.25, light=0.3, shadow=0.15, blur=0.2, jpeg=0.2
)
BACKBONE_RATE = 0.1
"""Learning rate of the backbone relative to the rest: its folded batch norm does not stand the full one."""


FROZEN = tuple(f"{number:02d}" for number in range(9))
"""The backbone's convolutions up to the features at stride 4, by the number in their names."""


class TwoRateAdamW(keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW (arXiv:1711.05101) with a lower learning rate for the backbone."""

    def __init__(self, backbone: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._backbone = {id(v) for v in backbone}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        rate = learning_rate * BACKBONE_RATE if id(variable) in self._backbone else learning_rate
        super().update_step(gradient, variable, rate)


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch keep everything that is needed to go on: weights, optimizer, number of the epoch."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "last.weights.h5"
        self.state = folder / "state.json"

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write to the side, then replace, so that a kill in between leaves the previous checkpoint."""
        aside = self.path.with_name("next.weights.h5")
        self.model.save_weights(aside)
        aside.replace(self.path)
        self.state.write_text(json.dumps({"epoch": epoch + 1}))

    def restore(self, learner: Learner) -> int:
        """Load the last checkpoint, if there is one; returns the epoch to go on with."""
        if not self.state.is_file():
            return 0
        learner.optimizer.build(learner.trainable_variables)
        learner.load_weights(self.path)
        return int(json.loads(self.state.read_text())["epoch"])


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Measure the averaged weights now and then; those with the best mask AP50 stay in the model folder.

    Their default confidence is the one that `operating_point` finds.
    """

    def __init__(self, network: MaskRCNN, validation: Path, model_dir: Path, every: int, epochs: int) -> None:
        super().__init__()
        self.detector = KerasDetector(network)
        self.network = network
        self.validation = validation
        self.model_dir = model_dir
        self.every = every
        self.epochs = epochs
        self.history = model_dir / "metrics.json"

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Evaluate every `every` epochs and at the end."""
        if (epoch + 1) % self.every and epoch + 1 != self.epochs:
            return
        figures = evaluate(self.detector, self.validation)
        history = json.loads(self.history.read_text()) if self.history.is_file() else []
        best = max((h["mask_ap50"] for h in history), default=-1.0)
        if figures["mask_ap50"] > best:
            confidence = figures["best_min_confidence"] or self.network.config.min_confidence
            self.network.config = replace(self.network.config, min_confidence=confidence)
            self.network.save_folder(self.model_dir)
        self.model_dir.mkdir(parents=True, exist_ok=True)
        self.history.write_text(json.dumps([*history, {"epoch": epoch + 1, **figures}], indent=2))
        log.info(
            "epoch %d: mask_ap=%.4f; mask_ap50=%.4f; box_ap50=%.4f; false_positives=%s; by source %s",
            epoch + 1,
            figures["mask_ap"],
            figures["mask_ap50"],
            figures["box_ap50"],
            figures["false_positives_per_negative_image"],
            {k: v["mask_ap50"] for k, v in figures["by_source"].items()},
        )


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


def load_backbone(network: MaskRCNN, path: Path) -> None:
    """Load MobileNetV2 from an `.npz` with `NN_conv/kernel`, `NN_dwconv/kernel`, `…/bias`."""
    with np.load(path, allow_pickle=False) as file:
        for variable in network.backbone.weights:
            variable.assign(file[variable.path].astype(np.float32))


def freeze_stem(network: MaskRCNN) -> None:
    """Keep the backbone's layers up to stride 4 as they are.

    Edges and textures of ImageNet serve roads, too, and these layers cost a fifth of a training step.
    """
    for layer in network.backbone.layers:
        layer.trainable = layer.name[:2] not in FROZEN


def train(args: argparse.Namespace, config: MaskRCNNConfig | None = None) -> None:
    """Train as the arguments say, a network of the given configuration unless one is continued."""
    keras.utils.set_random_seed(args.seed)
    samples = [s for folder in args.train for s in read_coco(folder)[0]]
    if args.pretrained:
        network = MaskRCNN.load_folder(args.pretrained)
    else:
        network = MaskRCNN(config or MaskRCNNConfig())
        if args.backbone:
            load_backbone(network, args.backbone)
    freeze_stem(network)
    learner = Learner(network, Sampling(), args.seed)
    steps = args.epochs * args.steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, alpha=0.01, warmup_target=args.learning_rate, warmup_steps=min(200, steps // 10)
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
    args.checkpoint_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(args.checkpoint_dir)
    first = checkpoint.restore(learner)
    if first >= args.epochs:
        log.info("%s has all %d epochs: raise --epochs to go on.", args.checkpoint_dir, first)
        return
    batches = Batches(
        samples,
        network.config.image_size,
        args.batch_size,
        sampling_weights(samples, args.negative_share),
        args.steps_per_epoch,
        args.seed,
        replace(AUGMENTATION, window=args.window),
        first,
        args.workers,
    )
    # The order matters: the checkpoint holds the raw weights, the evaluation sees the averaged ones.
    callbacks: list[Any] = [checkpoint, keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
    if args.validation:
        best = KeepBest(network, args.validation, args.model_dir, args.evaluate_every, args.epochs)
        if first == 0:
            best.history.unlink(missing_ok=True)  # of another training, whose weights these need not beat
        callbacks.append(best)
    learner.fit(batches, epochs=args.epochs, initial_epoch=first, callbacks=callbacks, verbose=2)
    if not args.validation:
        network.save_folder(args.model_dir)


def image_size(text: str) -> tuple[int, int]:
    """Read `256x384` as height and width, multiples of 32."""
    height, _, width = text.partition("x")
    if int(height) % 32 or int(width) % 32:
        raise argparse.ArgumentTypeError(f"{text}: both sides must be multiples of 32, as in 256x384")
    return int(height), int(width)


def parser() -> argparse.ArgumentParser:
    """Return the flags of `train`."""
    env = os.environ
    channel = env.get("SM_CHANNEL_TRAIN", "/opt/ml/input/data/train")
    result = argparse.ArgumentParser("train", description="Train the Mask R-CNN on COCO data sets.")
    result.add_argument(
        "--train",
        type=Path,
        nargs="+",
        default=[Path(channel)],
        help="folders with images/ and annotations.json",
    )
    result.add_argument(
        "--validation",
        type=Path,
        default=env.get("SM_CHANNEL_VALIDATION"),
        help="the same, to pick the best weights by",
    )
    result.add_argument("--model-dir", type=Path, default=Path(env.get("SM_MODEL_DIR", "/opt/ml/model")))
    result.add_argument("--checkpoint-dir", type=Path, default=Path("/opt/ml/checkpoints"))
    start = result.add_mutually_exclusive_group()
    start.add_argument("--backbone", type=Path, help=".npz with MobileNetV2 kernels")
    start.add_argument("--pretrained", type=Path, help="model folder to start from")
    result.add_argument("--epochs", type=int, default=20)
    result.add_argument("--steps-per-epoch", type=int, default=200)
    result.add_argument("--batch-size", type=int, default=8)
    result.add_argument("--learning-rate", type=float, default=1e-3)
    result.add_argument(
        "--negative-share", type=float, default=0.2, help="share of pictures without potholes"
    )
    result.add_argument("--evaluate-every", type=int, default=4, help="epochs between evaluations")
    result.add_argument(
        "--window", type=image_size, default=(256, 384), help="height x width of the training windows"
    )
    result.add_argument("--workers", type=int, default=1, help="threads that read and augment pictures")
    result.add_argument("--seed", type=int, default=1)
    return result


def main() -> None:
    """Run `train`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        train(parser().parse_args())
    except PotholeError as exc:
        sys.exit(f"train: {exc}")


if __name__ == "__main__":
    main()

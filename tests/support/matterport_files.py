"""Weights files in Matterport's layout: a whole ResNet-50, small heads, every weight drawn from a seed."""

from pathlib import Path

import h5py
import numpy as np

PYRAMID, SHARED, UNITS, MASKS = 8, 16, 12, 8
BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


def weight_shapes(backbone="resnet50", classes=2):
    """Layer by layer, in the order in which Matterport's files have them: `{layer: {weight: shape}}`."""
    layers = {}

    def convolution(name, *kernel, bias=None):
        layers[name] = {f"{name}/kernel:0": kernel, f"{name}/bias:0": (bias or kernel[-1],)}

    def norm(name, channels):
        kinds = ("gamma", "beta", "moving_mean", "moving_variance")
        layers[name] = {f"{name}/{kind}:0": (channels,) for kind in kinds}

    convolution("conv1", 7, 7, 3, 64)
    norm("bn_conv1", 64)
    before = 64
    for stage, blocks, width in zip("2345", BLOCKS[backbone], (64, 128, 256, 512), strict=True):
        for letter in "abcdefghijklmnopqrstuvw"[:blocks]:
            parts = [("2a", 1, before, width), ("2b", 3, width, width), ("2c", 1, width, 4 * width)]
            if letter == "a":
                parts.append(("1", 1, before, 4 * width))
            for part, size, inputs, outputs in parts:
                convolution(f"res{stage}{letter}_branch{part}", size, size, inputs, outputs)
                norm(f"bn{stage}{letter}_branch{part}", outputs)
            before = 4 * width
    for level, inputs in zip("5432", (2048, 1024, 512, 256), strict=True):
        convolution(f"fpn_c{level}p{level}", 1, 1, inputs, PYRAMID)
        convolution(f"fpn_p{level}", 3, 3, PYRAMID, PYRAMID)
    rpn = {}
    for name, size, inputs, outputs in (
        ("rpn_conv_shared", 3, PYRAMID, SHARED),
        ("rpn_class_raw", 1, SHARED, 6),
        ("rpn_bbox_pred", 1, SHARED, 12),
    ):
        rpn |= {f"{name}/kernel:0": (size, size, inputs, outputs), f"{name}/bias:0": (outputs,)}
    layers["rpn_model"] = rpn
    convolution("mrcnn_class_conv1", 7, 7, PYRAMID, UNITS)
    norm("mrcnn_class_bn1", UNITS)
    convolution("mrcnn_class_conv2", 1, 1, UNITS, UNITS)
    norm("mrcnn_class_bn2", UNITS)
    convolution("mrcnn_class_logits", UNITS, classes)
    convolution("mrcnn_bbox_fc", UNITS, 4 * classes)
    for i in "1234":
        convolution(f"mrcnn_mask_conv{i}", 3, 3, PYRAMID if i == "1" else MASKS, MASKS)
        norm(f"mrcnn_mask_bn{i}", MASKS)
    convolution("mrcnn_mask_deconv", 2, 2, MASKS, MASKS)
    convolution("mrcnn_mask", 1, 1, MASKS, classes)
    return layers


def weight(name, shape, rng):
    """Draw a weight so that what flows through the network stays near 1."""
    kind = name.split("/")[-1]
    if kind == "kernel:0":
        return rng.normal(size=shape) * np.sqrt(1.0 / np.prod(shape[:-1]))
    low, high = {
        "gamma:0": (0.3, 0.6),
        "beta:0": (-0.1, 0.1),
        "moving_mean:0": (-0.2, 0.2),
        "moving_variance:0": (0.5, 1.5),
        "bias:0": (-0.1, 0.1),
    }[kind]
    return rng.uniform(low, high, shape)


def weights(classes=2, seed=0):
    """Return `{layer: {weight: float32 array}}`."""
    rng = np.random.default_rng(seed)
    drawn = {
        layer: {name: weight(name, shape, rng).astype(np.float32) for name, shape in of_layer.items()}
        for layer, of_layer in weight_shapes(classes=classes).items()
    }
    # Every RoI is something, or there would be nothing to compare.
    drawn["mrcnn_class_logits"]["mrcnn_class_logits/bias:0"][0] = -2.0
    return drawn


def write_weights(path: Path, layers, whole=False) -> Path:
    """Write what Keras 2's `save_weights` writes, or with `whole` what `save` does."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        if whole:
            file.attrs["model_config"] = b"{}"
            file.create_group("optimizer_weights").create_dataset("iterations:0", data=1)
        root.attrs["layer_names"] = [name.encode() for name in ("input_image", *layers)]
        root.create_group("input_image").attrs["weight_names"] = np.zeros(0, "S1")
        for layer, of_layer in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in of_layer]
            for name, value in of_layer.items():
                group.create_dataset(name, data=value)
    return path

"""The export makes an OpenVINO model of the network, in whole numbers where it is calibrated.

Quantised after training (Jacob et al., 2018, arXiv:1712.05877) by NNCF: convolutions and dense layers compute
in int8, all arithmetic on boxes stays in float32.
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import tensorflow as tf
from keras import ops
from openvino import opset13

from pothole.detection.mask_rcnn.letterbox import fit, limits
from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.runtimes.openvino import EXPORTED, OUTPUTS, SOURCE
from pothole.detection.runtimes.source import source_digest
from pothole.errors import ModelError
from pothole.files import replacing
from pothole.media.picture import read_picture

MANY = 4096  # anchors; sorts of fewer take no time
CHANNELS_LAST, CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]  # the other layout turned into it
QUANTISED = {"Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"}


def export(
    folder: Path,
    pictures: Sequence[Path] = (),
    max_pixels: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the export of a model folder into it.

    Args:
        folder: A model folder; an export that is there is replaced.
        pictures: To calibrate with, some hundred of the kind to be marked; without any, float32.
        max_pixels: Largest accepted `width * height` of a picture.
        on_progress: Called with the pictures calibrated with so far and in all, which takes most of the time.

    Returns:
        The file.

    Raises:
        ModelError: The folder is incomplete, or NNCF, which calibrates, is not installed.
        InvalidMedia: A picture cannot be read.
    """
    network = MaskRCNN.load_folder(folder)
    model = _converted(network)
    if pictures:
        model = _quantised(model, network, pictures, max_pixels, on_progress)
        _centre_pixels(model)
    model.set_rt_info(source_digest(folder), SOURCE)
    target = folder / EXPORTED
    # An export is two files, so that the first of them waits until the second is whole, too.
    with replacing(target.with_suffix(".bin")) as weights, replacing(target) as graph:
        saved = weights.with_suffix(".xml")
        # Half as large as float32, and what the weights were saved in.
        ov.save_model(model, saved, compress_to_fp16=True)
        saved.replace(graph)
    return target


def _converted(network: MaskRCNN) -> ov.Model:
    config = network.config

    def find(images: Any, edges: Any, score_threshold: Any) -> Any:
        pyramid = network.pyramid(images)
        boxes, scores, classes = network.detect(pyramid, edges)
        needed = ops.sum(ops.cast(scores >= score_threshold, "int32"), axis=1)
        count = ops.maximum(ops.max(needed), 1)  # a loop over no box at all is not supported
        boxes, classes = boxes[:, :count], classes[:, :count]
        # Not the masks: OpenVINO 2026.4 may crash in a sigmoid over a number of boxes that changes.
        return boxes, scores[:, :count], classes, network.mask_logits(pyramid, boxes)

    graph = tf.function(find).get_concrete_function(
        tf.TensorSpec((1, *config.image_size, 3), tf.uint8, "images"),
        tf.TensorSpec((1, 4), tf.float32, "limits"),
        tf.TensorSpec((), tf.float32, "lowest"),
    )
    model = ov.convert_model(graph)
    for output in model.outputs[len(OUTPUTS) :]:  # the loops' own
        model.remove_result(output.get_node())
    for parameter, name in zip(model.inputs, ("images", "limits", "lowest"), strict=True):
        parameter.get_tensor().set_names({name})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    _sort_fast(model)
    _turn_less(model)
    model.validate_nodes_and_infer_types()
    return model


def _sort_fast(model: ov.Model) -> None:
    """Let equal scores come in any order: to keep theirs, OpenVINO sorts for 100 ms, not for 0.6."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "TopK" and node.get_input_shape(0)[-1] >= MANY:
            asked = node.get_attributes()
            fast = opset13.topk(
                node.input_value(0),
                node.input_value(1),
                asked["axis"],
                asked["mode"],
                asked["sort"],
                asked["index_element_type"],
                stable=False,
            )
            for before, after in zip(node.outputs(), fast.outputs(), strict=True):
                before.replace(after)


def _turn_less(model: ov.Model) -> None:
    """Remove transposes around enlargements, so that feature maps keep the layout of convolutions."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Interpolate" and (before := _undone(node.input_value(0), CHANNELS_LAST)):
            takers = node.output(0).get_target_inputs()
            node.input(0).replace_source_output(before)
            node.input(2).replace_source_output(opset13.constant([2, 3], np.int32).output(0))
            back = opset13.transpose(node, opset13.constant(CHANNELS_LAST, np.int64))
            for taker in takers:
                taker.replace_source_output(back.output(0))
    for node in model.get_ordered_ops():
        there = _undone(node.output(0), CHANNELS_FIRST) if node.outputs() else None
        if there and (before := _undone(there, CHANNELS_LAST)):
            node.output(0).replace(before)


def _undone(value: ov.Output, order: Sequence[int]) -> ov.Output | None:
    """Return a value from before its axes were reordered; None where they were not."""
    node = value.get_node()
    if node.get_type_name() != "Transpose" or node.input_value(1).get_node().get_data().tolist() != order:
        return None
    return node.input_value(0)


def _quantised(
    model: ov.Model,
    network: MaskRCNN,
    pictures: Sequence[Path],
    max_pixels: int,
    on_progress: Callable[[int, int], None],
) -> ov.Model:
    try:
        import nncf  # noqa: PLC0415  # an optional dependency
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet  # noqa: PLC0415
    except ImportError as exc:
        raise ModelError("NNCF, which calibrates, is not installed.", "Run `pip install nncf`.") from exc

    numbers = itertools.count(1)

    def inputs(path: Path) -> dict[str, Any]:
        on_progress(min(next(numbers), len(pictures)), len(pictures))
        with path.open("rb") as file:
            canvas, window = fit(read_picture(file, str(path), max_pixels), network.config)
        return {
            "images": canvas[None],
            "limits": limits(window, network.config)[None],
            # All masks that there is room for, since the mask head is to be calibrated, too.
            "lowest": 0.0,
        }

    # The widest values of all pictures. With their mean, the default, mask AP was 0.01 lower.
    widest = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
    )
    to_inputs: Callable[[Path], dict[str, Any]] = inputs
    return nncf.quantize(
        model,
        nncf.Dataset(list(pictures), to_inputs),
        subset_size=len(pictures),
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=widest,
        ignored_scope=nncf.IgnoredScope(names=_exact(model), validate=False),
    )


def _centre_pixels(model: ov.Model) -> None:
    """Let pixels from -1 to 1 be quantised to the steps -127 to 128, not -128 to 127.

    Those OpenVINO takes for signed numbers, with which the first convolution needs more than twice the time.
    """
    rounded = (n for n in model.get_ordered_ops() if n.get_type_name() == "FakeQuantize")
    first = next(n for n in rounded if not _is_constant(n.input_value(0)))
    low, high = (first.input_value(i).get_node().get_data() for i in (1, 2))
    if np.allclose(low, -high * 128 / 127):
        for i, limit in ((1, -high), (2, -low), (3, -high), (4, -low)):
            first.input(i).replace_source_output(opset13.constant(limit, np.float32).output(0))


def _is_constant(value: ov.Output) -> bool:
    node = value.get_node()
    return node.get_type_name() == "Constant" or any(_is_constant(v) for v in node.input_values()[:1])


def _exact(model: ov.Model) -> list[str]:
    """Return the operations that may carry box coordinates: in 256 steps these would be pixels off."""
    return [n.get_friendly_name() for n in model.get_ops() if n.get_type_name() not in QUANTISED]

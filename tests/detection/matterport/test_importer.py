"""Weights files of Matterport's layout, with a whole ResNet-50, and files that only look like them."""

import json
import sys
import tarfile
import threading

import h5py
import numpy as np
import pytest
import requests
import tensorflow as tf
from werkzeug.serving import make_server

from pothole.detection.mask_rcnn.mask_rcnn import MaskRCNN
from pothole.detection.matterport.importer import configuration, import_weights
from pothole.detection.matterport.operation import Operation, read_operation
from pothole.detection.registry import load_detector
from pothole.entrypoints.cli import main as cli
from pothole.entrypoints.http.app import create_app
from pothole.errors import ConfigError, ModelError, RequestError
from pothole.media.picture import encode_picture
from support.matterport_files import weight_shapes, weights, write_weights

OPERATION = Operation(
    IMAGE_MIN_DIM=64, IMAGE_MAX_DIM=128, DETECTION_MIN_CONFIDENCE=0.0, DETECTION_MAX_INSTANCES=8
)


@pytest.fixture(scope="module")
def layers():
    return weights()


@pytest.fixture(scope="module")
def file(layers, tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "mask_rcnn_pothole_0030.h5", layers)


@pytest.fixture(scope="module")
def folder(file, tmp_path_factory):
    path = tmp_path_factory.mktemp("imported") / "model"
    import_weights(file, OPERATION, path)
    return path


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (72, 128, 3), np.uint8)


def their_pyramid(layers, image):
    """Matterport's graph up to the RPN, in TensorFlow's operations, with batch norm where it was trained."""
    flat = {name.partition(":")[0]: value for layer in layers.values() for name, value in layer.items()}

    def conv(x, name, stride=1, padding="VALID", norm=None):
        y = tf.nn.conv2d(x, flat[f"{name}/kernel"], stride, padding) + flat[f"{name}/bias"]
        if norm is None:
            return y
        mean, variance, beta, gamma = (
            flat[f"{norm}/{kind}"] for kind in ("moving_mean", "moving_variance", "beta", "gamma")
        )
        normed, *_ = tf.compat.v1.nn.fused_batch_norm(
            y, gamma, beta, mean, variance, epsilon=1e-3, is_training=False
        )
        return normed

    x = tf.constant((image[None] - np.array([123.7, 116.8, 103.9])).astype(np.float32))
    x = tf.nn.relu(conv(tf.pad(x, [[0, 0], [3, 3], [3, 3], [0, 0]]), "conv1", 2, norm="bn_conv1"))
    x = tf.nn.max_pool2d(x, 3, 2, "SAME")
    stages = []
    for stage, blocks in zip("2345", (3, 4, 6, 3), strict=True):
        for letter in "abcdef"[:blocks]:
            names = [f"{stage}{letter}_branch{part}" for part in ("2a", "2b", "2c", "1")]
            stride = 2 if letter == "a" and stage != "2" else 1
            shortcut = conv(x, f"res{names[3]}", stride, norm=f"bn{names[3]}") if letter == "a" else x
            x = tf.nn.relu(conv(x, f"res{names[0]}", stride, norm=f"bn{names[0]}"))
            x = tf.nn.relu(conv(x, f"res{names[1]}", 1, "SAME", norm=f"bn{names[1]}"))
            x = tf.nn.relu(conv(x, f"res{names[2]}", norm=f"bn{names[2]}") + shortcut)
        stages.append(x)
    tops = [conv(stage, f"fpn_c{level}p{level}") for level, stage in enumerate(stages, start=2)]
    for level in (2, 1, 0):
        tops[level] += tf.repeat(tf.repeat(tops[level + 1], 2, axis=1), 2, axis=2)
    levels = [conv(top, f"fpn_p{level}", padding="SAME") for level, top in enumerate(tops, start=2)]
    levels.append(levels[3][:, ::2, ::2])
    shared = [tf.nn.relu(conv(level, "rpn_conv_shared", padding="SAME")) for level in levels]
    logits = tf.concat([tf.reshape(conv(x, "rpn_class_raw"), (1, -1, 2)) for x in shared], 1)
    deltas = tf.concat([tf.reshape(conv(x, "rpn_bbox_pred"), (1, -1, 4)) for x in shared], 1)
    return stages, levels, tf.nn.softmax(logits), deltas


def test_the_network_answers_as_the_one_with_its_batch_norm_apart(layers, folder):
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    network = MaskRCNN.load_folder(folder)
    pyramid = network.pyramid(image[None])
    objectness, deltas = network.rpn(pyramid)
    their_stages, their_levels, their_objectness, their_deltas = their_pyramid(layers, image)
    stages = network.backbone((image[None] - np.array(network.config.pixel_offset)).astype(np.float32))
    for ours, theirs in zip(stages[:2], their_stages[:2], strict=True):
        assert (np.asarray(ours) == np.asarray(theirs)).all()  # what is rounded here grows a hundredfold
    for ours, theirs in zip(pyramid, their_levels, strict=True):
        assert np.allclose(ours, theirs, atol=1e-3)
    assert np.asarray(tf.sigmoid(objectness)) == pytest.approx(np.asarray(their_objectness)[..., 1], abs=1e-4)
    assert np.asarray(deltas)[..., [1, 0, 3, 2]] == pytest.approx(np.asarray(their_deltas), abs=1e-4)


def test_the_heads_answer_as_theirs(layers, folder):
    flat = {name.partition(":")[0]: value for layer in layers.values() for name, value in layer.items()}

    def normed(x, norm):
        mean, variance, beta, gamma = (
            flat[f"{norm}/{kind}"] for kind in ("moving_mean", "moving_variance", "beta", "gamma")
        )
        return tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3))

    def conv(x, name, padding="VALID"):
        return tf.nn.conv2d(x, flat[f"{name}/kernel"], 1, padding) + flat[f"{name}/bias"]

    network = MaskRCNN.load_folder(folder)
    rng = np.random.default_rng(1)
    pooled = rng.normal(size=(3, 7, 7, 8)).astype(np.float32)
    x = normed(conv(pooled, "mrcnn_class_conv1"), "mrcnn_class_bn1")
    x = normed(conv(x, "mrcnn_class_conv2"), "mrcnn_class_bn2")[:, 0, 0]
    their_logits = x @ flat["mrcnn_class_logits/kernel"] + flat["mrcnn_class_logits/bias"]
    their_deltas = x @ flat["mrcnn_bbox_fc/kernel"] + flat["mrcnn_bbox_fc/bias"]
    logits, deltas = network.box_head(pooled[None])
    assert np.asarray(logits)[0] == pytest.approx(np.asarray(their_logits), abs=1e-4)
    theirs = np.asarray(their_deltas).reshape(3, 2, 4)[..., [1, 0, 3, 2]]
    assert np.asarray(deltas)[0] == pytest.approx(theirs, abs=1e-4)

    x = pooled = rng.normal(size=(3, 14, 14, 8)).astype(np.float32)
    for i in "1234":
        x = normed(conv(x, f"mrcnn_mask_conv{i}", "SAME"), f"mrcnn_mask_bn{i}")
    x = tf.nn.conv2d_transpose(x, flat["mrcnn_mask_deconv/kernel"], (3, 28, 28, 8), 2, "VALID")
    x = conv(tf.nn.relu(x + flat["mrcnn_mask_deconv/bias"]), "mrcnn_mask")
    ours = np.asarray(network.mask_head(pooled[None]))[0]
    assert ours[..., 0] == pytest.approx(np.asarray(x)[..., 1], abs=1e-4)


def test_a_model_saved_whole_is_the_same(layers, folder, tmp_path):
    whole = write_weights(tmp_path / "whole.h5", layers, whole=True)
    import_weights(whole, OPERATION, tmp_path / "model")
    with np.load(folder / "weights.npz") as one, np.load(tmp_path / "model" / "weights.npz") as other:
        assert one.files == other.files
        assert all((one[name] == other[name]).all() for name in one.files)
        assert {one[name].dtype for name in one.files} == {np.dtype(np.float32)}


def test_names_that_keras_split_into_parts_are_put_together(layers, file, tmp_path):
    split = tmp_path / "split.h5"
    split.write_bytes(file.read_bytes())
    with h5py.File(split, "r+") as opened:
        names = opened.attrs["layer_names"]
        del opened.attrs["layer_names"]
        opened.attrs["layer_names0"], opened.attrs["layer_names1"] = names[:50], names[50:]
    assert import_weights(split, OPERATION, tmp_path / "model").backbone == "resnet50"


@pytest.mark.parametrize("backbone", ["resnet50", "resnet101"])
def test_backbone_and_classes_are_read_off_the_weights(tmp_path, backbone):
    from pothole.detection.matterport.importer import _check
    from pothole.detection.matterport.layout import sources

    shapes = {
        name.partition(":")[0]: shape
        for layer in weight_shapes(backbone, classes=4).values()
        for name, shape in layer.items()
    }
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    config = configuration(tmp_path, tensors, Operation())
    assert (config.backbone, config.num_classes, config.fpn_channels) == (backbone, 4, 8)
    assert config.class_names == ("class 1", "class 2", "class 3")
    _check(tmp_path, tensors, {n: shape for source in sources(config) for n, shape in source.shapes()})
    assert configuration(tmp_path, tensors, Operation(CLASS_NAMES=("a", "b", "c"))).class_names == (
        "a",
        "b",
        "c",
    )
    with pytest.raises(RequestError, match="BACKBONE"):
        other = "resnet50" if backbone == "resnet101" else "resnet101"
        configuration(tmp_path, tensors, Operation(BACKBONE=other))


def changed(**weights_of_layer):
    """Return a change of some layers; None takes one away."""

    def change(file, layers, path):
        of_file = {name: weights_of_layer.get(name, value) for name, value in layers.items()}
        write_weights(path, {name: value for name, value in (of_file | weights_of_layer).items() if value})

    return change


def text(file, layers, path):
    path.write_text("<html>not found</html>")


def truncated(file, layers, path):
    path.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other_layout(file, layers, path):
    with h5py.File(path, "w") as opened:
        opened.create_group("layers/conv2d/vars").create_dataset("0", data=np.zeros(3))


def elsewhere(file, layers, path):
    path.write_bytes(file.read_bytes())
    with h5py.File(path, "r+") as opened:
        del opened["conv1/conv1/kernel:0"]
        opened["conv1/conv1/kernel:0"] = h5py.ExternalLink("/etc/passwd", "x")


def not_finite(file, layers, path):
    path.write_bytes(file.read_bytes())
    with h5py.File(path, "r+") as opened:
        opened["conv1/conv1/bias:0"][3] = np.nan


def no_such_file(file, layers, path):
    pass


def a_folder(file, layers, path):
    path.mkdir()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (no_such_file, "There is no file"),
        (a_folder, r"is a folder\. Name the \.h5 file"),
        (text, "cannot be read as HDF5"),
        (truncated, "cannot be read as HDF5"),
        (other_layout, "no layer_names"),
        (elsewhere, "conv1/kernel:0 is missing or links"),
        (not_finite, r"not finite: conv1/bias\.$"),
        (changed(fpn_c3p3=None), r"missing: fpn_c3p3/bias, fpn_c3p3/kernel\.$"),
        (changed(extra={"extra/kernel:0": np.zeros(3)}), r"too much: extra/kernel\.$"),
        (
            changed(fpn_c3p3={"fpn_c3p3/kernel:0": np.zeros((1, 1, 9, 8)), "fpn_c3p3/bias:0": np.zeros(8)}),
            r"of another shape: fpn_c3p3/kernel \(1, 1, 9, 8\) instead of \(1, 1, 512, 8\)\.$",
        ),
        (changed(mrcnn_class_logits=None), "no layer mrcnn_class_logits"),
        (changed(res4f_branch2a=None), "stage 4 of its backbone has 5 blocks"),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence_and_leaves_nothing(
    monkeypatch, file, layers, tmp_path, write, message
):
    wrong = tmp_path / "wrong.h5"
    write(file, layers, wrong)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "import", wrong, tmp_path / "models" / "new", "--archive", tmp_path / "model.tar.gz")
    said = str(stopped.value.code)
    assert said.startswith("pothole: ") and "\n" not in said and len(said) < 400
    with pytest.raises(ModelError, match=message):
        import_weights(wrong, OPERATION, tmp_path / "models" / "new")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--class-names", "pothole,crack"), "CLASS_NAMES without the background: .* has 1, asked for is 2"),
        (("--image-max-dim", "1000"), "IMAGE_MAX_DIM is 1000: .* multiple of 64"),
        (("--config", "CONFIG"), "LEARNING_RAET is not a name"),
    ],
)
def test_what_does_not_fit_the_weights_is_named(monkeypatch, file, tmp_path, flags, message):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"IMAGE_MAX_DIM": 128, "LEARNING_RAET": 0.1}))
    flags = [str(config) if flag == "CONFIG" else flag for flag in flags]
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, "import", file, tmp_path / "new", *flags)
    assert sorted(tmp_path.iterdir()) == [config]


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["pothole", *map(str, words)])
    cli.main()


def test_the_command_makes_a_folder_and_an_archive_that_load(monkeypatch, capsys, file, image, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"NAME": "Street", "IMAGE_MAX_DIM": 256, "LEARNING_RATE": 0.001}))
    flags = ("--config", config, "--image-min-dim", 64, "--image-max-dim", 128, "--min-confidence", 0.25)
    run(
        monkeypatch,
        "import",
        file,
        tmp_path / "a" / "model",
        "--archive",
        tmp_path / "b" / "m.tar.gz",
        *flags,
    )
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "a" / "model"),
        str(tmp_path / "b" / "m.tar.gz"),
    ]
    with tarfile.open(tmp_path / "b" / "m.tar.gz") as tar:
        assert tar.getnames() == ["config.json", "weights.npz"]
        tar.extractall(tmp_path / "c", filter="data")
    detector = load_detector(tmp_path / "c")
    assert (detector.name, detector.min_confidence) == ("Street", 0.25)
    assert detector.input_size((720, 1280)) == (720, 1280)  # it scales in Matterport's own way
    assert len(detector.predict([image])[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c", "config.json"]


def test_no_folder_is_overwritten(file, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("")
    with pytest.raises(RequestError, match="exists already"):
        import_weights(file, OPERATION, tmp_path / "model")
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["mine"]


def test_a_json_has_upstreams_names_and_flags_go_before_it(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({"IMAGE_MIN_DIM": 400, "RPN_ANCHOR_SCALES": [8, 16, 32, 64, 128], "GPU_COUNT": 1})
    )
    operation = read_operation(path, {"IMAGE_MIN_DIM": 256})
    assert (operation.IMAGE_MIN_DIM, operation.RPN_ANCHOR_SCALES) == (256, (8, 16, 32, 64, 128))
    assert operation.DETECTION_MIN_CONFIDENCE == 0.7 and operation.PRE_NMS_LIMIT == 6000
    path.write_text('{"IMAGE_RESIZE_MODE": "pad64"}')
    with pytest.raises(ConfigError, match='IMAGE_RESIZE_MODE is "pad64"'):
        read_operation(path, {})
    path.write_text("[]")
    with pytest.raises(ConfigError, match="not a JSON object"):
        read_operation(path, {})


def test_two_threads_are_answered_over_a_socket_as_one_is(folder, settings):
    from dataclasses import replace

    app = create_app(replace(settings, model_dir=folder), load_detector)
    app.extensions["worker"].result()
    rng = np.random.default_rng(2)
    bodies = [encode_picture(rng.integers(0, 255, (60 + i, 90, 3), np.uint8), "image/png") for i in range(3)]
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.port}/invocations"

        def ask(body):
            answer = requests.post(url, body, headers={"Content-Type": "image/png"}, timeout=60)
            assert answer.status_code == 200
            return answer.json()

        alone = [ask(body) for body in bodies]
        answers = {}

        def ask_all(number):
            answers[number] = [ask(body) for body in bodies]

        threads = [threading.Thread(target=ask_all, args=(i,)) for i in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    for found in answers.values():
        for one, other in zip(found, alone, strict=True):
            # Rounding depends on which of TensorFlow's own threads is done first, even for a single caller.
            assert len(one["output"]) == len(other["output"]) > 0
            for ours, theirs in zip(one["output"], other["output"], strict=True):
                assert ours["box"] == theirs["box"] and ours["score"] == pytest.approx(
                    theirs["score"], abs=2e-4
                )
